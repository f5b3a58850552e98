//! What an entry takes of real memory, with the allocator of the node, beside
//! what the ledger counts for it. A process of its own: it looks at the
//! resident memory of all that runs in it.

#![allow(
    clippy::print_stdout,
    reason = "the figures are for whoever reads them"
)]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use verge_base::Clock;
use verge_cache::policy::{RequestFacts, RoutePolicy, Storage, StorageFacts, decide_storage};
use verge_cache::{Begun, Cache, CacheSettings, FillStart, Finished, ResponseHead, Seeker, Target};
use verge_http::Scheme;
use verge_http::cache_control::RequestDirectives;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: u64 = 1024 * 1024;

/// The fields that a site usually sends.
fn fields(length: usize) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::ETAG, "\"5f2b-61a8\""),
        (header::LAST_MODIFIED, "Tue, 14 Oct 2025 09:30:00 GMT"),
        (header::DATE, "Tue, 14 Oct 2025 09:30:00 GMT"),
        (header::SERVER, "origin"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    fields
}

fn store(cache: &Cache, clock: &Clock, path: &str, content: &Bytes) {
    let target = Target {
        scheme: Scheme::Https,
        authority: "shop.example",
        path,
        query: None,
    };
    let key = cache.key(target, &[]);
    let request = HeaderMap::new();
    let mut permit = cache.alone(&Seeker {
        key: &key,
        fields: &request,
        directives: &RequestDirectives::default(),
        seen: None,
        hint: None,
    });
    permit.mark_sent();
    let fields = fields(content.len());
    let mut response = ResponseHead::new(StatusCode::OK, &fields, permit.received_now());
    // The Date above is long ago.
    response.initial_age = std::time::Duration::ZERO;
    let decision = decide_storage(&StorageFacts {
        request: RequestFacts::of(&Method::GET, &request, false),
        status: response.status,
        fields: &fields,
        received_wall: clock.wall(),
        initial_age: response.initial_age,
        route: RoutePolicy::default(),
    });
    let Storage::Store(plan) = decision else {
        panic!("{decision:?}");
    };
    let start = FillStart {
        response,
        plan,
        request: &request,
        made_by: None,
    };
    let Begun::Filling(mut filling) = permit.begin(start) else {
        panic!("refused");
    };
    filling
        .writer
        .push(content.clone())
        .now_or_never()
        .unwrap()
        .unwrap();
    let finished = filling.writer.finish(None).unwrap();
    assert!(matches!(finished, Finished::Stored(_)), "{finished:?}");
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// A cache of `memory` bytes into which three times as much is put, in entries
/// of `size` bytes of content: what the ledger says, and what is resident.
fn measure(memory: u64, size: usize) {
    let clock = Clock::system();
    let before = resident();
    let cache = Cache::new(CacheSettings::with_memory(memory), clock.clone());
    let content: Bytes = (0..size).map(|index| (index % 251) as u8).collect();
    let count = 3 * memory / (size as u64 + 1500);
    for index in 0..count {
        store(
            &cache,
            &clock,
            &format!("/articles/of/the/day/{index:08}"),
            &content,
        );
    }
    let stats = cache.stats();
    let taken = resident().saturating_sub(before);
    let each = |bytes: u64| bytes as f64 / stats.entries as f64;
    println!(
        "{size} bytes of content: {} entries, {:.0} bytes counted and {:.0} bytes resident for each, \
         so {:.0} and {:.0} beside the content; {:.1} MiB resident under a limit of {:.0} MiB",
        stats.entries,
        each(stats.bytes),
        each(taken),
        each(stats.bytes) - size as f64,
        each(taken) - size as f64,
        taken as f64 / MIB as f64,
        memory as f64 / MIB as f64,
    );
    assert!(stats.bytes as f64 >= memory as f64 * 0.98, "{stats:?}");
    assert!(stats.bytes_peak <= memory, "{stats:?}");
    assert!(
        taken as f64 <= memory as f64 * 1.02,
        "{taken} bytes resident, {stats:?}"
    );
}

/// Says to a process of this test which size it measures.
const SIZE: &str = "RESIDENT_SIZE";

#[test]
fn resident_memory_stays_within_what_the_ledger_counts() {
    if let Ok(size) = std::env::var(SIZE) {
        measure(128 * MIB, size.parse().unwrap());
        return;
    }
    // One process for each: an allocator keeps what it once had.
    for size in [100, 1024, 5000, 40_000, 300_000, 3_000_000] {
        let measured = Command::new(std::env::current_exe().unwrap())
            .args(["--nocapture", "--exact"])
            .arg("resident_memory_stays_within_what_the_ledger_counts")
            .env(SIZE, size.to_string())
            .status()
            .unwrap();
        assert!(measured.success(), "with {size} bytes of content");
    }
}
