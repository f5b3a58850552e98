//! Stored responses that one node fetched and all use, and fetches that one node
//! makes for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;
use verge_tests::origin::respond;
use verge_tests::redis::{Proxy, Redis};
use verge_tests::{Client, Origin, TestNode, eventually, node};

use super::kit::{Versions, comes_to, get, patient_node, purge, ready};

/// Waits until so many responses have been saved by this node.
pub(super) async fn saved(node: &TestNode, count: u64) {
    eventually("responses are saved", async || {
        let sample = node.state().shared.as_ref().unwrap().sample();
        let saves = sample.l2.saves.iter();
        saves
            .filter(|(label, _)| *label == "saved")
            .any(|(_, n)| *n >= count)
    })
    .await;
}

#[tokio::test]
async fn what_one_node_fetched_fills_the_memory_of_another() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &redis.url()).await;
    get(&here, "/a").await;
    saved(&here, 1).await;
    let reply = get(&there, "/a").await;
    assert_eq!(reply.text(), "/a v1");
    let status = reply.cache_status();
    assert!(
        status.contains("hit") && status.contains("detail=l2"),
        "{status}"
    );
    eventually("the memory has it", async || {
        let status = get(&there, "/a").await.cache_status();
        status.contains("hit") && !status.contains("detail")
    })
    .await;
    assert_eq!(versions.origin.count(), 1);
    assert!(there.metric("verge_l2_lookups_total{outcome=\"hit\"").await >= 1.0);
}

#[tokio::test]
async fn large_content_and_variants_cross_whole() {
    let redis = Redis::start().await;
    let origin = Origin::start(|request| async move {
        let language = request
            .field("accept-language")
            .unwrap_or("none")
            .to_owned();
        let body = format!("{language} ").repeat(200_000);
        let fields = [
            ("cache-control", "max-age=600"),
            ("vary", "accept-language"),
        ];
        respond(200, &fields, body)
    })
    .await;
    let toml = format!(
        "[redis]\nurl = \"{}\"\ntimeout = \"5s\"\n{}",
        redis.url(),
        node::route_to(&origin)
    );
    let (here, there) = (TestNode::start(&toml).await, TestNode::start(&toml).await);
    ready(&here).await;
    ready(&there).await;
    for (asked, language) in ["de", "fr"].into_iter().enumerate() {
        for node in [&here, &there] {
            let mut client = node.client().await;
            client.set_authority("region.example");
            let fields = [("accept-language", language)];
            let reply = client.send("GET", "/", &fields, "").await;
            assert_eq!(reply.text(), format!("{language} ").repeat(200_000));
            saved(&here, asked as u64 + 1).await;
        }
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn three_nodes_make_one_request_of_the_origin() {
    let redis = Redis::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let origin = Origin::start(move |_| {
        let held = Arc::clone(&held);
        async move {
            held.acquire().await.unwrap().forget();
            respond(200, &[("cache-control", "max-age=600")], "one for all")
        }
    })
    .await;
    let toml = format!(
        "[redis]\nurl = \"{}\"\ntimeout = \"5s\"\nlease_wait = \"1m\"\n{}",
        redis.url(),
        node::route_to(&origin)
    );
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(TestNode::start(&toml).await);
    }
    let mut clients = Vec::new();
    for node in &nodes {
        ready(node).await;
        for _ in 0..5 {
            let mut client = Client::http1(node.http()).await;
            client.set_authority("shop.example");
            clients.push(client);
        }
    }
    let asking = clients
        .into_iter()
        .map(|mut client| async move { client.get("/").await });
    let opening = async {
        eventually("the origin is asked", async || origin.count() >= 1).await;
        gate.add_permits(100);
    };
    let (replies, ()) = tokio::join!(join_all(asking), opening);
    assert!(replies.iter().all(|reply| reply.text() == "one for all"));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn what_cannot_be_shared_is_not_waited_for() {
    let redis = Redis::start().await;
    let versions = Versions::with(&[("cache-control", "no-store")]).await;
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &redis.url()).await;
    for _ in 0..3 {
        for node in [&here, &there] {
            assert_eq!(get(node, "/a").await.text(), "/a v1");
        }
    }
    assert_eq!(versions.origin.count(), 6);
}

#[tokio::test]
async fn what_was_saved_before_a_purge_is_not_found_after_it() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let here = patient_node(&versions, &redis.url()).await;
    get(&here, "/a").await;
    get(&here, "/b").await;
    saved(&here, 2).await;
    let proxy = Proxy::start(redis.address()).await;
    let there = patient_node(&versions, &proxy.url()).await;
    versions.advance();
    purge(&there, "/a");
    // At once where it was asked for, and on a node that has only read of it.
    assert_eq!(get(&there, "/a").await.text(), "/a v2");
    let late = patient_node(&versions, &redis.url()).await;
    comes_to(&late, "/a", "/a v2").await;
    assert_eq!(get(&late, "/b").await.text(), "/b v1");
    comes_to(&here, "/a", "/a v2").await;
}

#[tokio::test]
async fn age_goes_on_from_node_to_node() {
    let redis = Redis::start().await;
    let fields = &[("cache-control", "max-age=600"), ("age", "100")];
    let versions = Versions::with(fields).await;
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &redis.url()).await;
    get(&here, "/a").await;
    saved(&here, 1).await;
    let reply = get(&there, "/a").await;
    assert!(reply.cache_status().contains("detail=l2"));
    let age: u64 = reply.fields["age"].to_str().unwrap().parse().unwrap();
    assert!((100..160).contains(&age), "{age}");
}

#[tokio::test]
async fn freshened_content_is_not_sent_to_redis_again() {
    const STALE: &[(&str, &str)] = &[
        ("cache-control", "max-age=60, stale-if-error=600"),
        ("age", "70"),
        ("etag", "\"a\""),
    ];
    const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("etag", "\"a\"")];
    let redis = Redis::start().await;
    let origin = Origin::start(|request| async move {
        match request.field("if-none-match") {
            Some(_) => respond(304, FRESH, ""),
            None => respond(200, STALE, "x".repeat(2_000_000)),
        }
    })
    .await;
    let toml = format!(
        "[redis]\nurl = \"{}\"\ntimeout = \"5s\"\n{}",
        redis.url(),
        node::route_to(&origin)
    );
    let (here, there) = (TestNode::start(&toml).await, TestNode::start(&toml).await);
    ready(&here).await;
    ready(&there).await;
    get(&here, "/a").await;
    saved(&here, 1).await;
    let chunks = redis.ask(&["KEYS", "verge:c:*"]);
    let sorted = |chunks: &str| {
        let mut lines: Vec<String> = chunks.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(chunks.lines().count(), 8);
    get(&here, "/a").await;
    saved(&here, 2).await;
    let after = redis.ask(&["KEYS", "verge:c:*"]);
    assert_eq!(sorted(&after), sorted(&chunks), "the same chunks serve on");
    // They live as long as the freshened response may be of use.
    let chunk = chunks.lines().next().unwrap();
    let left: u64 = redis.ask(&["TTL", chunk]).trim().parse().unwrap();
    assert!(left > 540, "{left}");
    let reply = get(&there, "/a").await;
    assert!(
        reply.cache_status().contains("detail=l2"),
        "{}",
        reply.cache_status()
    );
    assert_eq!(reply.text(), "x".repeat(2_000_000));
    assert_eq!(origin.count(), 2);
    // A chunk that went away is not counted on: all of them are sent anew.
    redis.ask(&["DEL", chunk]);
    let late = TestNode::start(&toml).await;
    ready(&late).await;
    assert_eq!(get(&late, "/a").await.text(), "x".repeat(2_000_000));
    saved(&late, 1).await;
    let reply = get(&TestNode::start(&toml).await, "/a").await;
    assert_eq!(reply.text(), "x".repeat(2_000_000));
}

#[tokio::test]
async fn head_is_answered_from_the_region() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &redis.url()).await;
    get(&here, "/a").await;
    saved(&here, 1).await;
    let mut client = there.client().await;
    client.set_authority("shop.example");
    let reply = client.send("HEAD", "/a", &[], "").await;
    assert!(
        reply.cache_status().contains("detail=l2"),
        "{}",
        reply.cache_status()
    );
    assert_eq!(reply.field("content-length"), "5");
    assert_eq!(versions.origin.count(), 1);
}

/// Where several responses match, the most recent is used (RFC 9111 4): one of the region may be
/// fresh for longer and older all the same.
#[tokio::test]
async fn an_older_response_of_the_region_takes_no_newer_one_s_place() {
    let redis = Redis::start().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let origin = Origin::start(move |_| {
        let version = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            let lifetime = if version == 1 {
                "max-age=600"
            } else {
                "max-age=0"
            };
            let fields = [("cache-control", lifetime), ("etag", "\"x\"")];
            respond(200, &fields, format!("v{version}"))
        }
    })
    .await;
    let toml = format!(
        "[cache]\nuncollapsible_for = \"0s\"\n[redis]\nurl = \"{}\"\ntimeout = \"5s\"\n{}",
        redis.url(),
        node::route_to(&origin)
    );
    let node = TestNode::start(&toml).await;
    ready(&node).await;
    assert_eq!(get(&node, "/a").await.text(), "v1");
    saved(&node, 1).await;
    let mut client = node.client().await;
    client.set_authority("shop.example");
    let reload = client
        .get_with("/a", &[("cache-control", "no-cache")])
        .await;
    assert_eq!(reload.text(), "v2");
    let reply = get(&node, "/a").await;
    assert_eq!(reply.text(), "v3", "{}", reply.cache_status());
}
