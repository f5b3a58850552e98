//! What does a fresh viewer-request trigger that reads twelve fields add to a hit?
//!
//! The same request, with the same twelve fields, to a route without and to one
//! with the function; one connection for the latency, many for the CPU time.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use anyhow::Result;
use verge_benches::node::{Node, NodeConfig};
use verge_benches::{Load, Origin, Rounds, Sample, Spread, interleave, machine};

/// What the function reads.
const FIELDS: &[(&str, &str)] = &[
    ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.8,de;q=0.5"),
    ("cookie", "session=3f9c2a7be1; theme=dark; consent=1"),
    ("if-none-match", "\"another\""),
    ("origin", "https://shop.example"),
    ("referer", "https://shop.example/basket"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("x-api-key", "0f8fad5b-d9cb-469f-a165-70867728950e"),
    ("x-request-context", "checkout"),
    (
        "authorization",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    ),
    ("cache-control", "max-age=600"),
];

const PARALLEL: [usize; 2] = [1, 32];

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(11, 1.0)?;
    println!(
        "trigger: what a fresh viewer-request trigger with 12 fields adds to a cached 1 KiB hit"
    );
    println!("{}", machine::describe());
    println!(
        "{} interleaved rounds of {} s; medians (quartiles)\n",
        rounds.count, rounds.seconds
    );
    machine::pin_to(machine::CLIENT_CORE)?;
    let origin = Origin::start()?;
    let node = Node::start(NodeConfig::default(), &origin)?;
    let mut loads = Vec::new();
    for parallel in PARALLEL {
        for (name, path) in [("hit", "/plain/x"), ("hit and trigger", "/function/x")] {
            let mut load = Load::http1(node.http, path, parallel);
            load.fields = FIELDS;
            loads.push((name, load));
        }
    }
    let samples = interleave(rounds.count, &mut loads, |(_, load)| {
        load.run(rounds.seconds, || node.cpu())
    })?;
    println!(
        "{:<18} {:>4} {:>24} {:>22} {:>20} {:>8}",
        "", "at once", "requests/s", "server us/request", "p50 us", "p99 us"
    );
    for ((name, load), samples) in loads.iter().zip(&samples) {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "{name:<18} {:>7} {:>24} {:>22} {:>20} {:>8.0}",
            load.parallel,
            format!("{:.0}", of(|sample| sample.rate)),
            format!("{:.2}", of(|sample| sample.server_us)),
            format!("{:.1}", of(|sample| sample.p50_us)),
            of(|sample| sample.p99_us).median,
        );
    }
    println!();
    for (parallel, pair) in PARALLEL.iter().zip(samples.chunks(2)) {
        let [without, with] = pair else { continue };
        let added = |value: fn(&Sample) -> f64| {
            let pairs = with.iter().zip(without);
            Spread::of(pairs.map(|(with, without)| value(with) - value(without)))
        };
        println!(
            "{parallel} at once: the trigger adds {:.1} us to the median, {:.1} us of server CPU",
            added(|sample| sample.p50_us),
            added(|sample| sample.server_us),
        );
    }
    Ok(())
}
