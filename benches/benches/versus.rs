//! Is a cached 1 KiB response as cheap as with nginx's `proxy_cache`?
//!
//! Both serve from the same core, one worker each, without access logs and
//! without sendfile; wrk asks from the other core over HTTP/1.1.

#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use std::net::SocketAddr;

use anyhow::Result;
use verge_benches::nginx::{self, Nginx};
use verge_benches::node::{Node, NodeConfig};
use verge_benches::{Origin, Rounds, Sample, Spread, interleave, machine, wrk};

/// Above this share of its core the client is the limit.
const CLIENT_LIMIT: f64 = 0.95;

enum Contender {
    Verge(Node),
    Nginx(Nginx, &'static str),
}

impl Contender {
    fn name(&self) -> &'static str {
        match self {
            Self::Verge(_) => "verge",
            Self::Nginx(_, name) => name,
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Verge(node) => node.http,
            Self::Nginx(nginx, _) => nginx.http,
        }
    }

    fn measure(&self, seconds: f64) -> Result<Sample> {
        wrk::run(self.address(), "/plain/x", seconds, || match self {
            Self::Verge(node) => node.cpu(),
            Self::Nginx(nginx, _) => nginx.cpu(),
        })
    }
}

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(15, 2.0)?;
    println!(
        "versus: a cached 1 KiB response, HTTP/1.1, {} connections",
        wrk::CONNECTIONS
    );
    println!("{}; {}", machine::describe(), nginx::version());
    println!(
        "{} interleaved rounds of {} s; medians (quartiles)\n",
        rounds.count, rounds.seconds
    );
    machine::pin_to(machine::CLIENT_CORE)?;
    let origin = Origin::start()?;
    let mut contenders = [
        Contender::Verge(Node::start(NodeConfig::default(), &origin)?),
        Contender::Nginx(Nginx::start(&origin, false)?, "nginx"),
        Contender::Nginx(Nginx::start(&origin, true)?, "nginx, open_file_cache"),
    ];
    for contender in &contenders {
        contender.measure(1.0)?;
    }
    let samples = interleave(rounds.count, &mut contenders, |contender| {
        contender.measure(rounds.seconds)
    })?;
    print_table(&contenders, &samples);
    let mut results = contenders.iter().zip(&samples);
    if let Some((_, ours)) = results.next() {
        for (other, theirs) in results {
            conclude(other.name(), ours, theirs);
        }
    }
    Ok(())
}

fn print_table(contenders: &[Contender], samples: &[Vec<Sample>]) {
    println!(
        "{:<24} {:>24} {:>20} {:>8} {:>8} {:>11}",
        "", "requests/s", "server us/request", "p50 us", "p99 us", "client busy"
    );
    for (contender, samples) in contenders.iter().zip(samples) {
        let of = |value: fn(&Sample) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "{:<24} {:>24} {:>20} {:>8.0} {:>8.0} {:>10.0}%",
            contender.name(),
            format!("{:.0}", of(|sample| sample.rate)),
            format!("{:.2}", of(|sample| sample.server_us)),
            of(|sample| sample.p50_us).median,
            of(|sample| sample.p99_us).median,
            of(|sample| sample.client_busy * 100.0).median,
        );
    }
    println!();
}

fn conclude(name: &str, ours: &[Sample], theirs: &[Sample]) {
    let of = |samples: &[Sample], value: fn(&Sample) -> f64| -> Vec<f64> {
        samples.iter().map(value).collect()
    };
    let busy = |samples| Spread::of(of(samples, |sample| sample.client_busy)).median;
    let by_rate = Spread::of_ratios(of(ours, |s| s.rate), of(theirs, |s| s.rate));
    let by_cpu = Spread::of_ratios(of(theirs, |s| s.server_us), of(ours, |s| s.server_us));
    println!(
        "verge / {name}: requests/s {by_rate:.3}; requests for each second of server CPU {by_cpu:.3}"
    );
    let client_is_limit = busy(ours).max(busy(theirs)) > CLIENT_LIMIT;
    let (ratio, measure) = if client_is_limit {
        println!("  the client's core is the limit, so server CPU is compared");
        (by_cpu, "for each second of server CPU")
    } else {
        (by_rate, "for each second")
    };
    let verdict = ratio.verdict("at least as many requests as", "fewer requests than");
    println!("  {verdict} {name} {measure}\n");
}
