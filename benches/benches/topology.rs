//! Do per-core runtimes serve hits better than one that steals work?
//!
//! Two workers on two cores, which the client shares: the ratio is what counts.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use anyhow::Result;
use verge_benches::node::{Node, NodeConfig};
use verge_benches::{Origin, Rounds, Sample, Spread, interleave, machine, wrk};

const TOPOLOGIES: [&str; 2] = ["per-core", "work-stealing"];
const PATHS: [(&str, &str); 2] = [("hit", "/plain/x"), ("hit with a function", "/function/x")];

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(7, 2.0)?;
    println!("topology: a cached 1 KiB response, two workers, HTTP/1.1");
    println!("{}", machine::describe());
    println!(
        "{} interleaved rounds of {} s; medians (quartiles)\n",
        rounds.count, rounds.seconds
    );
    let origin = Origin::start()?;
    let mut nodes = Vec::new();
    for topology in TOPOLOGIES {
        let config = NodeConfig {
            workers: 2,
            cores: "0,1",
            topology,
            ..NodeConfig::default()
        };
        nodes.push(Node::start(config, &origin)?);
    }
    let mut contenders = Vec::new();
    for (name, path) in PATHS {
        for (topology, node) in TOPOLOGIES.iter().zip(&nodes) {
            contenders.push((name, *topology, node, path));
        }
    }
    let samples = interleave(rounds.count, &mut contenders, |(_, _, node, path)| {
        wrk::run(node.http, path, rounds.seconds, || node.cpu())
    })?;
    println!(
        "{:<22} {:<16} {:>24} {:>22} {:>8} {:>8}",
        "", "", "requests/s", "server us/request", "p50 us", "p99 us"
    );
    for ((name, topology, ..), samples) in contenders.iter().zip(&samples) {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "{name:<22} {topology:<16} {:>24} {:>22} {:>8.0} {:>8.0}",
            format!("{:.0}", of(|sample| sample.rate)),
            format!("{:.2}", of(|sample| sample.server_us)),
            of(|sample| sample.p50_us).median,
            of(|sample| sample.p99_us).median,
        );
    }
    println!();
    for ((name, _), pair) in PATHS.iter().zip(samples.chunks(TOPOLOGIES.len())) {
        let [per_core, stealing] = pair else { continue };
        let rates = |samples: &[Sample]| samples.iter().map(|s| s.rate).collect::<Vec<_>>();
        let costs = |samples: &[Sample]| samples.iter().map(|s| s.server_us).collect::<Vec<_>>();
        let rate = Spread::of_ratios(rates(per_core), rates(stealing));
        let cost = Spread::of_ratios(costs(stealing), costs(per_core));
        println!(
            "{name}: per-core / work-stealing: requests/s {rate:.3}; requests for each second of server CPU {cost:.3}"
        );
        let verdict = rate.verdict(
            "per-core serves as many or more",
            "work-stealing serves more",
        );
        println!("  {verdict}");
    }
    Ok(())
}
