//! What does a cached 1 KiB response cost, over each protocol?

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use anyhow::{Context as _, Result};
use verge_benches::node::{Node, NodeConfig};
use verge_benches::{Load, Origin, Rounds, Spread, interleave, machine};

/// Requests at once.
const PARALLEL: usize = 32;

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(7, 1.5)?;
    println!("hit: a cached 1 KiB response, {PARALLEL} requests at once, one worker");
    println!("{}", machine::describe());
    println!(
        "{} interleaved rounds of {} s; medians (quartiles)\n",
        rounds.count, rounds.seconds
    );
    machine::pin_to(machine::CLIENT_CORE)?;
    let origin = Origin::start()?;
    let config = NodeConfig {
        tls: true,
        ..NodeConfig::default()
    };
    let node = Node::start(config, &origin)?;
    let mut loads = loads(&node)?;
    let samples = interleave(rounds.count, &mut loads, |(_, load)| {
        load.run(rounds.seconds, || node.cpu())
    })?;
    println!(
        "{:<16} {:>24} {:>22} {:>8} {:>8} {:>11}",
        "", "requests/s", "server us/request", "p50 us", "p99 us", "client busy"
    );
    for ((name, _), samples) in loads.iter().zip(&samples) {
        let of = |value: fn(&verge_benches::Sample) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "{name:<16} {:>24} {:>22} {:>8.0} {:>8.0} {:>10.0}%",
            format!("{:.0}", of(|sample| sample.rate)),
            format!("{:.2}", of(|sample| sample.server_us)),
            of(|sample| sample.p50_us).median,
            of(|sample| sample.p99_us).median,
            of(|sample| sample.client_busy * 100.0).median,
        );
    }
    Ok(())
}

fn loads(node: &Node) -> Result<[(&'static str, Load); 4]> {
    let https = node.https.context("no HTTPS listener")?;
    let certificates = node.certificates.as_ref().context("no certificate")?;
    let plain = Load::http1(node.http, "/plain/x", PARALLEL);
    Ok([
        ("HTTP/1.1", plain.clone()),
        (
            "HTTP/1.1, TLS",
            Load {
                address: https,
                tls: Some(certificates.client("http/1.1")),
                ..plain.clone()
            },
        ),
        (
            "HTTP/2",
            Load {
                http2: true,
                ..plain.clone()
            },
        ),
        (
            "HTTP/2, TLS",
            Load {
                address: https,
                http2: true,
                tls: Some(certificates.client("h2")),
                ..plain
            },
        ),
    ])
}
