//! Interim responses (RFC 9110 15.2, RFC 8297): passed to the client as they come, before its
//! final response and in no other, bounded, and never stored.

use std::sync::Arc;

use tokio::sync::Semaphore;
use verge_tests::wire::status_of;
use verge_tests::{Client, TestNode, Wire};

use super::script::{Script, config, node_before};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\
                    Connection: x-hop\r\nX-Hop: 1\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n")
}

/// A node before `origin`, through its cache.
async fn caching(origin: &Script, limits: &str) -> TestNode {
    let toml = config(&[origin.address], "").replace("cache = \"off\"\n", "");
    TestNode::start(&format!("{limits}\n{toml}")).await
}

#[tokio::test]
async fn early_hints_arrive_before_the_final_response_exists() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let origin = Script::start(move |_, mut wire| {
        let held = Arc::clone(&held);
        async move {
            wire.message().await;
            wire.send("HTTP/1.1 102 Processing\r\n\r\n").await;
            wire.send(HINT).await;
            held.acquire().await.unwrap().forget();
            wire.send(FINAL).await;
        }
    })
    .await;
    for node in [
        node_before(&[origin.address], "").await,
        caching(&origin, "").await,
    ] {
        let mut client = Wire::connect(node.http()).await;
        client.send(get("/a")).await;
        assert_eq!(status_of(&client.head().await), 102);
        let hint = client.head().await.to_ascii_lowercase();
        assert!(hint.starts_with("http/1.1 103 "), "{hint:?}");
        assert!(hint.contains("link: </a.css>; rel=preload\r\n"), "{hint:?}");
        assert!(!hint.contains("x-hop"), "{hint:?}");
        gate.add_permits(1);
        let reply = client.message().await;
        assert_eq!((reply.status(), reply.text().as_str()), (200, "ok"));
        assert_eq!(reply.field("link"), None);
    }
}

#[tokio::test]
async fn they_are_not_stored_and_stay_out_of_other_responses() {
    let origin = Script::start(|_, mut wire| async move {
        loop {
            let request = wire.message().await;
            if request.head.contains("/hints") {
                wire.send(HINT).await;
            }
            wire.send(FINAL).await;
        }
    })
    .await;
    let node = caching(&origin, "").await;
    let mut client = Wire::connect(node.http()).await;
    // Pipelined: each response stands where its request stood.
    let requests = [get("/plain"), get("/hints"), get("/other"), get("/hints")].concat();
    client.send(requests).await;
    for expected in [200, 103, 200, 200, 200] {
        let status = if expected == 103 {
            status_of(&client.head().await)
        } else {
            client.message().await.status()
        };
        assert_eq!(status, expected);
    }
    let hit = client.ask(get("/hints")).await;
    assert_eq!((hit.status(), hit.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn clients_that_cannot_take_them_get_none() {
    let origin = Script::saying([HINT, FINAL].concat()).await;
    let node = node_before(&[origin.address], "").await;
    let mut client = Wire::connect(node.http()).await;
    let old = "GET /a HTTP/1.0\r\nHost: shop.example\r\n\r\n";
    client.send(old).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.0 200 "), "{head:?}");
    let reply = Client::h2c(node.http()).await.get("/a").await;
    assert_eq!(reply.text(), "ok");
}

#[tokio::test]
async fn only_so_many_of_them_are_passed() {
    let origin = Script::saying([HINT.repeat(5).as_str(), FINAL].concat()).await;
    for limits in [
        "[limits]\ninterim_responses = 2",
        // One of them is over 60 bytes, and two are over 120.
        "[limits]\ninterim_bytes = \"128B\"",
    ] {
        let node = caching(&origin, limits).await;
        let mut client = Wire::connect(node.http()).await;
        client.send(get("/a")).await;
        let mut hints = 0;
        let mut head = client.head().await;
        while status_of(&head) == 103 {
            hints += 1;
            head = client.head().await;
        }
        assert!((1..=2).contains(&hints), "{hints} under {limits}");
        assert_eq!(status_of(&head), 200);
        assert_eq!(client.exactly(2).await, b"ok");
        let series = "verge_limit_hits_total{limit=\"interim-responses\"}";
        assert!(node.metric(series).await >= 3.0);
    }
}

#[tokio::test]
async fn a_request_that_waits_for_100_gets_that_and_the_hints() {
    let origin = Script::start(|_, mut wire| async move {
        let head = wire.head().await.to_ascii_lowercase();
        assert!(head.contains("expect: 100-continue"), "{head:?}");
        wire.send(HINT).await;
        wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        wire.exactly(2).await;
        wire.send(HINT).await;
        wire.send(FINAL).await;
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut client = Wire::connect(node.http()).await;
    client
        .send(
            "POST /a HTTP/1.1\r\nHost: shop.example\r\nExpect: 100-continue\r\n\
             Content-Length: 2\r\n\r\n",
        )
        .await;
    assert_eq!(status_of(&client.head().await), 103);
    assert_eq!(status_of(&client.head().await), 100);
    client.send("hi").await;
    assert_eq!(status_of(&client.head().await), 103);
    assert_eq!(client.message().await.status(), 200);
}
