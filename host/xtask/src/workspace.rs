//! Where things are in the repository, and how cargo is called there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    // Cargo says where the package is now; where it was compiled is second best.
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// The functions' workspace.
pub(crate) fn functions() -> PathBuf {
    root().join("functions")
}

/// The folder for what is built of the functions, whatever `CARGO_TARGET_DIR` says: the
/// configuration names paths below it.
pub(crate) fn functions_target() -> PathBuf {
    functions().join("target")
}

/// The folder for what is built of the root workspace.
pub(crate) fn target() -> PathBuf {
    target_in(&root(), env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
}

fn target_in(root: &Path, named: Option<PathBuf>) -> PathBuf {
    root.join(named.unwrap_or_else(|| PathBuf::from("target")))
}

/// Cargo in a folder.
pub(crate) fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    // What cargo set for this program is not meant for the ones it starts.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_MANIFEST_PATH");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_holds_the_workspace() {
        assert!(root().join("Cargo.lock").exists());
        assert!(root().join("host/xtask").exists());
    }

    #[test]
    fn target_is_where_cargo_puts_it() {
        let root = Path::new("/repo");
        assert_eq!(target_in(root, None), Path::new("/repo/target"));
        assert_eq!(
            target_in(root, Some("elsewhere".into())),
            Path::new("/repo/elsewhere")
        );
        assert_eq!(target_in(root, Some("/tmp/t".into())), Path::new("/tmp/t"));
    }
}
