//! How fast does content get past a function that does not touch it, and through one that does?
//!
//! The same 1 MiB from the cache: without a function, behind a viewer-response transform that edits
//! the head, through a `wasi:http` 0.3 middleware that hands the content on as it got it, and
//! through functions that read and write all of it.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use std::fmt::Write as _;

use anyhow::Result;
use verge_benches::node::{self, Node, NodeConfig};
use verge_benches::{Origin, Rounds, Sample, Spread, interleave, machine, wrk};

const CONTENT_BYTES: usize = 1 << 20;

/// Path, component, what its section has besides, and where it stands in its route.
const ROUTES: [(&str, &str, &str, &str); 4] = [
    (
        "/head",
        "transform",
        "config = { set = \"x-bench: yes\" }",
        "viewer_response",
    ),
    ("/middleware", "middleware", "", "viewer_middleware"),
    ("/echo", "echo_body", "", "viewer_response"),
    (
        "/substitute",
        "transform",
        "config = { replace = \"no such text => none\" }",
        "origin_response",
    ),
];

fn sites(origin: &Origin) -> Result<String> {
    let mut text = format!("[origin.app]\naddresses = [\"{}\"]\n", origin.address);
    for (path, component, keys, _) in ROUTES {
        writeln!(
            text,
            "[function.{}]\ncomponent = \"{}\"\nbody = \"16MiB\"\ncpu = \"10s\"\n\
             deadline = \"1m\"\n{keys}",
            &path[1..],
            node::component(component)?.display()
        )?;
    }
    text.push_str(
        "[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/plain\"\norigin = \"app\"\n",
    );
    for (path, _, _, place) in ROUTES {
        // What changes content in front of the store would be asked once.
        let cache = if place == "origin_response" {
            "off"
        } else {
            "on"
        };
        writeln!(
            text,
            "[[site.route]]\npath = \"{path}\"\norigin = \"app\"\ncache = \"{cache}\"\n\
             {place} = [\"{}\"]",
            &path[1..]
        )?;
    }
    text.push_str("[[site.route]]\npath = \"/pass\"\norigin = \"app\"\ncache = \"off\"\n");
    Ok(text)
}

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(7, 2.0)?;
    println!(
        "bodies: 1 MiB of content past functions and through them, HTTP/1.1, {} connections",
        wrk::CONNECTIONS
    );
    println!("{}", machine::describe());
    println!(
        "{} interleaved rounds of {} s; medians (quartiles)\n",
        rounds.count, rounds.seconds
    );
    machine::pin_to(machine::CLIENT_CORE)?;
    let origin = Origin::with_content(CONTENT_BYTES)?;
    let paths: Vec<&str> = ["/plain", "/pass"]
        .into_iter()
        .chain(ROUTES.map(|(path, ..)| path))
        .collect();
    let node = Node::with_sites(NodeConfig::default(), &sites(&origin)?, &paths)?;
    let mut contenders = paths.clone();
    let samples = interleave(rounds.count, &mut contenders, |path| {
        wrk::run(node.http, path, rounds.seconds, || node.cpu())
    })?;
    println!(
        "{:<14} {:>24} {:>24} {:>12}",
        "", "MB/s", "server us/MB", "client busy"
    );
    let megabytes = CONTENT_BYTES as f64 / 1e6;
    for (path, samples) in paths.iter().zip(&samples) {
        let of = |value: &dyn Fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "{path:<14} {:>24} {:>24} {:>10.0} %",
            format!("{:.0}", of(&|sample| sample.rate * megabytes)),
            format!("{:.1}", of(&|sample| sample.server_us / megabytes)),
            of(&|sample| sample.client_busy * 100.0).median,
        );
    }
    Ok(())
}
