//! Connections to origins: kept, bounded, used in turn, and tried again once
//! where that is safe.

use tokio::sync::watch;
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, Wire, eventually};

use super::script::{Script, gone_back, node_before};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = node_before(&[origin.address], "").await;
    // Connections of clients are spread over the workers, which share the pool.
    for _ in 0..6 {
        assert_eq!(node.get("/").await.text(), "content");
        gone_back(&node, origin.address).await;
    }
    let connections: Vec<_> = origin.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0; 6]);
    // Each worker writes its own lines.
    let log = node.receipts(6).await;
    let reused = log.iter().filter(|line| line["origin"]["reused"] == true);
    assert_eq!((log.len(), reused.count()), (6, 5));
}

#[tokio::test]
async fn addresses_are_used_in_turn() {
    let (a, b) = (
        Origin::start(async |_| respond(200, &[], "a")).await,
        Origin::start(async |_| respond(200, &[], "b")).await,
    );
    let node = node_before(&[a.address, b.address], "").await;
    let mut client = node.client().await;
    let mut told = String::new();
    for _ in 0..6 {
        told.push_str(&client.get("/").await.text());
    }
    assert_eq!((a.count(), b.count()), (3, 3), "{told}");
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let gone = dead_address().await;
    let node = node_before(&[gone, origin.address], "").await;
    let mut client = node.client().await;
    for method in ["GET", "POST", "GET", "POST"] {
        // Nothing was sent to the address that refused, so any method may go elsewhere.
        assert_eq!(client.send(method, "/", &[], "").await.status, 200);
    }
    assert!(
        node.metric("verge_origin_retries_total{origin=\"app\"")
            .await
            >= 1.0
    );
}

async fn dead_address() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// An origin that answers one request on its first connection and closes on
/// the second without a word; later connections answer.
async fn closes_on_second() -> Script {
    Script::start(|number, mut wire| async move {
        wire.message().await;
        wire.send(OK).await;
        if number == 0 {
            wire.message().await;
            return;
        }
        loop {
            wire.message().await;
            wire.send(OK).await;
        }
    })
    .await
}

#[tokio::test]
async fn an_idempotent_request_on_a_reused_connection_that_closed_is_tried_again() {
    let origin = closes_on_second().await;
    let node = node_before(&[origin.address], "").await;
    let mut client = node.client().await;
    assert_eq!(client.get("/1").await.status, 200);
    gone_back(&node, origin.address).await;
    assert_eq!(client.get("/2").await.status, 200);
    assert_eq!(origin.connections(), 2);
    let log = node.receipts(2).await;
    assert_eq!(log[1]["origin"]["retries"], 1);
}

#[tokio::test]
async fn a_post_that_an_origin_may_have_acted_on_is_not_sent_again() {
    let origin = closes_on_second().await;
    let node = node_before(&[origin.address], "").await;
    let mut client = node.client().await;
    assert_eq!(client.get("/1").await.status, 200);
    gone_back(&node, origin.address).await;
    let reply = client.send("POST", "/2", &[], "pay").await;
    assert_eq!(reply.status, 502);
    assert_eq!(
        reply.field("proxy-status"),
        "verge; error=connection_terminated"
    );
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn an_origin_that_fails_on_a_new_connection_is_not_tried_again() {
    let origin = Script::start(|_, mut wire| async move {
        wire.message().await;
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    assert_eq!(node.get("/").await.status, 502);
    assert_eq!(origin.connections(), 1);
}

/// An origin that answers once it is told to.
async fn held_origin() -> (watch::Sender<bool>, Origin) {
    let (release, held) = watch::channel(false);
    let origin = Origin::start(move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|released| *released).await.unwrap();
            respond(200, &[], "content")
        }
    })
    .await;
    (release, origin)
}

#[tokio::test]
async fn a_request_that_finds_the_queue_full_is_told_to_come_again() {
    let (release, origin) = held_origin().await;
    let node = node_before(
        &[origin.address],
        "connections = 1\nqueue = 1\nqueue_wait = \"1m\"",
    )
    .await;
    let address = node.http();
    let ask = move |path: &'static str| {
        tokio::spawn(async move { Client::http1(address).await.get(path).await })
    };
    let first = ask("/1");
    eventually("the first is at the origin", async || origin.count() == 1).await;
    let second = ask("/2");
    let queued = "verge_origin_queued_requests{origin=\"app\"";
    eventually("the second waits", async || {
        node.metric(queued).await == 1.0
    })
    .await;
    let third = node.get("/3").await;
    assert_eq!(third.status, 503);
    assert_eq!(third.field("retry-after"), "1");
    assert_eq!(
        third.field("proxy-status"),
        "verge; error=connection_limit_reached"
    );
    release.send(true).unwrap();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(second.await.unwrap().status, 200);
    assert!(origin.requests().iter().all(|asked| asked.connection == 0));
}

#[tokio::test]
async fn a_request_does_not_wait_for_a_connection_for_ever() {
    let (release, origin) = held_origin().await;
    let node = node_before(&[origin.address], "connections = 1\nqueue_wait = \"100ms\"").await;
    let address = node.http();
    let first = tokio::spawn(async move { Client::http1(address).await.get("/1").await });
    eventually("the first is at the origin", async || origin.count() == 1).await;
    let second = node.get("/2").await;
    assert_eq!(second.status, 503);
    release.send(true).unwrap();
    assert_eq!(first.await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_with_bytes_left_over_is_not_used_again() {
    // The second response would answer somebody else's request.
    let origin = Script::start(|_, mut wire| async move {
        loop {
            wire.message().await;
            wire.send(format!(
                "{OK}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
            ))
            .await;
        }
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut client: Wire = Wire::connect(node.http()).await;
    for _ in 0..3 {
        let answer = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_ne!(answer.text(), "other");
    }
}
