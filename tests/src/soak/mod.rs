//! A soak: a node in a process of its own under mixed load for as long as one
//! likes. Nothing may fail that was not meant to, and its resident memory must
//! stay flat. What kinds of load there are is the table in `scenarios`; the
//! origin, the tallies and the judgement of memory are the other files.

mod memory;
mod origin;
mod scenarios;
mod tally;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::node::ADMIN_TOKEN;
use crate::process::Process;
pub use memory::Memory;
pub use tally::Tally;

/// Memory of the node's cache: so little that it is full within seconds.
const CACHE_MIB: u64 = 64;

/// What a scenario works with.
pub struct World {
    /// The node's plaintext listener.
    pub http: SocketAddr,
    process: Process,
    folder: TempDir,
    config: String,
    end: Instant,
}

/// What a soak found.
pub struct Report {
    /// For people.
    pub text: String,
    /// What went wrong; nothing, if it is empty.
    pub problems: Vec<String>,
}

impl World {
    /// Whether there is time left.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        Instant::now() < self.end
    }

    /// Saves the configuration, changed in nothing but a comment, and has the
    /// node read it.
    pub fn reload(&self, number: u64) {
        let file = self.folder.path().join("verge.toml");
        let beside = file.with_extension("new");
        std::fs::write(&beside, format!("# reload {number}\n{}", self.config)).unwrap();
        std::fs::rename(beside, file).unwrap();
        self.process.signal("HUP");
    }
}

fn config(origin: SocketAddr) -> String {
    format!(
        "[node]\nworkers = 2\n[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         [admin]\ntoken_file = \"admin-token\"\n[log]\naccess = \"off\"\n\
         [cache]\nmemory = \"{CACHE_MIB}MiB\"\nmax_object = \"8MiB\"\n\
         [origin.app]\naddresses = [\"{origin}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n"
    )
}

/// Puts load on the node of `binary` for `length`.
pub async fn run(binary: &Path, length: Duration) -> Report {
    let folder = TempDir::new().unwrap();
    let config = config(origin::start().await);
    let file: PathBuf = folder.path().join("verge.toml");
    std::fs::write(folder.path().join("admin-token"), ADMIN_TOKEN).unwrap();
    std::fs::write(&file, &config).unwrap();
    let process = Process::serve(binary, &file);
    let world = Arc::new(World {
        http: process.address("http"),
        end: Instant::now() + length,
        process,
        folder,
        config,
    });
    let mut load = JoinSet::new();
    let mut tallies = Vec::new();
    for scenario in scenarios::ALL {
        let tally = Arc::new(Tally::default());
        for index in 0..scenario.tasks {
            load.spawn((scenario.work)(
                Arc::clone(&world),
                Arc::clone(&tally),
                index,
            ));
        }
        tallies.push((scenario.name, tally));
    }
    let memory = Memory::watch(world.process.id(), world.end).await;
    let mut problems = Vec::new();
    while let Some(ended) = load.join_next().await {
        if let Err(error) = ended {
            problems.push(format!("a scenario ended at once: {error}"));
        }
    }
    let mut text = format!("{} s of mixed load\n\n", length.as_secs());
    let _ = writeln!(
        text,
        "{:<10} {:>9} {:>9} {:>11}",
        "load", "requests", "failures", "slowest ms"
    );
    for (name, tally) in &tallies {
        let _ = writeln!(text, "{name:<10} {tally}");
        problems.extend(
            tally
                .problems()
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
        if tally.requests() == 0 {
            problems.push(format!("{name}: nothing was done"));
        }
    }
    let _ = writeln!(text, "\n{memory}");
    problems.extend(memory.problem(CACHE_MIB));
    let log = world.process.log();
    let alarms = log
        .lines()
        .filter(|line| line.contains("ERROR") || line.contains("panic"));
    problems.extend(alarms.take(5).map(|line| format!("the node's log: {line}")));
    Report { text, problems }
}
