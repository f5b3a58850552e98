//! The command line: one file for each command.

mod admin_client;
mod build;
mod check;
mod dev;
mod explain;
mod folder;
mod new;
mod problem;
mod purge;
mod replay;
mod reuse_check;
mod serve;
mod test;
mod versions;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use verge_config::Problem;

/// An edge node: TLS, a shared HTTP cache and WebAssembly functions in one binary.
#[derive(Debug, Parser)]
#[command(name = "verge", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C, then drain. SIGHUP reloads.
    Serve {
        /// The configuration file.
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check a configuration, with its files and functions, and report every problem.
    Check {
        /// The configuration file.
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make a function's folder: code, a test, a scenario, and how it runs.
    New(new::NewArguments),
    /// Serve a function while it is written: build, watch, swap, show each request.
    Dev(dev::DevArguments),
    /// Run scenarios against a real node in this process.
    Test(test::TestArguments),
    /// Build a function's component.
    Build(build::BuildArguments),
    /// Put a new version of a function in place on a running node, for all or a part of the requests.
    Deploy(Box<versions::DeployArguments>),
    /// Make the version beside the live one, or a kept one, the live one.
    Promote(Box<versions::PromoteArguments>),
    /// Go back to the version before, at once.
    Rollback(Box<versions::RollbackArguments>),
    /// List the versions of functions.
    Versions(Box<versions::VersionsArguments>),
    /// Take stored responses out of a running node's cache.
    Purge(Box<purge::PurgeArguments>),
    /// Make a recorded call of a function again: what it was given, what the node told it, what it came to.
    Replay(replay::ReplayArguments),
    /// Whether functions keep something of one request for another, and so must not be reused.
    ReuseCheck(reuse_check::ReuseCheckArguments),
    /// Why a request is, or is not, answered from a running node's cache.
    Explain(Box<explain::ExplainArguments>),
}

/// Prints every problem of the configuration at `path`, and how many there are.
#[expect(clippy::print_stderr, reason = "a command's own output")]
fn report(path: &Path, problems: &[Problem]) {
    let mut in_order: Vec<&Problem> = problems.iter().collect();
    in_order.sort_by_key(|problem| (problem.line, problem.column));
    for problem in in_order {
        eprintln!("{problem}");
    }
    eprintln!("{}: {}", path.display(), count(problems.len(), "problem"));
}

/// `1 site`, `2 sites`.
fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Runs the command that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve { config } => serve::serve(&config),
        Command::Check { config } => check::check(&config),
        Command::New(arguments) => new::new(&arguments),
        Command::Dev(arguments) => dev::dev(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Build(arguments) => build::build(&arguments),
        Command::Deploy(arguments) => versions::deploy(&arguments),
        Command::Promote(arguments) => versions::promote(&arguments),
        Command::Rollback(arguments) => versions::rollback(&arguments),
        Command::Versions(arguments) => versions::versions(&arguments),
        Command::Purge(arguments) => purge::purge(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::ReuseCheck(arguments) => reuse_check::reuse_check(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
    }
}
