//! Functions in Rust: cargo builds them, with the guest toolchain that there
//! is. Errors are cargo's own, on the terminal as it shows them; which files
//! it made is read from its messages.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use verge_runtime::Digest;
use verge_toolchain::Toolchain;

use super::{Artifact, BuildError, Profile};

/// The profile of builds that are to be fast. It is given on the command line, so that a
/// function's own `Cargo.toml` need not have it.
const DEV_PROFILE: &str = "verge-dev";
const DEV_SETTINGS: [&str; 4] = [
    "inherits=\"release\"",
    "lto=false",
    "codegen-units=16",
    "incremental=true",
];

/// The exit code of a compiler that a signal ended.
const CUT: u8 = 130;

/// The programs that run now, so that none outlives this one.
#[derive(Clone)]
pub(in crate::cli) struct Children {
    groups: Arc<Mutex<Groups>>,
    is_apart: bool,
}

/// The process groups of programs that run apart.
#[derive(Default)]
struct Groups {
    running: Vec<Pid>,
    /// Whether they were ended: then none begins any more.
    have_ended: bool,
}

impl Children {
    /// Programs that get the terminal's signals with this one, and end by them.
    pub(in crate::cli) fn together() -> Self {
        Self {
            groups: Arc::default(),
            is_apart: false,
        }
    }

    /// Programs in groups of their own: they end when [`Self::end`] says so.
    pub(in crate::cli) fn apart() -> Self {
        Self {
            is_apart: true,
            ..Self::together()
        }
    }

    /// Ends what runs apart, with all that it started, and whatever would begin later.
    pub(in crate::cli) fn end(&self) {
        self.signal(Signal::TERM);
    }

    /// Like `end`, for what has not obeyed it.
    pub(in crate::cli) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        let mut groups = self.groups.lock();
        groups.have_ended = true;
        for group in &groups.running {
            // Gone by itself in between is as good.
            let _ = kill_process_group(*group, signal);
        }
    }

    /// Runs a command; each line of its output goes to `line`.
    pub(super) fn run(
        &self,
        command: &mut Command,
        mut line: impl FnMut(&str),
    ) -> Result<u8, BuildError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if self.is_apart {
            command.process_group(0);
        }
        let (mut child, _running) = self.start(command)?;
        if let Some(output) = child.stdout.take() {
            BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .for_each(|text| line(&text));
        }
        let status = child
            .wait()
            .map_err(|error| BuildError::NotBegun(format!("the build is lost: {error}")))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.unwrap_or(if status.signal().is_some() { CUT } else { 1 }))
    }

    /// Starts and notes it in one step: whoever ends all of them meanwhile finds it, or it does not begin.
    fn start(&self, command: &mut Command) -> Result<(Child, Running), BuildError> {
        let mut groups = self.groups.lock();
        if groups.have_ended {
            return Err(BuildError::Failed { code: CUT });
        }
        let child = command.spawn().map_err(|error| {
            let program = command_name(command);
            BuildError::NotBegun(format!("`{program}` cannot be started: {error}"))
        })?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let group = pid.filter(|_| self.is_apart);
        groups.running.extend(group);
        Ok((child, Running(Arc::clone(&self.groups), group)))
    }
}

/// One program that runs.
struct Running(Arc<Mutex<Groups>>, Option<Pid>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running.retain(|pid| Some(*pid) != self.1);
    }
}

fn command_name(command: &Command) -> String {
    let path = Path::new(command.get_program());
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Builds the package in `folder`, or all packages of the workspace that stands there. Gives also
/// the folders of the packages that it was built from, but for those of registries and the like,
/// which nobody edits.
pub(super) fn build(
    folder: &Path,
    profile: Profile,
    quiet: bool,
    children: &Children,
) -> Result<(Vec<Artifact>, BTreeSet<PathBuf>), BuildError> {
    let toolchain = Toolchain::find().map_err(BuildError::NotBegun)?;
    let mut command = cargo_in(folder);
    command.args(["build", "--message-format=json-render-diagnostics"]);
    if quiet {
        command.arg("--quiet");
    }
    match profile {
        Profile::Release => {
            command.arg("--release");
        }
        Profile::Dev => {
            for setting in DEV_SETTINGS {
                let setting = format!("profile.{DEV_PROFILE}.{setting}");
                command.args(["--config", &setting]);
            }
            command.args(["--profile", DEV_PROFILE]);
        }
    }
    toolchain
        .apply(&mut command)
        .map_err(BuildError::NotBegun)?;
    let (mut made, mut folders) = (Vec::new(), BTreeSet::new());
    let code = children.run(&mut command, |line| {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            return;
        };
        made.extend(components_in(&message));
        folders.extend(folder_in(&message));
    })?;
    if code != 0 {
        return Err(BuildError::Failed { code });
    }
    let artifacts: Vec<Artifact> = made
        .into_iter()
        .map(|(name, component)| read(name, component))
        .collect::<Result<_, _>>()?;
    if artifacts.is_empty() {
        return Err(BuildError::NotBegun(format!(
            "`{}` has no function; its Cargo.toml needs\n\n    [lib]\n    crate-type = [\"cdylib\"]\n",
            folder.join("Cargo.toml").display()
        )));
    }
    Ok((artifacts, folders))
}

/// Cargo in a folder, as if this program had not been started by cargo itself.
fn cargo_in(folder: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_MANIFEST_PATH");
    command
}

/// The components that one message of cargo tells of, each with its package's name.
fn components_in(message: &Value) -> Vec<(String, PathBuf)> {
    let target = &message["target"];
    let is_library = target["crate_types"]
        .as_array()
        .is_some_and(|types| types.iter().any(|kind| kind == "cdylib"));
    if message["reason"] != "compiler-artifact" || !is_library {
        return Vec::new();
    }
    let name = target["name"].as_str().unwrap_or_default().to_owned();
    let files = message["filenames"].as_array().into_iter().flatten();
    files
        .filter_map(Value::as_str)
        .filter(|file| file.ends_with(".wasm"))
        .map(|file| (name.clone(), PathBuf::from(file)))
        .collect()
}

/// The folder of the package that one message of cargo tells of, if it is one of a path.
fn folder_in(message: &Value) -> Option<PathBuf> {
    let id = message["package_id"].as_str()?;
    let manifest = Path::new(message["manifest_path"].as_str()?);
    let folder = id.starts_with("path+file:").then(|| manifest.parent())?;
    folder.map(Path::to_owned)
}

fn read(name: String, component: PathBuf) -> Result<Artifact, BuildError> {
    let bytes = std::fs::read(&component).map_err(|error| {
        BuildError::NotBegun(format!("`{}` cannot be read: {error}", component.display()))
    })?;
    Ok(Artifact {
        name,
        bytes: bytes.len() as u64,
        digest: Digest::of(&bytes),
        component,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_read_from_the_messages_of_cargo() {
        let line = r#"{"reason":"compiler-artifact","target":{"crate_types":["cdylib"],"name":"greeter"},"filenames":["/t/wasm32-wasip2/verge-dev/greeter.wasm","/t/x.d"]}"#;
        let component = PathBuf::from("/t/wasm32-wasip2/verge-dev/greeter.wasm");
        let read = |line: &str| components_in(&serde_json::from_str(line).unwrap());
        assert_eq!(read(line), [("greeter".to_owned(), component)]);
        for other in [
            "1",
            r#"{"reason":"build-finished","success":true}"#,
            r#"{"reason":"compiler-artifact","target":{"crate_types":["lib"],"name":"a"},"filenames":["/t/a.wasm"]}"#,
        ] {
            assert!(read(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn packages_of_paths_are_those_that_somebody_edits() {
        let read = |line: &str| folder_in(&serde_json::from_str(line).unwrap());
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/shared#0.1.0","manifest_path":"/w/shared/Cargo.toml"}"#;
        assert_eq!(read(line), Some(PathBuf::from("/w/shared")));
        for other in [
            "1",
            r#"{"reason":"build-finished","success":true}"#,
            r#"{"reason":"compiler-artifact","package_id":"registry+https://github.com/rust-lang/crates.io-index#http@1.0.0","manifest_path":"/r/http/Cargo.toml"}"#,
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn what_runs_can_be_ended_with_all_that_it_started() {
        let children = Children::apart();
        let other = children.clone();
        let ended = std::thread::spawn(move || {
            while other.groups.lock().running.is_empty() {
                std::thread::yield_now();
            }
            other.end();
        });
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & sleep 600"]);
        let code = children.run(&mut command, |_| {}).unwrap();
        ended.join().unwrap();
        assert_ne!(code, 0);
        assert!(children.groups.lock().running.is_empty());
    }

    #[test]
    fn nothing_begins_after_the_end() {
        let children = Children::apart();
        children.end();
        let begun = children.run(&mut Command::new("true"), |_| {});
        assert!(matches!(begun, Err(BuildError::Failed { code: CUT })));
    }
}
