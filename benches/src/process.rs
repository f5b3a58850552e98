//! Child processes: what CPU time they used, and that they end with their owner.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a server may take to serve.
const START_TIME: Duration = Duration::from_secs(20);

/// A server that ends when this is dropped.
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts `command`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("{command:?} cannot be started"))?;
        Ok(Self { child })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `address` answers a GET of `path` with 200.
    ///
    /// # Errors
    /// When the process ended, or did not answer in time.
    pub fn wait_for(&mut self, address: SocketAddr, path: &str) -> Result<()> {
        let give_up = Instant::now() + START_TIME;
        while !crate::clients::answers(address, path) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at once: {status}");
            }
            if Instant::now() > give_up {
                bail!("{address} did not answer GET {path} in {START_TIME:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// CPU time of the process, all its threads and its children, so far.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        cpu_of_tree(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx ends its workers on SIGTERM; what is left after that is killed.
        let id = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let give_up = Instant::now() + Duration::from_secs(2);
        while Instant::now() < give_up {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process and its children, in the scheduler's nanoseconds.
fn cpu_of_tree(id: u32) -> Duration {
    let mut total = Duration::ZERO;
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else {
        return total;
    };
    for thread in threads.flatten() {
        total += schedstat(&thread.path().join("schedstat"));
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            total += cpu_of_tree(child);
        }
    }
    total
}

/// CPU time of the calling thread.
#[must_use]
pub fn cpu_of_thread() -> Duration {
    schedstat(std::path::Path::new("/proc/thread-self/schedstat"))
}

/// CPU time of children of this process that have ended, in the kernel's ticks of 10 ms.
#[must_use]
pub fn cpu_of_ended_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name may hold spaces: fields are counted behind it (proc(5)).
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = behind_name
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn schedstat(path: &std::path::Path) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// A loopback address that was free a moment ago.
///
/// # Errors
/// When no port is free.
pub fn free_address() -> Result<SocketAddr> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket.local_addr()?)
}
