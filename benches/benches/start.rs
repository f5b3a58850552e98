//! How long from the start of the process to its first answered request?
//!
//! The node has one function, which runs for that request; its compiled code
//! is in the code cache, or is not.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures time and prints what it found"
)]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use verge_benches::node::{component, program};
use verge_benches::process::{Server, free_address};
use verge_benches::{Rounds, Spread, clients, interleave, machine};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two attempts to connect.
const POLL: Duration = Duration::from_micros(100);

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(15, 0.1)?;
    println!("start: from the start of the process to its first answered request, one function");
    println!("{}", machine::describe());
    println!("{} interleaved rounds; medians (quartiles)\n", rounds.count);
    let folder = tempfile::tempdir()?;
    start(folder.path(), true)?;
    let mut contenders = [("compiled code cached", true), ("nothing cached", false)];
    let samples = interleave(rounds.count, &mut contenders, |(_, cached)| {
        start(folder.path(), *cached)
    })?;
    for ((name, _), samples) in contenders.iter().zip(&samples) {
        let millis = samples.iter().map(|took| took.as_secs_f64() * 1e3);
        println!("{name:<24} {:.1} ms", Spread::of(millis));
    }
    Ok(())
}

/// Starts a node and asks it until it answers.
fn start(folder: &Path, cached: bool) -> Result<Duration> {
    let address = free_address()?;
    let cache = if cached {
        "[runtime]\ncache_dir = \"code\"\n"
    } else {
        ""
    };
    let text = format!(
        "[listen]\nhttp = \"{address}\"\n\
         [log]\naccess = \"off\"\nfilter = \"warn\"\n{cache}\
         [function.touch]\ncomponent = \"{}\"\n\
         [[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nviewer_request = [\"touch\"]\n\
         static = {{ body = \"started\" }}\n",
        component("touch_fields")?.display()
    );
    let file = folder.join("verge.toml");
    std::fs::write(&file, text)?;
    let mut command = std::process::Command::new(program()?);
    command.arg("serve").arg("--config").arg(&file);
    command.stdout(Stdio::null());
    let begun = Instant::now();
    let server = Server::start(&mut command)?;
    while !clients::answers(address, "/") {
        if begun.elapsed() > PATIENCE {
            bail!("no answer in {PATIENCE:?}");
        }
        std::thread::sleep(POLL);
    }
    let took = begun.elapsed();
    drop(server);
    Ok(took)
}
