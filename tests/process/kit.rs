//! The `verge` binary as a child process: built once, started with a file,
//! listened to, signalled, and never left behind.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The binary of this build. Cargo tells its path only to tests of its own
/// package, so it is asked to build it where the tests' own binaries are.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        // target/PROFILE/deps/process-HASH
        let folder = own.parent().unwrap().parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build
            // The whole workspace, so that what crates are built with is what the tests use.
            // With a test beside it, dependencies have the features that they were built with.
            .args(["build", "--quiet", "--workspace", "--bin", "verge"])
            .args(["--test", "process"])
            .arg("--target-dir")
            .arg(folder.parent().unwrap())
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().unwrap();
        assert!(status.success(), "`{build:?}` failed: {status}");
        let binary = folder.join("verge");
        assert!(binary.is_file(), "{} was not built", binary.display());
        binary
    })
}

/// A folder for one configuration and all that it names.
pub(crate) struct Place(TempDir);

impl Place {
    /// An empty one, but for the admin token.
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(
            folder.path().join("admin-token"),
            verge_tests::node::ADMIN_TOKEN,
        )
        .unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and gives its path.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str], config: Option<&Path>) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null());
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.output().unwrap()
}

/// What a command wrote to standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A node of [`binary`] in a process of its own; killed when dropped.
pub(crate) struct Process(verge_tests::process::Process);

impl Process {
    /// Starts a node and waits until it serves.
    pub(crate) fn serve(config: &Path) -> Self {
        Self(verge_tests::process::Process::serve(binary(), config))
    }

    /// The same for a node that can write no file longer than `blocks` times 512 bytes, as if
    /// the disk were full then.
    pub(crate) fn serve_limited(config: &Path, blocks: u32) -> Self {
        let mut command = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" serve --config \"$1\"");
        command.args(["-c", &script]).arg(binary()).arg(config);
        Self(verge_tests::process::Process::spawn(command))
    }

    /// Waits for its end; how it ended, and its whole log.
    pub(crate) fn end(self) -> (ExitStatus, String) {
        self.0.end()
    }
}

impl Deref for Process {
    type Target = verge_tests::process::Process;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Listeners on free ports, the admin token, and `toml`.
pub(crate) fn on_free_ports(toml: &str) -> String {
    format!(
        "[node]\nworkers = 2\n[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         [admin]\ntoken_file = \"admin-token\"\n[log]\naccess = \"access.log\"\n{toml}"
    )
}

/// A site with one fixed answer.
pub(crate) fn fixed(body: &str) -> String {
    format!(
        "[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"{body}\" }}\n"
    )
}
