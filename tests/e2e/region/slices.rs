//! Responses in slices that a region shares: how often Redis is asked about them, and what is
//! begun with them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Method;
use tempfile::TempDir;
use verge_http::range::{RangeSelection, content_range, select_ranges};
use verge_tests::origin::respond;
use verge_tests::redis::{Passing, Proxy, Redis};
use verge_tests::{Origin, Reply, TestNode, eventually, node};

use super::kit::ready;
use super::responses::saved;

const SLICE: usize = 64 * 1024;

/// Cache-Control and Age of what is fresh, and of what is stale and within its window.
const FRESH: (&str, &str) = ("max-age=600", "0");
const WINDOW: (&str, &str) = ("max-age=60, stale-while-revalidate=600", "70");

/// Content of `slices` slices, another one for each version.
fn content(slices: usize, version: usize) -> Bytes {
    let bytes = (0..slices * SLICE).map(|at| (at / 251 + at + 7 * version) as u8);
    bytes.collect::<Vec<u8>>().into()
}

/// An origin that answers a range, or that knows none, with the content of its version.
async fn origin(
    slices: usize,
    knows_ranges: bool,
    (cache_control, age): (&'static str, &'static str),
) -> (Origin, Arc<AtomicUsize>) {
    let version = Arc::new(AtomicUsize::new(1));
    let told = Arc::clone(&version);
    let origin = Origin::start(move |request| {
        let version = told.load(Ordering::SeqCst);
        async move {
            let all = content(slices, version);
            let tag = format!("\"{version}\"");
            let fields = [
                ("cache-control", cache_control),
                ("age", age),
                ("etag", tag.as_str()),
            ];
            if request.field("if-none-match") == Some(&tag) {
                return respond(304, &fields, "");
            }
            let total = all.len() as u64;
            match select_ranges(&Method::GET, &request.fields, true, total) {
                RangeSelection::Single(part) if knows_ranges => {
                    let range = content_range(part, total);
                    let range = ("content-range", range.to_str().unwrap());
                    let part = all.slice(part.first as usize..=part.last as usize);
                    respond(206, &[&fields[..], &[range]].concat(), part)
                }
                _ => respond(200, &fields, all),
            }
        }
    })
    .await;
    (origin, version)
}

/// A node of the region on a route in slices, with a disk if there is a folder for it.
async fn sharing(origin: &Origin, redis: &str, folder: Option<&Path>) -> TestNode {
    let disk = folder.map_or_else(String::new, |path| {
        let path = path.display();
        format!("[cache.disk]\npath = \"{path}\"\nsize = \"64MiB\"\n")
    });
    let toml = format!(
        "{disk}[redis]\nurl = \"{redis}\"\ntimeout = \"5s\"\n{}\
         ranges = \"slices\"\nslice = \"64KiB\"\n",
        node::route_to(origin)
    );
    let node = TestNode::start(&toml).await;
    ready(&node).await;
    eventually("the disk is read", async || {
        let disk = node.state().disk.as_ref();
        disk.is_none_or(|disk| disk.stats().is_ready)
    })
    .await;
    node
}

async fn get(node: &TestNode, fields: &[(&str, &str)]) -> Reply {
    let mut client = node.client().await;
    client.set_authority("shop.example");
    client.get_with("/a", fields).await
}

/// How often keys were looked up in Redis since it last counted.
fn lookups(redis: &Redis) -> usize {
    let counted = redis.ask(&["INFO", "commandstats"]);
    let line = counted
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_hvals:calls="));
    let count = line.and_then(|line| line.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn whole_response_of_the_region_costs_a_route_in_slices_one_more_question() {
    let redis = Redis::start().await;
    let (origin, _) = origin(20, false, FRESH).await;
    let here = sharing(&origin, &redis.url(), None).await;
    assert!(get(&here, &[]).await.body == content(20, 1));
    saved(&here, 1).await;
    for fields in [&[][..], &[("cache-control", "only-if-cached")]] {
        let there = sharing(&origin, &redis.url(), None).await;
        redis.ask(&["CONFIG", "RESETSTAT"]);
        let reply = get(&there, fields).await;
        let status = reply.cache_status();
        assert!(reply.body == content(20, 1), "{} {status}", reply.status);
        assert!(status.contains("detail=l2"), "{status}");
        assert_eq!(lookups(&redis), 2, "whether it is there, and what it is");
        // From memory, nothing is asked.
        eventually("it is in memory", async || {
            there.state().cache.stats().fills_in_progress == 0
        })
        .await;
        assert!(get(&there, fields).await.body == content(20, 1));
        assert_eq!(lookups(&redis), 2);
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn only_if_cached_asks_redis_for_nothing_that_the_disk_has() {
    let (redis, folder) = (Redis::start().await, TempDir::new().unwrap());
    let (origin, _) = origin(20, true, FRESH).await;
    let node = sharing(&origin, &redis.url(), Some(folder.path())).await;
    assert!(get(&node, &[]).await.body == content(20, 1));
    saved(&node, 20).await;
    node.stop().await;
    let node = sharing(&origin, &redis.url(), Some(folder.path())).await;
    redis.ask(&["CONFIG", "RESETSTAT"]);
    let reply = get(&node, &[("cache-control", "only-if-cached")]).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body == content(20, 1));
    // Whether it has the whole, which the disk has not.
    assert_eq!(lookups(&redis), 1);
    assert_eq!(origin.count(), 20);
}

/// RFC 9111 3.4: who follows another request into a tier finds out as well that what the tier had
/// is of something else by now.
#[tokio::test]
async fn response_that_follows_an_old_slice_of_the_region_is_begun_anew() {
    let redis = Redis::start().await;
    let (origin, version) = origin(3, true, WINDOW).await;
    let part = [("range", "bytes=0-9")];
    let here = sharing(&origin, &redis.url(), None).await;
    assert!(get(&here, &part).await.body == content(3, 1).slice(..10));
    saved(&here, 1).await;
    version.store(2, Ordering::SeqCst);
    let proxy = Proxy::start(redis.address()).await;
    let there = sharing(&origin, &proxy.url(), None).await;
    proxy.set(Passing::Stalled);
    let all = async {
        // Behind the request for a part, which is all that a slice tells.
        eventually("a slice is being looked for", async || {
            there.state().cache.stats().fills_in_progress == 0
                && there.state().requests.in_use() == 1
        })
        .await;
        let asked = get(&there, &[]);
        let opened = async {
            eventually("both wait", async || there.state().requests.in_use() == 2).await;
            proxy.set(Passing::All);
        };
        tokio::join!(asked, opened).0
    };
    let (first, all) = tokio::join!(get(&there, &part), all);
    assert_eq!(first.body.len(), 10);
    assert!(
        all.body == content(3, 2),
        "cut or mixed: {}",
        all.cache_status()
    );
}

/// What nobody can say in time is not waited for, whatever a command may take.
#[tokio::test]
async fn only_if_cached_waits_for_no_region_that_does_not_answer() {
    let redis = Redis::start().await;
    let (origin, _) = origin(20, true, FRESH).await;
    let here = sharing(&origin, &redis.url(), None).await;
    assert!(get(&here, &[]).await.body == content(20, 1));
    saved(&here, 20).await;
    let proxy = Proxy::start(redis.address()).await;
    let there = sharing(&origin, &proxy.url(), None).await;
    let only = [("cache-control", "only-if-cached")];
    proxy.set(Passing::Stalled);
    assert_eq!(get(&there, &only).await.status, 504);
    let given_up = "verge_limit_hits_total{limit=\"slice-lookup-time\"}";
    there.settles(given_up, 1.0).await;
    there
        .settles("verge_limit_in_use{limit=\"slice-lookups\"}", 0.0)
        .await;
    proxy.set(Passing::All);
    eventually("the region answers again", async || {
        get(&there, &only).await.body == content(20, 1)
    })
    .await;
    assert_eq!(origin.count(), 20);
}
