//! Outcomes that cannot be shared: those that wait are released together, and
//! requests are not collapsed for a while.

use std::sync::Arc;

use tokio::sync::Barrier;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

use super::kit::{
    Gate, MINUTE, ask_all, asked, assert_cache, clients, following, node_with, settled, stats,
};

type Fields = &'static [(&'static str, &'static str)];

const MODIFIED: &str = "Sat, 01 Jan 2000 00:00:00 GMT";

/// What cannot be shared, and how Cache-Status calls it.
const OUTCOMES: [(Fields, &str); 6] = [
    (&[("cache-control", "no-store")], "detail=no-store"),
    (&[("cache-control", "private")], "detail=private"),
    (
        &[("cache-control", "max-age=60"), ("vary", "*")],
        "detail=vary-any",
    ),
    (
        &[("last-modified", MODIFIED), ("set-cookie", "id=1")],
        "detail=set-cookie",
    ),
    (&[], "detail=no-validator"),
    (
        &[("cache-control", "no-cache"), ("etag", "\"a\"")],
        "stored",
    ),
];

/// The first request is held at `gate`; all others must be at the origin at the same
/// time to pass, as many as the barrier wants.
async fn together(gate: &Gate, barrier: usize, fields: Fields) -> Origin {
    let (held, barrier) = (gate.clone(), Arc::new(Barrier::new(barrier)));
    let first = Arc::new(std::sync::atomic::AtomicBool::new(true));
    Origin::start(move |_| {
        let (held, barrier, first) = (held.clone(), Arc::clone(&barrier), Arc::clone(&first));
        async move {
            if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                held.pass().await;
            } else {
                barrier.wait().await;
            }
            respond(200, fields, "content")
        }
    })
    .await
}

#[tokio::test]
async fn waiters_are_released_together_by_what_cannot_be_shared() {
    const WAITERS: usize = 9;
    for (fields, word) in OUTCOMES {
        let gate = Gate::closed();
        let origin = together(&gate, WAITERS, fields).await;
        let node = TestNode::before(&origin).await;
        let replies = ask_all(clients(&node, WAITERS + 1).await, "/a");
        following(&node, WAITERS as u64).await;
        asked(&origin, 1).await;
        assert_eq!(origin.count(), 1);
        gate.open();
        // If they led one after another, they would never meet at the origin.
        let replies = replies.await.unwrap();
        for reply in &replies {
            assert_eq!(reply.text(), "content");
            assert_cache(reply, "fwd=uri-miss fwd-status=200 !collapsed");
            assert_cache(reply, word);
        }
        assert_eq!(origin.count(), WAITERS + 1, "{word}");
    }
}

#[tokio::test]
async fn requests_under_a_marker_are_not_collapsed() {
    const CLIENTS: usize = 6;
    for (fields, word) in OUTCOMES {
        let gate = Gate::closed();
        gate.open();
        let origin = together(&gate, CLIENTS, fields).await;
        let node = node_with(&origin, "uncollapsible_for = \"1h\"").await;
        clients(&node, 1).await.remove(0).get("/a").await;
        settled(&node).await;
        assert_eq!(stats(&node).uncollapsible, 1, "{word}");
        let replies = ask_all(clients(&node, CLIENTS).await, "/a").await.unwrap();
        for reply in &replies {
            assert_cache(reply, "!collapsed");
        }
        assert_eq!(origin.count(), CLIENTS + 1, "{word}");
        assert_eq!(stats(&node).collapsed, 0);
    }
}

#[tokio::test]
async fn marker_ends_with_its_time() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| {
        let held = held.clone();
        async move {
            if request.field("x-first").is_none() {
                held.pass().await;
            }
            respond(200, &[("cache-control", "no-store")], "content")
        }
    })
    .await;
    let node = node_with(&origin, "uncollapsible_for = \"0s\"").await;
    let mut first = clients(&node, 1).await.remove(0);
    first.get_with("/a", &[("x-first", "1")]).await;
    let replies = ask_all(clients(&node, 4).await, "/a");
    following(&node, 3).await;
    gate.open();
    assert_eq!(replies.await.unwrap().len(), 4);
}

#[tokio::test]
async fn marker_ends_with_an_outcome_that_can_be_shared() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| {
        let held = held.clone();
        async move {
            match request.field("x-say") {
                Some("no") => respond(200, &[("cache-control", "no-store")], "content"),
                Some(_) => respond(200, MINUTE, "content"),
                None if request.method == "POST" => respond(204, &[], ""),
                None => {
                    held.pass().await;
                    respond(200, MINUTE, "content")
                }
            }
        }
    })
    .await;
    let node = node_with(&origin, "uncollapsible_for = \"1h\"").await;
    let mut client = clients(&node, 1).await.remove(0);
    client.get_with("/a", &[("x-say", "no")]).await;
    assert_eq!(stats(&node).uncollapsible, 1);
    client.get_with("/a", &[("x-say", "yes")]).await;
    settled(&node).await;
    assert_eq!(stats(&node).uncollapsible, 0);
    client.send("POST", "/a", &[], "x").await;
    let replies = ask_all(clients(&node, 4).await, "/a");
    following(&node, 3).await;
    gate.open();
    assert_eq!(replies.await.unwrap().len(), 4);
    asked(&origin, 4).await;
    assert_eq!(origin.count(), 4);
}
