//! `/cache/explain`: what is stored, what would happen, and why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually, node};

use super::kit::{HOST, get, post, purge, shop, store};

pub(super) async fn explain(node: &TestNode, path: &str, fields: Value) -> Value {
    let request = json!({"url": format!("http://{HOST}{path}"), "fields": fields});
    let (status, told) = post(node, "/cache/explain", &request).await;
    assert_eq!(status, 200, "{told}");
    told
}

pub(super) fn next(told: &Value) -> [&str; 3] {
    ["outcome", "reason", "section"].map(|key| told["next"][key].as_str().unwrap())
}

#[tokio::test]
async fn what_is_stored_is_told_and_what_would_happen() {
    let (origin, node) = shop().await;
    let told = explain(&node, "/red/a", json!([])).await;
    assert_eq!(next(&told), ["miss", "uri-miss", "RFC 9111 4"]);
    assert_eq!(told["stored"], json!([]));
    store(&node, HOST, "/red/a").await;
    let before = origin.count();
    let told = explain(&node, "/red/a", json!([])).await;
    assert_eq!(next(&told), ["hit", "fresh", "RFC 9111 4.2"]);
    assert_eq!(told["key"]["text"], "http://shop.example/red/a");
    let stored = &told["stored"][0];
    let expected = json!({
        "is_selected": true, "state": "fresh", "tier": "memory", "status": 200,
        "lifetime_seconds": 60, "lifetime_source": "max-age",
        "lifetime_section": "RFC 9111 5.2.2.1", "stale_while_revalidate_seconds": 60,
        "varies_by": ["accept-language"], "etag": "\"1\"", "surrogate_keys": ["red"],
        "purged": "none", "content_bytes": 6, "is_incomplete": false,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&stored[key], value, "{key}");
    }
    let rows = [
        (
            json!([["accept-language", "de"]]),
            ["miss", "vary-miss", "RFC 9111 4.1"],
        ),
        (
            json!([["cache-control", "no-cache"]]),
            ["validate", "request-no-cache", "RFC 9111 5.2.1.4"],
        ),
        (
            json!([["cache-control", "no-store"]]),
            ["hit", "fresh", "RFC 9111 4.2"],
        ),
        (
            json!([["cache-control", "no-store"], ["accept-language", "de"]]),
            ["bypass", "request-no-store", "RFC 9111 5.2.1.5"],
        ),
        (
            json!([["cache-control", "only-if-cached, no-cache"]]),
            ["error", "only-if-cached", "RFC 9111 5.2.1.7"],
        ),
    ];
    for (fields, expected) in rows {
        let told = explain(&node, "/red/a", fields).await;
        assert_eq!(next(&told), expected);
    }
    purge(&node, json!({"key": "red"}), true).await;
    let told = explain(&node, "/red/a", json!([])).await;
    assert_eq!(next(&told), ["hit", "stale-while-revalidate", "RFC 5861 3"]);
    assert_eq!(
        (&told["stored"][0]["state"], &told["stored"][0]["purged"]),
        (&json!("stale"), &json!("soft"))
    );
    assert_eq!(origin.count(), before, "to explain asks no origin");
}

#[tokio::test]
async fn why_something_is_not_cached_is_told() {
    let origin = Origin::start(|request| async move {
        let value = match request.path() {
            "/private" => "private",
            "/no-store" => "no-store",
            _ => "max-age=60",
        };
        respond(200, &[("cache-control", value)], "")
    })
    .await;
    let node = TestNode::start(&node::route_to(&origin)).await;
    for (path, reason, section) in [
        ("/private", "private", "RFC 9111 5.2.2.7"),
        ("/no-store", "no-store", "RFC 9111 5.2.2.5"),
    ] {
        get(&node, HOST, path).await;
        let mut told = Value::Null;
        eventually("the refusal is told", async || {
            told = explain(&node, path, json!([])).await;
            !told["last_refusal"].is_null()
        })
        .await;
        let refusal = &told["last_refusal"];
        assert_eq!(
            (&refusal["reason"], &refusal["section"]),
            (&json!(reason), &json!(section))
        );
        assert!(
            refusal["advice"].as_str().unwrap().contains(reason),
            "{refusal}"
        );
    }
    node.settles("verge_cache_refusals_total{reason=\"private\"}", 1.0)
        .await;
    get(&node, HOST, "/stored").await;
    assert!(explain(&node, "/stored", json!([])).await["last_refusal"].is_null());
}

#[tokio::test]
async fn a_refusal_is_of_the_past_once_a_response_was_stored() {
    let (origin, is_public) = changing().await;
    let node = TestNode::start(&node::route_to(&origin)).await;
    get(&node, HOST, "/a").await;
    let mut told = Value::Null;
    eventually("the refusal is told", async || {
        told = explain(&node, "/a", json!([])).await["last_refusal"].clone();
        !told.is_null()
    })
    .await;
    assert_eq!(told["reason"], "private");
    assert!(told["seconds_ago"].is_u64() && told["superseded_seconds_ago"].is_null());
    is_public.store(true, Ordering::SeqCst);
    store(&node, HOST, "/a").await;
    let told = explain(&node, "/a", json!([])).await;
    assert_eq!(next(&told)[0], "hit");
    assert_eq!(told["last_refusal"]["reason"], "private");
    assert!(
        told["last_refusal"]["superseded_seconds_ago"].is_u64(),
        "{told}"
    );
    // A new refusal counts again.
    is_public.store(false, Ordering::SeqCst);
    purge(&node, json!({"url": format!("http://{HOST}/a")}), false).await;
    get(&node, HOST, "/a").await;
    eventually("the new refusal is told", async || {
        let told = explain(&node, "/a", json!([])).await;
        told["last_refusal"]["superseded_seconds_ago"].is_null()
    })
    .await;
}

/// An origin whose answers are private until the flag is set.
async fn changing() -> (Origin, Arc<AtomicBool>) {
    let is_public = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_public);
    let origin = Origin::start(move |_| {
        let value = if asked.load(Ordering::SeqCst) {
            "max-age=60"
        } else {
            "private"
        };
        async move { respond(200, &[("cache-control", value)], "x") }
    })
    .await;
    (origin, is_public)
}

#[tokio::test]
async fn refusals_are_remembered_up_to_their_limit() {
    let (origin, _) = changing().await;
    let toml = format!("[cache]\nrefusals = 2\n{}", node::route_to(&origin));
    let node = TestNode::start(&toml).await;
    for path in ["/a", "/b", "/c"] {
        get(&node, HOST, path).await;
    }
    node.settles("verge_limit_hits_total{limit=\"refusals\"}", 1.0)
        .await;
    node.settles("verge_limit_places{limit=\"refusals\"}", 2.0)
        .await;
    assert!(explain(&node, "/a", json!([])).await["last_refusal"].is_null());
    assert_eq!(
        explain(&node, "/c", json!([])).await["last_refusal"]["reason"],
        "private"
    );
}

#[tokio::test]
async fn what_cannot_be_explained_says_what_would_be_right() {
    let (_origin, node) = shop().await;
    for request in [
        json!({"url": "/a"}),
        json!({"url": "http://shop.example/a", "client": "127.0.0.1", "method": "TRACE"}),
        json!({"url": "http://shop.example/a", "method": "TRACE"}),
        json!({"url": "http://shop.example/a", "fields": [["host", "x"]]}),
        json!({"url": "http://shop.example/a", "fields": [["a b", "x"]]}),
    ] {
        let (status, told) = post(&node, "/cache/explain", &request).await;
        assert_eq!(status, 422, "{request}: {told}");
        assert!(told["error"].is_string() && told["expected"].is_string());
    }
    for wrong in [
        json!({"uri": "x"}),
        json!({"url": "http://a/", "client": "here"}),
    ] {
        let (status, _) = post(&node, "/cache/explain", &wrong).await;
        assert_eq!(status, 400, "{wrong}");
    }
    let by_query = "/cache/explain?url=http%3A%2F%2Fshop.example%2Fa";
    assert_eq!(node.ask_admin("GET", by_query).await.status, 200);
    assert_eq!(node.ask_admin("GET", "/cache/explain").await.status, 400);
}

#[tokio::test]
async fn the_cache_is_counted_by_site_and_outcome() {
    let (_origin, node) = shop().await;
    get(&node, HOST, "/red/a").await;
    store(&node, HOST, "/red/a").await;
    let series = |name: &str, result: &str| {
        format!("verge_cache_{name}_total{{site=\"*\",result=\"{result}\"")
    };
    eventually("hits and misses are counted", async || {
        let hits = node.metric(&series("requests", "hit")).await;
        let misses = node.metric(&series("requests", "miss")).await;
        let bytes = node.metric(&series("sent_bytes", "hit")).await;
        hits >= 1.0 && misses >= 1.0 && bytes >= 6.0
    })
    .await;
    assert!(
        node.metric("verge_cache_lookup_seconds_count{tier=\"memory\"}")
            .await
            >= 2.0
    );
}
