//! A function that is swapped again and again under load: no request fails, none is served by two
//! versions, and memory stays flat. Some swaps here; `cargo xtask soak swaps` makes 1,000.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use verge_tests::Origin;
use verge_tests::client::Client;
use verge_tests::guests::{WIDE_LIMITS, runtime, version};
use verge_tests::node::Setup;
use verge_tests::origin::respond;

/// Swaps, unless `VERGE_SWAPS` says otherwise.
const SWAPS: usize = 24;
/// Versions that take turns: code that was compiled once is in the code cache from then on.
const VERSIONS: usize = 8;
/// From so many swaps on, memory is judged: fewer are still warming up.
const JUDGED: usize = 200;
/// What the second half of the swaps may add to resident memory.
const GROWTH_MIB: f64 = 16.0;

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: f64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib / 1024.0
}

/// An answer names the version that ran before it.
async fn origin() -> Origin {
    Origin::start(async |request| {
        let version = request.field("x-viewer-request").unwrap_or("-").to_owned();
        respond(200, &[], version)
    })
    .await
}

fn toml(origin: &Origin, isolation: &str) -> String {
    format!(
        "{}[limits]\nrequests_per_connection = 1000000000\n[function.f]\ncomponent = \"f.wasm\"\n\
         {WIDE_LIMITS}isolation = \"{isolation}\"\n[origin.app]\naddresses = [\"{}\"]\n[[site]]\n\
         names = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\ncache = \"off\"\n\
         viewer_request = [\"f\"]\nviewer_response = [\"f\"]\n",
        runtime(),
        origin.address,
    )
}

async fn swap_under_load(isolation: &str, swaps: usize) {
    let names: Vec<_> = (0..VERSIONS).map(|number| format!("v{number}")).collect();
    let versions: Vec<_> = names.iter().map(|name| version(name)).collect();
    let origin = origin().await;
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), &versions[0]).unwrap();
    let node = setup.start(&toml(&origin, isolation)).await;
    let address = node.http();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|index| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                // One connection for the whole test: none is dropped by a swap.
                let mut client = match index % 2 {
                    0 => Client::http1(address).await,
                    _ => Client::h2c(address).await,
                };
                let mut count = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.get("/").await;
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    let sent = reply.field("x-viewer-response");
                    assert!(sent.starts_with('v'), "{sent}");
                    assert_eq!(sent, reply.text(), "two versions in one");
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut half = 0.0;
    let mut watcher = node.client().await;
    for number in 1..=swaps {
        node.save("f.wasm", &versions[number % VERSIONS]);
        let reloaded = node.ask_admin("POST", "/reload").await;
        assert_eq!(reloaded.status, 200, "{}", reloaded.text());
        // The answer to the reload comes when the new version serves.
        assert_eq!(watcher.get("/").await.text(), names[number % VERSIONS]);
        if number == swaps / 2 {
            half = resident_mib();
        }
    }
    let end = resident_mib();
    stop.store(true, Ordering::Relaxed);
    let mut answered = Vec::new();
    for client in clients {
        answered.push(client.await.unwrap());
    }
    println!(
        "{swaps} swaps, {isolation}: requests by client {answered:?}; resident {half:.1} MiB at \
         half of them, {end:.1} at the end"
    );
    assert!(
        answered.iter().all(|count| *count > swaps as u64),
        "{answered:?}"
    );
    if swaps >= JUDGED {
        assert!(end < half + GROWTH_MIB, "{half:.1} MiB became {end:.1}");
    }
    node.settles("verge_reloads_total{result=\"failed\"}", 0.0)
        .await;
    node.settles("verge_panics_total", 0.0).await;
}

fn swaps() -> usize {
    let swaps = std::env::var("VERGE_SWAPS").ok();
    swaps.map_or(SWAPS, |swaps| swaps.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_of_a_reused_function_fail_no_request_and_mix_no_versions() {
    swap_under_load("reused", swaps()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swaps_of_a_prepared_function_fail_no_request_and_mix_no_versions() {
    swap_under_load("prepared", swaps()).await;
}
