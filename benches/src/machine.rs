//! What is measured on: how many cores, which kernel, and which of the cores
//! belongs to whom.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The core of the server under test.
pub const SERVER_CORE: usize = 0;

/// The core of the client, and of the origin, which is idle while hits are measured.
pub const CLIENT_CORE: usize = 1;

/// One line about the machine, for the head of every table.
#[must_use]
pub fn describe() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .map_or_else(|| "unknown processor".to_owned(), str::to_owned);
    let load = read("/proc/loadavg");
    format!(
        "{} cores, {model}, Linux {}, load before the run {}",
        cores(),
        kernel.trim(),
        load.split(' ').next().unwrap_or("?")
    )
}

/// How many cores there are.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Keeps the calling program on `core`, with all threads that it starts later.
///
/// # Errors
/// When there is no such core, or no `taskset` (Debian: util-linux).
pub fn pin_to(core: usize) -> Result<()> {
    ensure!(core < cores(), "there is no core {core}: two are needed");
    let pinned = Command::new("taskset")
        .args(["-c", "-p", &core.to_string()])
        .arg(std::process::id().to_string())
        .output()
        .context("taskset cannot be started")?;
    ensure!(
        pinned.status.success(),
        "taskset: {}",
        String::from_utf8_lossy(&pinned.stderr)
    );
    Ok(())
}

/// A command that runs `program` on `cores`, as `0` or `0,1`.
#[must_use]
pub fn on_cores(cores: &str, program: &std::path::Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", cores]).arg(program);
    command
}
