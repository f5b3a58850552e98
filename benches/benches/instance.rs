//! What does one call of a function cost: a fresh instance against one made
//! ahead and one that stays, fields read one by one against all in one batch,
//! twelve against none? And what memory does an instance take that waits?
//!
//! The guest is `functions/testing/touch-fields`, built for `wasm32-wasip2`;
//! calls go through the function host as the node makes them, without HTTP.
//! Before each call of a prepared function the bench waits until an instance
//! is there: they are made on the same core, but between requests.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures time and prints what it found"
)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Response, Version};
use verge_base::Clock;
use verge_benches::node::component;
use verge_benches::{Rounds, Spread, interleave, machine};
use verge_http::Body;
use verge_runtime::{
    Call, CallEnd, CallId, CallReceipt, Capabilities, ClientFacts, EdgeRequest, Engine,
    EngineSettings, Function, FunctionSettings, Grants, Isolation, Limits, LogLevel, NoScope,
    QuarantineSettings, StartClass,
};

/// What the function reads, in the order in which a browser might send it.
const FIELDS: [(&str, &str); 12] = [
    ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.8,de;q=0.5"),
    (
        "authorization",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    ),
    ("cache-control", "max-age=600"),
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
];

/// Instances whose memory is measured.
const WAITING: usize = 256;

/// The functions of the guest, one for each way to read.
#[derive(Clone, Copy)]
enum Access {
    None,
    Batched,
    OneByOne,
}

struct Contender {
    name: &'static str,
    access: Access,
    start: StartClass,
    function: Function,
    request: Option<EdgeRequest>,
}

/// What one round found, in microseconds for each call.
struct Measured {
    p50: f64,
    p99: f64,
    instantiate: f64,
}

struct NoCapabilities;

impl Capabilities for NoCapabilities {
    fn config(&self, _name: &str) -> Option<String> {
        None
    }

    fn secret(&self, _name: &str) -> Option<Arc<[u8]>> {
        None
    }

    fn log(&self, _call: &CallId, _level: LogLevel, _message: &str) {}

    fn call_ended(&self, _call: &CallId, _end: &CallEnd) {}
}

fn main() -> Result<()> {
    let rounds = Rounds::from_arguments(15, 0.3)?;
    println!("instance: one call of a wasm32-wasip2 guest, on one core");
    println!("{}", machine::describe());
    println!(
        "{} interleaved rounds of {} s; medians (quartiles) in us\n",
        rounds.count, rounds.seconds
    );
    machine::pin_to(machine::SERVER_CORE)?;
    let engine = Engine::new(EngineSettings::default(), Clock::system())?;
    let mut contenders = Vec::new();
    for start in StartClass::ALL {
        for (name, access) in [
            ("no fields", Access::None),
            ("12 fields, batched", Access::Batched),
            ("12 fields, one by one", Access::OneByOne),
        ] {
            contenders.push(Contender {
                name,
                access,
                start,
                function: function(&engine, isolation(start))?,
                request: Some(request()?),
            });
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for contender in &mut contenders {
        runtime.block_on(contender.measure(0.1))?;
    }
    let samples = interleave(rounds.count, &mut contenders, |contender| {
        runtime.block_on(contender.measure(rounds.seconds))
    })?;
    println!(
        "{:<8} {:<22} {:>20} {:>20} {:>20}",
        "", "", "p50", "p99", "instantiate"
    );
    for (contender, samples) in contenders.iter().zip(&samples) {
        let of = |value: fn(&Measured) -> f64| Spread::of(samples.iter().map(value));
        println!(
            "{:<8} {:<22} {:>20} {:>20} {:>20}",
            contender.start.label(),
            contender.name,
            format!("{:.2}", of(|measured| measured.p50)),
            format!("{:.2}", of(|measured| measured.p99)),
            format!("{:.2}", of(|measured| measured.instantiate)),
        );
    }
    println!();
    for (start, group) in StartClass::ALL.iter().zip(samples.chunks(3)) {
        let [_, batched, one_by_one] = group else {
            continue;
        };
        let medians = |samples: &[Measured]| samples.iter().map(|m| m.p50).collect::<Vec<_>>();
        let ratio = Spread::of_ratios(medians(one_by_one), medians(batched));
        let start = start.label();
        println!("{start}: one by one / batched {ratio:.3}");
    }
    drop(contenders);
    memory(&engine, &runtime)
}

/// Fills a stock and looks at what the process has more than before.
fn memory(engine: &Engine, runtime: &tokio::runtime::Runtime) -> Result<()> {
    let function = function(engine, Isolation::Prepared { idle: WAITING })?;
    // A burst makes the stock grow to its bound.
    let burst = || -> Result<()> {
        for _ in 0..WAITING {
            let call = Call {
                scope: Arc::new(NoScope),
            };
            runtime
                .block_on(function.viewer_request(call, request()?))
                .verdict?;
        }
        Ok(())
    };
    let before = anonymous_bytes()?;
    let end = Instant::now() + Duration::from_secs(20);
    burst()?;
    while function.idle_instances() < WAITING {
        ensure!(Instant::now() < end, "the stock did not fill");
        burst()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    let instances = engine.slots().in_use();
    let after = anonymous_bytes()?;
    println!(
        "{instances} instances that wait: {:.1} KiB each",
        after.saturating_sub(before) as f64 / 1024.0 / instances as f64
    );
    Ok(())
}

/// Bytes of private memory of this process that are there.
fn anonymous_bytes() -> Result<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"))
        .context("smaps_rollup has no Anonymous")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

fn isolation(start: StartClass) -> Isolation {
    match start {
        StartClass::Fresh => Isolation::Fresh,
        StartClass::Prepared => Isolation::Prepared { idle: 64 },
        StartClass::Reused => Isolation::Reused {
            idle: 1,
            requests: u32::MAX,
            time: Duration::from_secs(3600),
        },
    }
}

fn function(engine: &Engine, isolation: Isolation) -> Result<Function> {
    let component = std::fs::read(component("touch_fields")?)?;
    let compiled = engine.compile(&component)?;
    Ok(engine.load(
        &compiled,
        FunctionSettings {
            name: "touch-fields".into(),
            // A deadline is wall time: whoever shares the core may keep this thread off it for longer
            // than the default.
            limits: Limits {
                deadline: Duration::from_secs(5),
                ..Limits::default()
            },
            grants: Grants::default(),
            capabilities: Arc::new(NoCapabilities),
            quarantine: QuarantineSettings::default(),
            isolation,
        },
    )?)
}

fn request() -> Result<EdgeRequest> {
    let mut fields = HeaderMap::new();
    for (name, value) in FIELDS {
        fields.insert(name, HeaderValue::from_static(value));
    }
    Ok(EdgeRequest {
        method: Method::GET,
        scheme: Scheme::HTTPS,
        authority: Authority::from_static("shop.example"),
        path_and_query: PathAndQuery::from_static("/basket?step=2"),
        fields,
        client: Arc::new(ClientFacts {
            address: Ipv4Addr::LOCALHOST.into(),
            port: 40_000,
            protocol: Version::HTTP_11,
            tls: None,
        }),
        id: "0123456789abcdef".into(),
        body: Body::Empty,
        context: Default::default(),
    })
}

impl Contender {
    async fn measure(&mut self, seconds: f64) -> Result<Measured> {
        let mut latency = Histogram::<u64>::new_with_bounds(1, 1_000_000_000, 3)?;
        let mut instantiate = Duration::ZERO;
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut begun = Instant::now();
        while begun < end {
            while self.start == StartClass::Prepared && self.function.idle_instances() == 0 {
                std::thread::yield_now();
            }
            begun = Instant::now();
            let receipt = self.call().await?;
            latency.saturating_record(u64::try_from(begun.elapsed().as_nanos())?);
            instantiate += receipt.instantiate;
        }
        let micros = |share| latency.value_at_quantile(share) as f64 / 1e3;
        Ok(Measured {
            p50: micros(0.5),
            p99: micros(0.99),
            instantiate: instantiate.as_secs_f64() * 1e6 / latency.len() as f64,
        })
    }

    async fn call(&mut self) -> Result<CallReceipt> {
        let request = self.request.take().context("the last call did not end")?;
        let call = Call {
            scope: Arc::new(NoScope),
        };
        let function = &self.function;
        let (request, result, receipt) = match self.access {
            Access::None => {
                let response = Response::new(Body::Empty);
                let ended = function.viewer_response(call, request, response).await;
                (ended.request, ended.result, ended.receipt)
            }
            Access::Batched => {
                let ended = function.viewer_request(call, request).await;
                (ended.request, ended.verdict.map(drop), ended.receipt)
            }
            Access::OneByOne => {
                let ended = function.origin_request(call, request).await;
                (ended.request, ended.verdict.map(drop), ended.receipt)
            }
        };
        self.request = Some(request);
        result?;
        // The first call of an instance that stays makes it.
        ensure!(
            receipt.start == self.start || self.start == StartClass::Reused,
            "the instance was {:?}",
            receipt.start
        );
        Ok(receipt)
    }
}
