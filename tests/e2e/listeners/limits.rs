//! Limits on what clients take: over one there is the right status or GOAWAY,
//! a counter, and nobody else suffers.

use std::net::SocketAddr;

use tokio::sync::watch;
use verge_tests::node::{Setup, route_to};
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, Wire, eventually};

/// Names and values.
type Fields<'a> = &'a [(&'a str, &'a str)];

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const STATIC_SITE: &str = "[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{*rest}\"\n\
                           static = { body = \"here\" }\n";

async fn node_with(limits: &str) -> TestNode {
    TestNode::start(&format!("[limits]\n{limits}\n{STATIC_SITE}")).await
}

async fn assert_hits(node: &TestNode, limit: &str, count: f64) {
    let series = format!("verge_limit_hits_total{{limit=\"{limit}\"}}");
    eventually("the limit is counted", async || {
        node.metric(&series).await >= count
    })
    .await;
    let hits = node.metric(&series).await;
    assert!((hits - count).abs() < 0.5, "{limit}: {hits}, not {count}");
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
async fn a_request_too_many_is_told_to_come_again() {
    let (release, origin) = held_origin().await;
    let node = TestNode::start(&format!("[limits]\nrequests = 1\n{}", route_to(&origin))).await;
    let address = node.http();
    let first = tokio::spawn(async move { Client::http1(address).await.get("/1").await });
    eventually("the first is in flight", async || origin.count() == 1).await;
    let mut client = Client::h2c(node.http()).await;
    let second = client.get("/2").await;
    assert_eq!(second.status, 503);
    assert_eq!(second.field("retry-after"), "1");
    assert!(
        second
            .text()
            .contains("this server has as many requests as it can take"),
        "{}",
        second.text()
    );
    assert_hits(&node, "requests", 1.0).await;
    // Admin and health need no such place.
    assert_eq!(node.ask_admin("GET", "/readyz").await.status, 200);
    release.send(true).unwrap();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(client.get("/3").await.status, 200);
}

#[tokio::test]
async fn heads_over_a_limit_are_refused_by_their_own_status() {
    let node = node_with("head_bytes = \"2KiB\"\ntarget_bytes = \"256B\"\nfields = 10").await;
    let long = format!("/{}", "x".repeat(300));
    let large = "y".repeat(3000);
    let many: Vec<(String, &str)> = (0..12).map(|n| (format!("x-{n}"), "z")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let mut hits = 0.0;
    for is_http2 in [false, true] {
        let cases: [(&str, Fields<'_>, u16); 3] = [
            (&long, &[], 414),
            ("/", &[("x", &large)], 431),
            ("/", &many, 431),
        ];
        for (path, fields, status) in cases {
            let mut client = new_client(node.http(), is_http2).await;
            let reply = client.get_with(path, fields).await;
            assert_eq!(reply.status, status, "HTTP/2: {is_http2}");
            assert!(reply.text().contains("request id"));
            hits += 1.0;
            if is_http2 {
                assert_eq!(client.get("/").await.status, 200);
            } else {
                assert_eq!(reply.field("connection"), "close");
            }
        }
    }
    assert_hits(&node, "head-size", hits).await;
    assert_eq!(node.get("/").await.status, 200);
}

async fn new_client(address: SocketAddr, is_http2: bool) -> Client {
    if is_http2 {
        Client::h2c(address).await
    } else {
        Client::http1(address).await
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_is_answered_408() {
    let node = node_with("head = \"100ms\"").await;
    let mut wire = Wire::connect(node.http()).await;
    wire.send("GET / HTTP/1.1\r\nHost").await;
    let answer = wire.message().await;
    assert_eq!(answer.status(), 408);
    assert!(answer.says_close());
    assert!(wire.is_closed().await);
    assert_hits(&node, "head-time", 1.0).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_counted() {
    let node = node_with("idle = \"1s\"").await;
    let mut wire = Wire::connect(node.http()).await;
    assert_eq!(wire.ask(GET).await.status(), 200);
    assert!(wire.is_closed().await);
    assert_hits(&node, "idle-time", 1.0).await;
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_in_time_is_cut() {
    let node = Setup::new()
        .with_tls(&[&["site.example"]])
        .start(&format!(
            "[limits]\ntls_handshake = \"100ms\"\n{STATIC_SITE}"
        ))
        .await;
    let mut wire = Wire::connect(node.https()).await;
    assert!(wire.is_closed().await);
    assert_hits(&node, "handshake-time", 1.0).await;
}

#[tokio::test]
async fn a_connection_too_many_is_refused_and_counted_once() {
    let node = node_with("connections = 2").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::connect(node.http()).await;
        assert_eq!(wire.ask(GET).await.status(), 200);
        held.push(wire);
    }
    let mut wire = Wire::connect(node.http()).await;
    let answer = wire.message().await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert!(answer.says_close());
    assert!(wire.is_closed().await);
    assert_hits(&node, "connections", 1.0).await;
    assert_eq!(held[0].ask(GET).await.status(), 200);
    drop(held);
    eventually("there is room again", async || {
        Wire::connect(node.http()).await.ask(GET).await.status() == 200
    })
    .await;
}

#[tokio::test]
async fn one_client_does_not_take_all_connections() {
    let node = node_with("connections_per_client = 1").await;
    let mut first = Wire::connect(node.http()).await;
    assert_eq!(first.ask(GET).await.status(), 200);
    let mut second = Wire::connect(node.http()).await;
    assert_eq!(second.message().await.status(), 503);
    assert_hits(&node, "connections-per-client", 1.0).await;
    assert_eq!(first.ask(GET).await.status(), 200);

    // A balancer brings many clients: who is trusted is not counted.
    let node = Setup::new()
        .listening("trusted_proxies = [\"127.0.0.1/32\"]")
        .start(&format!(
            "[limits]\nconnections_per_client = 1\n{STATIC_SITE}"
        ))
        .await;
    let (mut first, mut second) = (
        Wire::connect(node.http()).await,
        Wire::connect(node.http()).await,
    );
    assert_eq!(first.ask(GET).await.status(), 200);
    assert_eq!(second.ask(GET).await.status(), 200);
}

#[tokio::test]
async fn the_last_request_of_a_connection_is_told_so() {
    let node = node_with("requests_per_connection = 2").await;
    let mut wire = Wire::connect(node.http()).await;
    assert!(!wire.ask(GET).await.says_close());
    assert!(wire.ask(GET).await.says_close());
    assert!(wire.is_closed().await);
    assert_hits(&node, "requests-per-connection", 1.0).await;
}
