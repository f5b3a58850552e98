//! Interim responses (RFC 9110 15.2, RFC 8297): passed to the client as they come, before its
//! final response and in no other, bounded, and never stored.

use std::sync::Arc;

use tokio::sync::Semaphore;
use verge_tests::guests::{function, runtime};
use verge_tests::streams::StreamClient;
use verge_tests::wire::status_of;
use verge_tests::{TestNode, Wire};

use super::script::{Script, config, node_before};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\
                    Connection: x-hop\r\nX-Hop: 1\r\n\r\n";
/// A status that nobody has defined (RFC 9110 15: treated as 100 of its class, and passed on).
const OTHER: &str = "HTTP/1.1 199 Other\r\nX-Note: 1\r\n\r\n";
const FINAL: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n\r\n")
}

/// A node before `origin`, through its cache.
async fn caching(origin: &Script, limits: &str) -> TestNode {
    let toml = config(&[origin.address], "").replace("cache = \"off\"\n", "");
    TestNode::start(&format!("{limits}\n{toml}")).await
}

/// An origin that hints at `/hints`.
async fn hinting() -> Script {
    Script::start(|_, mut wire| async move {
        loop {
            let request = wire.message().await;
            if request.head.contains("/hints") {
                wire.send(HINT).await;
            }
            wire.send(FINAL).await;
        }
    })
    .await
}

/// An origin that wants content of two bytes, and hints before and behind it.
async fn continuing() -> Script {
    Script::start(|_, mut wire| async move {
        let head = wire.head().await.to_ascii_lowercase();
        assert!(head.contains("expect: 100-continue"), "{head:?}");
        wire.send(HINT).await;
        wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        wire.exactly(2).await;
        wire.send(HINT).await;
        wire.send(FINAL).await;
    })
    .await
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
    let origin = hinting().await;
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
    let rest = client.exactly(2).await;
    assert_eq!(rest, b"ok");
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
    let origin = continuing().await;
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

/// An origin that says a hint and another one, and after `gate` the response.
async fn held(gate: &Arc<Semaphore>) -> Script {
    let gate = Arc::clone(gate);
    Script::start(move |_, mut wire| {
        let gate = Arc::clone(&gate);
        async move {
            wire.message().await;
            wire.send([HINT, OTHER].concat()).await;
            gate.acquire().await.unwrap().forget();
            wire.send(FINAL).await;
        }
    })
    .await
}

#[tokio::test]
async fn clients_of_http2_get_them_before_the_final_response_exists() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = held(&gate).await;
    for node in [
        node_before(&[origin.address], "").await,
        caching(&origin, "").await,
    ] {
        let mut client = StreamClient::connect(node.http()).await;
        let mut awaited = client.get("/a").await;
        let hint = awaited.early().await.expect("a hint");
        assert_eq!(hint.status(), 103);
        assert_eq!(hint.headers()["link"], "</a.css>; rel=preload");
        assert_eq!(hint.headers().len(), 1, "{hint:?}");
        let other = awaited.early().await.expect("another");
        assert_eq!(other.status(), 199);
        assert_eq!(other.headers()["x-note"], "1");
        gate.add_permits(1);
        assert!(awaited.statuses().await.is_empty());
        let reply = awaited.reply().await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "ok"));
        assert!(!reply.fields.contains_key("link"));
        assert!(!reply.fields.contains_key("x-note"));
    }
}

#[tokio::test]
async fn on_http2_each_stream_gets_its_own_and_a_hit_none() {
    let origin = hinting().await;
    let node = caching(&origin, "").await;
    let mut client = StreamClient::connect(node.http()).await;
    let mut plain = client.get("/plain").await;
    let mut hints = client.get("/hints").await;
    let mut others = client.get("/hints?other").await;
    assert_eq!(others.statuses().await, [103]);
    assert_eq!(hints.statuses().await, [103]);
    assert!(plain.statuses().await.is_empty());
    for awaited in [plain, hints, others] {
        assert_eq!(awaited.reply().await.text(), "ok");
    }
    let mut hit = client.get("/hints").await;
    assert!(hit.statuses().await.is_empty(), "nothing of it was stored");
    let hit = hit.reply().await;
    assert!(hit.cache_status().contains("hit"), "{}", hit.cache_status());
}

#[tokio::test]
async fn on_http2_too_only_so_many_of_them_are_passed() {
    let origin = Script::saying([HINT.repeat(5).as_str(), FINAL].concat()).await;
    for limits in [
        "[limits]\ninterim_responses = 2",
        "[limits]\ninterim_bytes = \"96B\"",
    ] {
        let node = caching(&origin, limits).await;
        let mut client = StreamClient::connect(node.http()).await;
        let mut awaited = client.get("/a").await;
        assert_eq!(awaited.statuses().await, [103, 103], "under {limits}");
        assert_eq!(awaited.reply().await.text(), "ok");
        let series = "verge_limit_hits_total{limit=\"interim-responses\"}";
        assert_eq!(node.metric(series).await, 3.0);
    }
}

#[tokio::test]
async fn on_http2_a_request_that_waits_for_100_gets_that_and_the_hints() {
    let origin = continuing().await;
    let node = node_before(&[origin.address], "").await;
    let mut client = StreamClient::connect(node.http()).await;
    let fields = [("expect", "100-continue"), ("content-length", "2")];
    let (mut awaited, mut content) = client.begin("POST", "/a", &fields, false).await;
    for expected in [103, 100] {
        let early = awaited.early().await.expect("an interim response");
        assert_eq!(early.status().as_u16(), expected);
    }
    content.send_data("hi".into(), true).unwrap();
    assert_eq!(awaited.statuses().await, [103]);
    assert_eq!(awaited.reply().await.status, 200);
}

#[tokio::test]
async fn ahead_of_a_response_that_functions_change_links_alone_are_passed() {
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\
                Set-Cookie: a=b\r\nX-Inside: 1\r\n\r\n";
    let origin = Script::saying([hint, FINAL].concat()).await;
    let toml = format!(
        "{}{}{}origin_response = [\"f\"]\nviewer_response = [\"f\"]\n",
        runtime(),
        function("f", "origin-triggers", ""),
        config(&[origin.address], "").replace("cache = \"off\"\n", ""),
    );
    let node = TestNode::start(&toml).await;
    let mut client = StreamClient::connect(node.http()).await;
    let mut awaited = client.get("/a").await;
    let early = awaited.early().await.expect("a hint");
    assert_eq!(early.status(), 103);
    assert_eq!(early.headers()["link"], "</a.css>; rel=preload");
    assert_eq!(early.headers().len(), 1, "{early:?}");
    let reply = awaited.reply().await;
    assert_eq!(reply.field("x-viewer-response"), "seen");
    let mut client = Wire::connect(node.http()).await;
    client.send(get("/b")).await;
    let early = client.head().await.to_ascii_lowercase();
    assert!(early.starts_with("http/1.1 103 "), "{early:?}");
    assert!(early.contains("link: </a.css>"), "{early:?}");
    assert!(
        !early.contains("cookie") && !early.contains("x-inside"),
        "{early:?}"
    );
    assert_eq!(client.message().await.status(), 200);
}

#[tokio::test]
async fn of_those_that_wait_for_one_fetch_the_leader_gets_them_rfc_9110_15_2() {
    let gate = Arc::new(Semaphore::new(0));
    let origin = held(&gate).await;
    let node = caching(&origin, "").await;
    let mut leader = StreamClient::connect(node.http()).await;
    let mut leading = leader.get("/a").await;
    assert_eq!(leading.early().await.expect("a hint").status(), 103);
    let mut follower = StreamClient::connect(node.http()).await;
    let mut following = follower.get("/a").await;
    gate.add_permits(1);
    assert!(following.statuses().await.is_empty());
    assert_eq!(following.reply().await.text(), "ok");
    assert_eq!(leading.statuses().await, [199]);
    assert_eq!(leading.reply().await.text(), "ok");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn of_a_validation_the_client_that_waits_gets_them_and_a_stale_answer_none() {
    let stale = "HTTP/1.1 200 OK\r\nCache-Control: max-age=0, stale-while-revalidate=600\r\n\
                 ETag: \"v\"\r\nContent-Length: 2\r\n\r\nok";
    let must = "HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nETag: \"v\"\r\n\
                Content-Length: 2\r\n\r\nok";
    let origin = Script::start(move |_, mut wire| async move {
        loop {
            let request = wire.message().await;
            if request.head.to_ascii_lowercase().contains("if-none-match") {
                wire.send(HINT).await;
                wire.send("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\n\r\n")
                    .await;
            } else if request.head.contains("/must") {
                wire.send(must).await;
            } else {
                wire.send(stale).await;
            }
        }
    })
    .await;
    let node = caching(&origin, "").await;
    let mut client = StreamClient::connect(node.http()).await;
    for (path, expected) in [("/must", vec![103]), ("/stale", vec![])] {
        assert_eq!(client.get(path).await.reply().await.text(), "ok");
        let mut again = client.get(path).await;
        assert_eq!(again.statuses().await, expected, "{path}");
        assert_eq!(again.reply().await.text(), "ok", "{path}");
    }
}
