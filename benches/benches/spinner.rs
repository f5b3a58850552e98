//! What does a function that spins cost the others on its core?
//!
//! One worker answers hits; beside them it runs a function that computes for as
//! long as is measured, within a budget that allows it.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Result, ensure};
use verge_benches::node::{Node, NodeConfig};
use verge_benches::{Load, Origin, Rounds, Sample, Spread, interleave, machine};

const PARALLEL: [usize; 2] = [1, 32];

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(11, 1.0)?;
    println!("spinner: a cached 1 KiB response, without and with a guest that spins on its core");
    println!("{}", machine::describe());
    println!(
        "{} interleaved rounds of {} s; medians (quartiles)\n",
        rounds.count, rounds.seconds
    );
    machine::pin_to(machine::CLIENT_CORE)?;
    let origin = Origin::start()?;
    let node = Node::start(NodeConfig::default(), &origin)?;
    let mut contenders = Vec::new();
    for parallel in PARALLEL {
        for spins in [false, true] {
            contenders.push((Load::http1(node.http, "/plain/x", parallel), spins));
        }
    }
    let samples = interleave(rounds.count, &mut contenders, |(load, spins)| {
        if *spins {
            beside_a_spinner(&node, load, rounds.seconds)
        } else {
            load.run(rounds.seconds, || node.cpu())
        }
    })?;
    println!(
        "{:>7} {:<14} {:>24} {:>24} {:>24}",
        "at once", "", "requests/s", "p50 us", "p99 us"
    );
    for ((load, spins), samples) in contenders.iter().zip(&samples) {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "{:>7} {:<14} {:>24} {:>24} {:>24}",
            load.parallel,
            if *spins { "with a spinner" } else { "alone" },
            format!("{:.0}", of(|sample| sample.rate)),
            format!("{:.0}", of(|sample| sample.p50_us)),
            format!("{:.0}", of(|sample| sample.p99_us)),
        );
    }
    println!();
    for (parallel, pair) in PARALLEL.iter().zip(samples.chunks(2)) {
        let [without, with] = pair else { continue };
        let tails = |samples: &[Sample]| samples.iter().map(|s| s.p99_us).collect::<Vec<_>>();
        let ratio = Spread::of_ratios(tails(with), tails(without));
        println!("{parallel} at once: p99 with a spinner / alone {ratio:.2}");
    }
    Ok(())
}

/// Measures hits while the function runs; it ends with its client.
fn beside_a_spinner(node: &Node, load: &Load, seconds: f64) -> Result<Sample> {
    let mut client = TcpStream::connect(node.http)?;
    client.write_all(b"GET /spin/x HTTP/1.1\r\nhost: bench\r\n\r\n")?;
    let sample = load.run(seconds, || node.cpu())?;
    client.set_nonblocking(true)?;
    let answer = client.read(&mut [0; 64]);
    let is_running = matches!(&answer, Err(error) if error.kind() == ErrorKind::WouldBlock);
    ensure!(is_running, "the function has ended: {answer:?}");
    Ok(sample)
}
