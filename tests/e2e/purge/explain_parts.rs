//! What `/cache/explain` makes of requests for parts while others ask for them.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, eventually, node};

use super::explain::{explain, next};
use super::kit::{HOST, store};

/// An origin that knows one part, which it keeps back until the test lets it go.
async fn origin(gate: &Arc<Semaphore>) -> Origin {
    let gate = Arc::clone(gate);
    Origin::start(move |_| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            let fields = [
                ("cache-control", "max-age=60"),
                ("etag", "\"1\""),
                ("content-range", "bytes 0-3/10"),
            ];
            respond(206, &fields, "0123")
        }
    })
    .await
}

#[tokio::test]
async fn a_part_that_is_being_fetched_is_shared_unless_it_is_for_one_client() {
    let rows = [
        (vec![("range", "bytes=0-3")], "collapsed", "shares it"),
        (
            vec![("range", "bytes=0-3"), ("if-range", "\"1\"")],
            "miss",
            "is not stored",
        ),
    ];
    for (fields, expected, words) in rows {
        let gate = Arc::new(Semaphore::new(0));
        let origin = origin(&gate).await;
        let node = TestNode::start(&node::route_to(&origin)).await;
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = Client::http1(node.http()).await;
            client.set_authority(HOST);
            clients.push(client);
        }
        let mut second = clients.pop().unwrap();
        let mut first = clients.pop().unwrap();
        let asked = first.get_with("/a", &fields);
        let explained = async {
            eventually("the part is asked for", async || origin.count() == 1).await;
            let fields: Vec<_> = fields.iter().map(|(name, value)| [name, value]).collect();
            let told = explain(&node, "/a", json!(fields)).await;
            assert_eq!(next(&told)[0], expected);
            let what = told["next"]["what"].as_str().unwrap();
            assert!(what.contains(words), "{what}");
        };
        let follows = async {
            explained.await;
            let reply = second.get_with("/a", &fields);
            let opens = async {
                eventually("it follows", async || {
                    node.state().cache.stats().collapsed == 1
                })
                .await;
                gate.add_permits(2);
            };
            tokio::join!(reply, opens).0
        };
        let (_, reply) = tokio::join!(asked, follows);
        assert_eq!(reply.text(), "0123");
        let is_shared = reply.cache_status().contains("collapsed");
        assert_eq!(is_shared, expected == "collapsed");
        assert_eq!(origin.count(), if is_shared { 1 } else { 2 });
    }
}

#[tokio::test]
async fn explaining_counts_no_limit() {
    let origin = Origin::start(async |_| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"1\"")];
        respond(200, &fields, "0123456789".repeat(100))
    })
    .await;
    let node = TestNode::start(&node::route_to(&origin)).await;
    store(&node, HOST, "/a").await;
    let ranges: Vec<_> = (0..17)
        .map(|n| format!("{}-{}", n * 20, n * 20 + 1))
        .collect();
    let range = format!("bytes={}", ranges.join(","));
    let told = explain(&node, "/a", json!([["range", range]])).await;
    assert_eq!(told["next"]["status"], 200);
    let counted = "verge_limit_hits_total{limit=\"ranges\"}";
    assert!(node.metric(counted).await == 0.0);
    let mut client = Client::http1(node.http()).await;
    client.set_authority(HOST);
    let reply = client.get_with("/a", &[("range", range.as_str())]).await;
    assert_eq!(reply.status, 200);
    assert!(node.metric(counted).await == 1.0, "a request counts");
}
