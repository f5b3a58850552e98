//! `cargo xtask soak`: a node under mixed load, for ten minutes unless
//! `--seconds N` says otherwise, and a report for people. Expects `verge`
//! where cargo puts it, beside the folder of this program.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks to its terminal"
)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

const SECONDS: u64 = 600;

fn seconds() -> Result<u64> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(SECONDS),
        [flag, number] if flag == "--seconds" => {
            let seconds = number
                .parse()
                .with_context(|| format!("--seconds {number}"))?;
            if seconds < 4 {
                bail!("a soak takes at least 4 seconds");
            }
            Ok(seconds)
        }
        _ => bail!("soak takes `--seconds N` only"),
    }
}

fn main() -> Result<ExitCode> {
    let length = Duration::from_secs(seconds()?);
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(std::path::Path::parent);
    let binary = folder
        .context("this is not in a target folder")?
        .join("verge");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(verge_tests::soak::run(&binary, length));
    println!("{}", report.text);
    for problem in &report.problems {
        eprintln!("failed: {problem}");
    }
    Ok(match report.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
