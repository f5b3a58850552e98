//! `/cache/explain`: what is stored, what would happen, and why not.

use serde_json::{Value, json};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually, node};

use super::kit::{HOST, get, post, purge, shop, store};

async fn explain(node: &TestNode, path: &str, fields: Value) -> Value {
    let request = json!({"url": format!("http://{HOST}{path}"), "fields": fields});
    let (status, told) = post(node, "/cache/explain", &request).await;
    assert_eq!(status, 200, "{told}");
    told
}

fn next(told: &Value) -> [&str; 3] {
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
async fn what_cannot_be_explained_says_what_would_be_right() {
    let (_origin, node) = shop().await;
    for request in [
        json!({"url": "/a"}),
        json!({"url": "http://shop.example/a", "method": "TRACE"}),
        json!({"url": "http://shop.example/a", "fields": [["host", "x"]]}),
        json!({"url": "http://shop.example/a", "fields": [["a b", "x"]]}),
    ] {
        let (status, told) = post(&node, "/cache/explain", &request).await;
        assert_eq!(status, 422, "{request}: {told}");
        assert!(told["error"].is_string() && told["expected"].is_string());
    }
    let (status, _) = post(&node, "/cache/explain", &json!({"uri": "x"})).await;
    assert_eq!(status, 400);
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
