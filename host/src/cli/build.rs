//! `verge build`: a function's folder to its component.
//!
//! What builds a function is decided by what stands in its folder; each
//! language has a file of its own below this one.

mod cargo;
mod script;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use verge_base::Clock;
use verge_config::Config;
use verge_runtime::Digest;
use verge_toolchain::TARGET;

pub(super) use cargo::Children;
pub(super) use script::Script;

/// The exit code of a build that was not begun.
const NOT_BEGUN: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct BuildArguments {
    /// The function's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

/// How a function is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// As it is deployed: the `release` profile of its own `Cargo.toml`.
    Release,
    /// As fast as it can be built after a small change: `release`, but incremental and without
    /// optimisation across crates.
    Dev,
}

/// One component that a build made.
#[derive(Clone, Debug)]
pub(super) struct Artifact {
    /// The function's name: that of its package.
    pub(super) name: String,
    /// Where the component is.
    pub(super) component: PathBuf,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// The SHA-256 of its bytes.
    pub(super) digest: Digest,
}

impl Artifact {
    /// Whether a configuration that names `component` means this: what a release build of it is
    /// called, whatever the target folder.
    pub(super) fn is_named_by(&self, component: &Path) -> bool {
        let file = self.component.file_name().unwrap_or_default();
        component.ends_with(Path::new(TARGET).join("release").join(file))
    }
}

/// Whether there is something to build in `folder`.
pub(super) fn is_function(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file() || Script::in_folder(folder).is_some()
}

/// Puts what was built in the place of what `config` names.
pub(super) fn put_artifacts(config: &mut Config, artifacts: &[Artifact]) {
    for function in config.functions.values_mut() {
        let mut made = artifacts.iter();
        if let Some(made) = made.find(|made| made.is_named_by(&function.component)) {
            function.component.clone_from(&made.component);
        }
    }
}

/// Components run as they were built: none that was deployed to a node, and signed by nobody yet.
pub(super) fn take_as_built(config: &mut Config) {
    config.deploy.folder = None;
    config.deploy.keys.clear();
    for function in config.functions.values_mut() {
        function.keys.clear();
    }
}

/// What a build made, and how long it took.
#[derive(Clone, Debug)]
pub(super) struct Built {
    /// The components; at least one.
    pub(super) artifacts: Vec<Artifact>,
    /// Folders of packages that they were built from and somebody may edit.
    pub(super) folders: BTreeSet<PathBuf>,
    /// How long it took.
    pub(super) took: Duration,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// There is nothing to build, or nothing to build it with.
    #[error("{0}")]
    NotBegun(String),
    /// The compiler refused it, and has said why on standard error.
    #[error("the build failed")]
    Failed {
        /// Its exit code.
        code: u8,
    },
}

impl BuildError {
    /// The exit code of a command that ends with this.
    pub(super) fn code(&self) -> ExitCode {
        match self {
            Self::NotBegun(_) => ExitCode::from(NOT_BEGUN),
            Self::Failed { code } => ExitCode::from(*code),
        }
    }
}

/// Builds the function in `folder`. What compilers say goes to standard error; with `quiet` only
/// warnings and errors. `children` can end it from another thread.
///
/// # Errors
/// [`BuildError`].
pub(super) fn build_folder(
    folder: &Path,
    profile: Profile,
    quiet: bool,
    children: &Children,
) -> Result<Built, BuildError> {
    let clock = Clock::system();
    let begun = clock.now();
    if !folder.is_dir() {
        let problem = format!("`{}` is not a folder", folder.display());
        return Err(BuildError::NotBegun(problem));
    }
    let (artifacts, folders) = if folder.join("Cargo.toml").is_file() {
        cargo::build(folder, profile, quiet, children)?
    } else if let Some(script) = Script::in_folder(folder) {
        (
            vec![script::build(folder, script, children)?],
            BTreeSet::new(),
        )
    } else {
        return Err(BuildError::NotBegun(format!(
            "`{}` has no Cargo.toml, function.js or app.py; `verge new NAME` makes a function's folder",
            folder.display()
        )));
    };
    Ok(Built {
        artifacts,
        folders,
        took: clock.now().saturating_duration_since(begun),
    })
}

/// Builds what `arguments` name; the compiler's exit code if it refuses.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's own output"
)]
pub(super) fn build(arguments: &BuildArguments) -> ExitCode {
    let children = Children::together();
    match build_folder(&arguments.folder, Profile::Release, false, &children) {
        Ok(built) => {
            for artifact in &built.artifacts {
                println!(
                    "{}: {}, sha256 {}, {}",
                    artifact.name,
                    show_size(artifact.bytes),
                    artifact.digest,
                    short_path(&artifact.component).display()
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            // A compiler has said what is wrong.
            if let BuildError::NotBegun(problem) = &error {
                eprintln!("{problem}");
            }
            error.code()
        }
    }
}

/// A size as people read it.
pub(super) fn show_size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

/// A path below the current folder, without that folder.
pub(super) fn short_path(path: &Path) -> &Path {
    let current = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(current).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_people() {
        assert_eq!(show_size(77_260), "75.4 KiB");
        assert_eq!(show_size(3 << 20), "3.0 MiB");
    }

    #[test]
    fn a_component_is_named_by_where_a_release_build_puts_it() {
        let artifact = Artifact {
            name: "greeter".into(),
            component: "/elsewhere/wasm32-wasip2/verge-dev/greeter.wasm".into(),
            bytes: 0,
            digest: Digest::of(b""),
        };
        for (named, is_it) in [
            ("target/wasm32-wasip2/release/greeter.wasm", true),
            ("../target/wasm32-wasip2/release/greeter.wasm", true),
            ("target/wasm32-wasip2/release/other.wasm", false),
            ("greeter.wasm", false),
        ] {
            assert_eq!(artifact.is_named_by(Path::new(named)), is_it, "{named}");
        }
    }

    #[test]
    fn a_folder_without_a_function_says_what_makes_one() {
        let folder = tempfile::tempdir().unwrap();
        let children = Children::together();
        let refused = build_folder(folder.path(), Profile::Release, true, &children);
        assert!(refused.unwrap_err().to_string().contains("verge new NAME"));
    }
}
