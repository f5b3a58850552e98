//! What a function's developer works with: a folder for functions, and
//! `verge dev` in a process of its own.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;
use verge_tests::Client;

use crate::kit::binary;

/// How long a build may take on a busy machine: the first one compiles the SDK.
pub(crate) const BUILD_PATIENCE: Duration = Duration::from_secs(900);

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// A folder for functions, away from the repository.
pub(crate) struct Workshop {
    folder: TempDir,
    /// Where programs are looked for; as for this test, if there is none.
    path: Option<OsString>,
}

impl Workshop {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            path: None,
        }
    }

    /// One where the programs in the folder `programs` are found, too.
    pub(crate) fn with_programs(programs: &Path) -> Self {
        let mut path = programs.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        Self {
            path: Some(path),
            ..Self::new()
        }
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `verge` with these arguments. What it compiles is kept with the sample functions, and in
    /// their versions, so that nothing is downloaded.
    pub(crate) fn verge(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("CARGO_TARGET_DIR", repository().join("functions/target"))
            .env("CARGO_NET_OFFLINE", "true")
            .stdin(Stdio::null());
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.verge(arguments).output().unwrap()
    }

    /// A new function, locked to the versions of the sample functions.
    pub(crate) fn make(&self, name: &str, template: &str) {
        let made = self.run(&["new", name, "--template", template]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let lock = repository().join("functions/Cargo.lock");
        std::fs::copy(lock, self.folder(name).join("Cargo.lock")).unwrap();
        // A busy machine does not pass wide limits.
        let config = self.folder(name).join("verge.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let (before, behind) = text.split_once("component = ").unwrap();
        let limits = verge_tests::guests::WIDE_LIMITS;
        std::fs::write(&config, format!("{before}{limits}component = {behind}")).unwrap();
    }

    /// Writes the scenarios that a user need not see, but that the template has to pass; how many
    /// there are with its own.
    pub(crate) fn add_scenarios(&self, name: &str, template: &str) -> usize {
        if template != "handler" {
            return 1;
        }
        // More than a host takes of a guest at once.
        let path = format!("/{}", "long/".repeat(1000));
        let scenario = format!(
            "[[step]]\nrequest = \"GET {path}\"\n[step.expect]\nstatus = 200\n\
             body = \"Hello from {name}! You asked for {path}.\\n\"\n"
        );
        std::fs::write(self.folder(name).join("scenarios/long.toml"), scenario).unwrap();
        2
    }

    /// All that `verge new` can begin with, as it says itself.
    pub(crate) fn templates(&self) -> Vec<String> {
        let refused = self.run(&["new", "any", "--template", "none-of-them"]);
        let said = text(&refused.stderr);
        let (_, rest) = said.split_once("[possible values: ").unwrap();
        let (names, _) = rest.split_once(']').unwrap();
        names.split(", ").map(str::to_owned).collect()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `verge dev` in a process of its own; killed when dropped.
pub(crate) struct Dev {
    pub(crate) child: Child,
    output: Arc<Mutex<String>>,
}

impl Dev {
    pub(crate) fn start(workshop: &Workshop, arguments: &[&str]) -> Self {
        let mut command = workshop.verge(&["dev", "--listen", "127.0.0.1:0"]);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output: Arc<Mutex<String>> = Arc::default();
        keep(child.stdout.take().unwrap(), &output);
        keep(child.stderr.take().unwrap(), &output);
        Self { child, output }
    }

    pub(crate) fn output(&self) -> String {
        self.output.lock().clone()
    }

    /// Waits until the output has `wanted` so many times.
    pub(crate) fn wait_for(&self, wanted: &str, times: usize) {
        let give_up = Instant::now() + BUILD_PATIENCE;
        while self.output.lock().matches(wanted).count() < times {
            assert!(
                Instant::now() < give_up,
                "no {wanted:?} in\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        let output = self.output();
        let (_, rest) = output.split_once("  http://").unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    }

    /// One GET on a connection of its own: the clock may have jumped past an idle one's end.
    pub(crate) async fn get(&self, path: &str) -> verge_tests::Reply {
        Client::http1(self.address()).await.get(path).await
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Interrupts it, as Ctrl-C does; its exit code.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &id]).status();
        assert!(sent.unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(mut from: impl std::io::Read + Send + 'static, to: &Arc<Mutex<String>>) {
    let to = Arc::clone(to);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            to.lock()
                .push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    });
}
