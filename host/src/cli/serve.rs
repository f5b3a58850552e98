//! `verge serve`: a node until a signal says stop.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use verge_config::{Config, LogFormat};

use super::report;
use crate::node::{self, RunningNode, StartError};
use crate::reload::{ReloadCause, reload};
use crate::telemetry::JsonLines;

/// The exit code of a node that was told twice to stop.
const STOPPED_AT_ONCE: u8 = 130;

/// Serves the configuration at `path`; 0 after a drain.
#[expect(clippy::print_stderr, reason = "the log may not be there yet")]
pub(super) fn serve(path: &Path) -> ExitCode {
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(errors) => {
            report(path, errors.problems());
            return ExitCode::FAILURE;
        }
    };
    start_log(&config);
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            // Before the node starts, so that no signal is missed.
            let signals = runtime.block_on(async { Signals::new() })?;
            let node = node::start(config)?;
            announce(&node);
            let code = runtime.block_on(serve_until_told(node, signals));
            // Dropping the runtime would wait for a stop that was told to end at once.
            runtime.shutdown_background();
            Ok(code)
        });
    result.unwrap_or_else(|error| {
        match error.downcast_ref::<StartError>() {
            Some(StartError::Problems(problems)) => report(path, problems),
            Some(StartError::Bind { .. } | StartError::System { .. }) | None => {
                eprintln!("{error}");
            }
        }
        ExitCode::FAILURE
    })
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve_until_told(node: RunningNode, mut signals: Signals) -> ExitCode {
    loop {
        tokio::select! {
            () = async {
                tokio::select! {
                    _ = signals.terminate.recv() => {}
                    _ = signals.interrupt.recv() => {}
                }
            } => break,
            _ = signals.hang_up.recv() => {
                let state = Arc::clone(node.state());
                if let Some(log) = state.telemetry.access_log() {
                    log.reopen();
                }
                // The report goes to the log and to the admin API; a signal that says stop is
                // not kept waiting by a compilation.
                tokio::task::spawn_blocking(move || reload(&state, ReloadCause::Signal));
            }
        }
    }
    let stopped = tokio::task::spawn_blocking(move || node.stop());
    tokio::select! {
        report = stopped => {
            let cut = report.map_or(0, |report| report.cut);
            tracing::info!(cut, "stopped");
            ExitCode::SUCCESS
        }
        () = signals.stop() => {
            tracing::warn!("told twice to stop: stopping at once");
            ExitCode::from(STOPPED_AT_ONCE)
        }
    }
}

/// Sends the node's own log to standard error.
pub(crate) fn start_log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second node in one process keeps the first one's log.
    let _ = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.event_format(JsonLines).try_init(),
    };
}

fn announce(node: &RunningNode) {
    let addresses = node.addresses();
    tracing::info!(
        http = ?addresses.http,
        https = ?addresses.https,
        admin = ?addresses.admin,
        "serving"
    );
    if addresses.admin.is_empty() {
        tracing::info!("no admin listener: `listen.admin` is not set");
    }
}
