//! A fill that started before a purge never survives it.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, eventually, node};

use super::kit::{HOST, get, purge, store, word};

/// A node before an origin that answers only as often as the test lets it.
async fn held() -> (Origin, TestNode, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let handler_gate = Arc::clone(&gate);
    let origin = Origin::start(move |request| {
        let gate = Arc::clone(&handler_gate);
        async move {
            gate.acquire().await.unwrap().forget();
            let fields = [
                ("cache-control", "max-age=60"),
                ("surrogate-key", "red"),
                ("etag", "\"1\""),
            ];
            respond(200, &fields, request.path().to_owned())
        }
    })
    .await;
    let node = TestNode::start(&node::route_to(&origin)).await;
    (origin, node, gate)
}

async fn ask(node: &TestNode) -> tokio::task::JoinHandle<String> {
    let mut client = Client::http1(node.http()).await;
    client.set_authority(HOST);
    tokio::spawn(async move { word(&client.get("/red/a").await) })
}

#[tokio::test]
async fn a_fill_that_started_before_a_purge_does_not_survive_it() {
    for scope in [
        json!({"url": "http://shop.example/red/a"}),
        json!({"prefix": "http://shop.example/red"}),
        json!({"key": "red"}),
        json!({"site": "*"}),
        json!({"all": true}),
    ] {
        let (origin, node, gate) = held().await;
        let first = ask(&node).await;
        eventually("the origin is asked", async || origin.count() == 1).await;
        purge(&node, scope.clone(), false).await;
        gate.add_permits(1);
        // Who asked before the purge gets the response; nobody else does.
        assert_eq!(first.await.unwrap(), "uri-miss", "{scope}");
        gate.add_permits(1);
        assert_ne!(get(&node, HOST, "/red/a").await, "hit", "{scope}");
        assert_eq!(origin.count(), 2, "{scope}");
        // What was asked for after the purge is stored.
        store(&node, HOST, "/red/a").await;
        assert_eq!(origin.count(), 2, "{scope}");
    }
}

#[tokio::test]
async fn a_request_that_comes_after_a_purge_does_not_follow_a_fill_from_before() {
    for scope in [
        json!({"url": "http://shop.example/red/a"}),
        json!({"key": "red"}),
    ] {
        let (origin, node, gate) = held().await;
        let first = ask(&node).await;
        eventually("the origin is asked", async || origin.count() == 1).await;
        purge(&node, scope.clone(), false).await;
        let second = ask(&node).await;
        // By its URL the purge is known at once; by a surrogate key once the head is there.
        gate.add_permits(2);
        first.await.unwrap();
        assert_eq!(second.await.unwrap(), "uri-miss", "{scope}");
        assert_eq!(origin.count(), 2, "{scope}");
    }
}

#[tokio::test]
async fn a_fill_that_started_before_a_soft_purge_is_stored_stale() {
    let (origin, node, gate) = held().await;
    let first = ask(&node).await;
    eventually("the origin is asked", async || origin.count() == 1).await;
    purge(&node, json!({"key": "red"}), true).await;
    gate.add_permits(1);
    first.await.unwrap();
    gate.add_permits(1);
    let mut client = Client::http1(node.http()).await;
    client.set_authority(HOST);
    let reply = client.get("/red/a").await;
    assert_ne!(word(&reply), "hit", "{}", reply.cache_status());
    assert_eq!(origin.count(), 2);
}
