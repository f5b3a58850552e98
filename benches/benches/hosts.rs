//! How fast does a function answer by itself, beside other hosts of functions?
//!
//! The same component in the node and in `wasmtime serve`: `wasi:http` 0.2 and 0.3, an instance
//! for each request and instances that are used again; and a script that says the same in workerd.
//! All serve from one core; wrk asks from the other one over HTTP/1.1.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use std::fmt::Write as _;

use anyhow::Result;
use verge_benches::node::{self, Node, NodeConfig};
use verge_benches::peers::Peer;
use verge_benches::{Rounds, Sample, Spread, interleave, machine, wrk};

/// As many as no run comes to.
const ALWAYS: usize = 1_000_000_000;

/// What a ratio is said of: ours, theirs, and what both do.
const PAIRS: [(&str, &str); 8] = [
    ("verge 0.2 fresh", "wasmtime 0.2 fresh"),
    ("verge 0.2 prepared", "wasmtime 0.2 fresh"),
    ("verge 0.2 reused", "wasmtime 0.2 reused"),
    ("verge 0.2 fresh", "wasmtime 0.2 reused"),
    ("verge 0.3 fresh", "wasmtime 0.3 fresh"),
    ("verge 0.2 fresh", "workerd"),
    ("verge 0.2 reused", "workerd"),
    ("verge 0.3 fresh", "wasmtime 0.3 reused"),
];

enum Contender<'a> {
    Verge(&'static str, &'a Node, &'static str),
    Peer(&'static str, Peer),
}

impl Contender<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Verge(name, ..) | Self::Peer(name, _) => name,
        }
    }

    fn measure(&self, seconds: f64) -> Result<Sample> {
        match self {
            Self::Verge(_, node, path) => wrk::run(node.http, path, seconds, || node.cpu()),
            Self::Peer(_, peer) => wrk::run(peer.http, "/", seconds, || peer.cpu()),
        }
    }
}

/// A route for each function and isolation.
fn sites() -> Result<String> {
    let mut text = String::new();
    let (hello, service) = (node::component("hello")?, node::component("service")?);
    let kinds = [
        ("fresh", &hello, "fresh"),
        ("prepared", &hello, "prepared"),
        ("reused", &hello, "reused"),
        ("service", &service, "fresh"),
    ];
    for (name, component, isolation) in kinds {
        writeln!(
            text,
            "[function.{name}]\ncomponent = \"{}\"\nisolation = \"{isolation}\"\ndeadline = \"5s\"",
            component.display()
        )?;
    }
    text.push_str("[[site]]\nnames = [\"*\"]\n");
    for (name, ..) in kinds {
        writeln!(
            text,
            "[[site.route]]\npath = \"/{name}\"\nfunction = \"{name}\""
        )?;
    }
    Ok(text)
}

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(9, 2.0)?;
    println!(
        "hosts: a function that says hello, HTTP/1.1, {} connections",
        wrk::CONNECTIONS
    );
    println!("{}", machine::describe());
    println!(
        "{} interleaved rounds of {} s; medians (quartiles)\n",
        rounds.count, rounds.seconds
    );
    machine::pin_to(machine::CLIENT_CORE)?;
    let node = Node::with_sites(
        NodeConfig::default(),
        &sites()?,
        &["/fresh", "/prepared", "/reused", "/service"],
    )?;
    let (hello, service) = (node::component("hello")?, node::component("service")?);
    let mut contenders = [
        Contender::Verge("verge 0.2 fresh", &node, "/fresh"),
        Contender::Verge("verge 0.2 prepared", &node, "/prepared"),
        Contender::Verge("verge 0.2 reused", &node, "/reused"),
        Contender::Verge("verge 0.3 fresh", &node, "/service"),
        Contender::Peer("wasmtime 0.2 fresh", Peer::wasmtime(&hello, 1)?),
        Contender::Peer("wasmtime 0.2 reused", Peer::wasmtime(&hello, ALWAYS)?),
        Contender::Peer("wasmtime 0.3 fresh", Peer::wasmtime(&service, 1)?),
        Contender::Peer("wasmtime 0.3 reused", Peer::wasmtime(&service, ALWAYS)?),
        Contender::Peer("workerd", Peer::workerd()?),
    ];
    for contender in &contenders {
        contender.measure(1.0)?;
    }
    let samples = interleave(rounds.count, &mut contenders, |contender| {
        contender.measure(rounds.seconds)
    })?;
    let results: Vec<(&str, Vec<Sample>)> = contenders
        .iter()
        .map(Contender::name)
        .zip(samples)
        .collect();
    print_table(&results);
    for (ours, theirs) in PAIRS {
        conclude(&results, ours, theirs);
    }
    Ok(())
}

fn print_table(results: &[(&str, Vec<Sample>)]) {
    println!(
        "{:<22} {:>24} {:>22} {:>8} {:>8} {:>12}",
        "", "requests/s", "server us/request", "p50 us", "p99 us", "client busy"
    );
    for (name, samples) in results {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "{name:<22} {:>24} {:>22} {:>8.0} {:>8.0} {:>10.0} %",
            format!("{:.0}", of(|sample| sample.rate)),
            format!("{:.2}", of(|sample| sample.server_us)),
            of(|sample| sample.p50_us).median,
            of(|sample| sample.p99_us).median,
            of(|sample| sample.client_busy * 100.0).median,
        );
    }
    println!();
}

fn conclude(results: &[(&str, Vec<Sample>)], ours: &str, theirs: &str) {
    let of = |wanted: &str, value: fn(&Sample) -> f64| -> Vec<f64> {
        let samples = results.iter().find(|(name, _)| *name == wanted);
        samples.map_or_else(Vec::new, |(_, samples)| samples.iter().map(value).collect())
    };
    let by_rate = Spread::of_ratios(of(ours, |s| s.rate), of(theirs, |s| s.rate));
    let by_cpu = Spread::of_ratios(of(theirs, |s| s.server_us), of(ours, |s| s.server_us));
    println!(
        "{ours} / {theirs}: requests/s {by_rate:.2}; requests for each second of server CPU {by_cpu:.2}"
    );
}
