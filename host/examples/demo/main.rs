//! The demo: a node with `config/demo.toml` in this process, in front of two
//! origins that it brings along. It makes what the configuration names
//! (certificate, keys, tokens), says what it does, prints a tour of commands to
//! try, and drains when it is told to stop. `cargo xtask demo` builds and runs it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks to its terminal"
)]

mod certificates;
mod origin;
mod places;
mod tokens;
mod tour;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use verge::node::{self, RunningNode};
use verge_base::Clock;
use verge_config::Config;

use origin::DemoOrigin;
use places::Places;

/// The exit code of a demo that was told twice to stop.
const STOPPED_AT_ONCE: u8 = 130;

/// A Verge node on loopback, in front of origins of its own.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// The configuration; it must have what config/demo.toml has.
    #[arg(long, value_name = "FILE", default_value = "config/demo.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(&arguments.config)));
    done.unwrap_or_else(|error| {
        eprintln!("\nerror: {error:#}");
        ExitCode::FAILURE
    })
}

async fn run(file: &Path) -> anyhow::Result<ExitCode> {
    // Before anything else, so that no signal is missed.
    let signals = Signals::new()?;
    let steps = Steps::start();
    let config = Config::read(file)?;
    start_log(&config);
    let places = Places::of(&config)?;
    places.check_addresses()?;

    let made = certificates::ensure(&places)?;
    let what = format!(
        "certificate authority and certificate for localhost, in {}",
        places.folder.display()
    );
    steps.done(made, &what);
    let made = tokens::ensure(&places, steps.clock.wall())?;
    steps.done(made, "admin token, key for JWTs, and a JWT for alice");
    for (name, address) in &places.origins {
        DemoOrigin::start(name, *address)
            .await
            .with_context(|| format!("the origin `{name}` cannot listen on {address}"))?;
        steps.say(&format!("origin `{name}` on {address}"));
    }
    let functions = config.functions.len();
    // Blocks while functions are compiled; the origins and the signals do not wait.
    let node = tokio::task::spawn_blocking(move || node::start(config)).await??;
    steps.say(&format!(
        "{functions} functions loaded, node serving (a second start finds them compiled)"
    ));
    tour::print(node.addresses(), &places)?;
    Ok(serve_until_told(node, signals).await)
}

/// The node's log goes to standard error, as that of `verge serve` does.
fn start_log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

async fn serve_until_told(node: RunningNode, mut signals: Signals) -> ExitCode {
    signals.stop().await;
    println!("\nStopping: requests in flight end first. Once more to stop at once.");
    let stopped = tokio::task::spawn_blocking(move || node.stop());
    tokio::select! {
        _ = stopped => {
            println!("Stopped.");
            ExitCode::SUCCESS
        }
        () = signals.stop() => {
            // Returning would wait for the thread that drains.
            leave_at_once()
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "nothing is to be waited for")]
fn leave_at_once() -> ExitCode {
    std::process::exit(i32::from(STOPPED_AT_ONCE))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Progress, one line for each step, with the time since the start.
struct Steps {
    clock: Clock,
    begun: Instant,
}

impl Steps {
    fn start() -> Self {
        let clock = Clock::system();
        let begun = clock.now();
        Self { clock, begun }
    }

    fn done(&self, made: bool, what: &str) {
        let word = if made { "made" } else { "found" };
        self.say(&format!("{word}: {what}"));
    }

    fn say(&self, what: &str) {
        let elapsed = self.clock.now().saturating_duration_since(self.begun);
        println!("{:7.3} s  {what}", elapsed.as_secs_f64());
    }
}
