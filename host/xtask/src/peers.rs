//! Programs that the node is compared with and that no package of Debian has.

use std::path::{Path, PathBuf};
use std::process::Command;

use verge_toolchain::packages;
use verge_toolchain::steps::{Outcome, note, run};

use crate::workspace::{cargo, root};

/// The release whose library the node is built with.
const WASMTIME: &str = "48.0.8";
const WORKERD: &str = "1.20261117.1";

/// Installs `wasmtime` from the crate registry and `workerd` from npm's, where they are missing.
pub(crate) fn ensure() -> Outcome {
    let folder = folder();
    if !folder.join("bin/wasmtime").is_file() {
        note(&format!(
            "installing wasmtime-cli {WASMTIME} into target/peers: it is compiled, for about ten minutes"
        ));
        run(cargo(&root())
            .args(["install", "wasmtime-cli", "--locked", "--version", WASMTIME])
            .arg("--root")
            .arg(&folder))?;
    }
    if !folder.join("node_modules/@cloudflare").is_dir() {
        packages::ensure(&[("npm", "npm")])?;
        note(&format!("installing workerd {WORKERD} into target/peers"));
        run(&mut npm_install(&folder))?;
    }
    Ok(())
}

/// Where the benches look for them, whatever `CARGO_TARGET_DIR` says.
fn folder() -> PathBuf {
    root().join("target/peers")
}

fn npm_install(folder: &Path) -> Command {
    let mut command = Command::new("npm");
    command
        .args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(folder)
        .arg(format!("workerd@{WORKERD}"));
    command
}
