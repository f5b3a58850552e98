//! A node in a process of its own: started, listened to, signalled, and never
//! left behind.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::PATIENCE;

/// A node in a process of its own; killed when dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts the node of `binary` and waits until it serves.
    pub fn serve(binary: &Path, config: &Path) -> Self {
        let mut command = Command::new(binary);
        command.args(["serve", "--config"]).arg(config);
        Self::spawn(command)
    }

    /// The same for a command that becomes the node.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        keep(child.stderr.take().unwrap(), Arc::clone(&log));
        let process = Self { child, log };
        process.wait_for(" serving ");
        process
    }

    /// All that it has written to standard error.
    pub fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// Waits until the log has this.
    pub fn wait_for(&self, text: &str) {
        let give_up = Instant::now() + PATIENCE;
        while !self.log.lock().contains(text) {
            assert!(Instant::now() < give_up, "no {text:?} in:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The first address of the listener `name`, as the log tells it.
    pub fn address(&self, name: &str) -> SocketAddr {
        let log = self.log();
        let (_, rest) = log.split_once(&format!(" {name}=[")).unwrap();
        let end = rest.find([',', ']']).unwrap();
        rest[..end].parse().unwrap()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success(), "kill -s {name}: {status}");
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; how it ended, and its whole log.
    pub fn end(mut self) -> (ExitStatus, String) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.log());
            }
            assert!(Instant::now() < give_up, "it lives on:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(from: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock();
            log.push_str(&line);
            log.push('\n');
        }
    });
}
