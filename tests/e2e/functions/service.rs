//! Standard `wasi:http` 0.3 handlers: streaming and trailers both ways, back pressure, work after
//! the response, and the limits that every function has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use verge_tests::client::{Client, ClientBody, empty};
use verge_tests::guests::{function, function_with_limits, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, PATIENCE, TestNode, Wire, eventually};

async fn start(api: SocketAddr, service: &str) -> TestNode {
    let toml = format!(
        "{}{service}[origin.api]\naddresses = [\"{api}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nfunction = \"service\"\ncache = \"off\"\n",
        runtime(),
    );
    TestNode::start(&toml).await
}

/// A node with the handler, which may ask nobody.
async fn alone() -> TestNode {
    start(
        ([127, 0, 0, 1], 9).into(),
        &function("service", "service", ""),
    )
    .await
}

fn granted(keys: &str) -> String {
    function(
        "service",
        "service",
        &format!("{keys}\ngrants = {{ fetch = [\"api\"] }}"),
    )
}

async fn ends(node: &TestNode, outcome: &str, count: f64) {
    let series = "verge_function_outcomes_total{function=\"service\",outcome=\"";
    node.settles(&format!("{series}{outcome}\"}}"), count).await;
}

fn pieces() -> (mpsc::UnboundedSender<Frame<Bytes>>, ClientBody) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|frame| frame.map(Ok))
    });
    (sender, StreamBody::new(stream).boxed_unsync())
}

#[tokio::test]
async fn handler_answers_on_both_protocols() {
    let node = alone().await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        for path in ["/a", "/b?c=d"] {
            let reply = client.get(path).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.text(), format!("Hello from 0.3 at {path}"));
        }
    }
    ends(&node, "responded", 4.0).await;
}

#[tokio::test]
async fn content_and_trailers_stream_both_ways() {
    let node = alone().await;
    for (path, shouts) in [("/echo", false), ("/shout", true)] {
        for mut client in [
            Client::http1(node.http()).await,
            Client::h2c(node.http()).await,
        ] {
            let (sender, body) = pieces();
            let fields = [("te", "trailers"), ("trailer", "x-sum")];
            let response = client.begin("POST", path, &fields, body).await.unwrap();
            assert_eq!(response.status(), 200);
            let mut content = response.into_body();
            // Each piece comes back before the next one is sent.
            for piece in ["first", "second"] {
                sender
                    .send(Frame::data(Bytes::from_static(piece.as_bytes())))
                    .unwrap();
                let frame = timeout(PATIENCE, content.frame()).await.unwrap();
                let expected = if shouts {
                    piece.to_uppercase()
                } else {
                    piece.to_owned()
                };
                assert_eq!(
                    frame.unwrap().unwrap().into_data().unwrap(),
                    expected,
                    "{path}"
                );
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "7".parse().unwrap());
            sender.send(Frame::trailers(trailers)).unwrap();
            drop(sender);
            let rest = timeout(PATIENCE, content.collect()).await.unwrap().unwrap();
            assert_eq!(rest.trailers().unwrap()["x-sum"], "7", "{path}");
            assert!(rest.to_bytes().is_empty());
        }
    }
    ends(&node, "responded", 4.0).await;
}

#[tokio::test]
async fn large_content_comes_through_whole() {
    let node = start(
        ([127, 0, 0, 1], 9).into(),
        &function("service", "service", "body = \"8MiB\""),
    )
    .await;
    let content = Bytes::from(vec![b'x'; 3 << 20]);
    for (path, expected) in [("/echo", b'x'), ("/shout", b'X')] {
        let mut client = node.client().await;
        let reply = client.send("POST", path, &[], content.clone()).await;
        assert_eq!(reply.body.len(), content.len());
        assert!(reply.body.iter().all(|byte| *byte == expected), "{path}");
    }
}

#[tokio::test]
async fn client_that_does_not_read_is_not_read_from() {
    let node = start(
        ([127, 0, 0, 1], 9).into(),
        &function("service", "service", "body = \"1GiB\""),
    )
    .await;
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let endless = futures_util::stream::poll_fn(move |_| {
        count.fetch_add(10_000, Ordering::SeqCst);
        let piece = Frame::data(Bytes::from(vec![b'x'; 10_000]));
        std::task::Poll::Ready(Some(Ok(piece)))
    });
    let mut client = node.client().await;
    let body: ClientBody = StreamBody::new(endless).boxed_unsync();
    let response = client.begin("POST", "/shout", &[], body).await.unwrap();
    let mut content = response.into_body();
    content.frame().await.unwrap().unwrap();
    // The buffers between fill, and then nothing moves.
    let (mut last, mut still) = (0, 0);
    eventually("the client to be slowed down", async || {
        let now = taken.load(Ordering::SeqCst);
        still = if now == last { still + 1 } else { 0 };
        last = now;
        still > 40
    })
    .await;
    assert!(last < 50_000_000, "{last} bytes");
    let mut read = 0;
    while taken.load(Ordering::SeqCst) <= last {
        let frame = timeout(PATIENCE, content.frame()).await.unwrap();
        read += frame.unwrap().unwrap().into_data().unwrap().len();
        assert!(read < 100_000_000, "the client does not go on");
    }
}

#[tokio::test]
async fn requests_are_passed_on_to_granted_origins_only() {
    let api = Origin::start(|asked| async move {
        respond(
            201,
            &[],
            format!("{} {} ", asked.method, asked.target) + &String::from_utf8_lossy(&asked.body),
        )
    })
    .await;
    let node = start(api.address, &granted("")).await;
    let mut client = node.client().await;
    let fields = [("x-to", "http://api/a?b")];
    let reply = client.send("POST", "/to", &fields, "content").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (201, "POST /a?b content".into())
    );
    let id = reply.field("x-request-id");
    assert_eq!(api.requests()[0].field("x-request-id"), Some(id.as_str()));
    let reply = client.get_with("/to", &[("x-to", "http://other/")]).await;
    assert_eq!(reply.status, 500);
    let series = "verge_function_fetches_total{function=\"service\",outcome=\"denied\"}";
    node.settles(series, 1.0).await;
    ends(&node, "refused", 1.0).await;
}

#[tokio::test]
async fn guest_works_on_after_its_response() {
    let release = Arc::new(Notify::new());
    let waits = Arc::clone(&release);
    let api = Origin::start(move |_| {
        let waits = Arc::clone(&waits);
        async move {
            waits.notified().await;
            respond(200, &[], "")
        }
    })
    .await;
    let node = start(api.address, &granted("")).await;
    let reply = node
        .client()
        .await
        .get_with("/after", &[("x-to", "http://api/later")])
        .await;
    assert_eq!(reply.text(), "answered");
    eventually("the request after the response", async || api.count() == 1).await;
    assert_eq!(
        node.metric("verge_function_outcomes_total{function=\"service\"")
            .await,
        0.0
    );
    release.notify_one();
    // Its end counts it, with what it did after the response.
    ends(&node, "responded", 1.0).await;
    let series = "verge_function_fetches_total{function=\"service\",outcome=\"answered\"}";
    node.settles(series, 1.0).await;
}

#[tokio::test]
async fn spinning_guest_is_stopped_by_its_cpu_budget() {
    let service =
        function_with_limits("service", "service", "cpu = \"20ms\"\ndeadline = \"60s\"\n");
    let node = start(([127, 0, 0, 1], 9).into(), &service).await;
    let reply = node.get("/spin").await;
    assert_eq!(reply.status, 500);
    let receipt = node.receipt(&reply.field("x-request-id")).await;
    assert_eq!(receipt["functions"][0]["outcome"], "cpu-exceeded");
    // The response is complete when the guest begins.
    assert_eq!(node.get("/spin-after").await.text(), "answered");
    ends(&node, "cpu-exceeded", 2.0).await;
    assert_eq!(node.get("/a").await.text(), "Hello from 0.3 at /a");
}

#[tokio::test]
async fn waiting_guest_is_stopped_by_its_deadline() {
    let api = Origin::start(|_| std::future::pending()).await;
    let keys = "deadline = \"200ms\"\ncpu = \"10s\"\ngrants = { fetch = [\"api\"] }";
    let node = start(
        api.address,
        &function_with_limits("service", "service", keys),
    )
    .await;
    let mut client = node.client().await;
    let reply = client
        .get_with("/to", &[("x-to", "http://api/never")])
        .await;
    assert_eq!(reply.status, 500);
    ends(&node, "deadline-exceeded", 1.0).await;
    // Work after the response has no other deadline.
    let reply = client
        .get_with("/after", &[("x-to", "http://api/never")])
        .await;
    assert_eq!(reply.text(), "answered");
    ends(&node, "deadline-exceeded", 2.0).await;
}

#[tokio::test]
async fn trap_at_once_is_500() {
    let node = alone().await;
    let reply = node.get("/trap-at-once").await;
    assert_eq!(reply.status, 500);
    let receipt = node.receipt(&reply.field("x-request-id")).await;
    assert_eq!(receipt["functions"][0]["outcome"], "trapped");
    assert_eq!(node.get("/a").await.status, 200);
}

#[tokio::test]
async fn content_that_does_not_come_does_not_stop_the_deadline() {
    let keys = "cpu = \"10s\"\ndeadline = \"100ms\"\npeer_wait = \"200ms\"";
    let service = function_with_limits("service", "service", keys);
    let node = start(([127, 0, 0, 1], 9).into(), &service).await;
    let (sender, body) = pieces();
    let mut client = node.client().await;
    let response = client.begin("POST", "/shout", &[], body).await.unwrap();
    let content = timeout(PATIENCE, response.into_body().collect()).await;
    assert!(content.unwrap().is_err(), "it looks complete");
    ends(&node, "deadline-exceeded", 1.0).await;
    drop(sender);
}

#[tokio::test]
async fn trap_in_the_middle_of_the_content_is_seen_by_the_client() {
    let node = alone().await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        // The connection may be cut before its head is read.
        if let Ok(response) = client.begin("GET", "/trap", &[], empty()).await {
            let content = response.into_body().collect().await;
            assert!(content.is_err(), "it looks complete");
        }
    }
    ends(&node, "trapped", 2.0).await;
}

#[tokio::test]
async fn guest_ends_with_the_client_that_it_runs_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = start(listener.local_addr().unwrap(), &granted("")).await;
    let arrived = Arc::new(Notify::new());
    let asked = Arc::clone(&arrived);
    let origin = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut wire = Wire::over(stream);
        wire.head().await;
        asked.notify_one();
        timeout(PATIENCE, wire.rest()).await.is_ok()
    });
    let mut wire = Wire::connect(node.http()).await;
    wire.send("GET /to HTTP/1.1\r\nhost: a\r\nx-to: http://api/a\r\n\r\n")
        .await;
    timeout(PATIENCE, arrived.notified()).await.unwrap();
    drop(wire);
    assert!(origin.await.unwrap(), "the origin's connection stays");
    eventually("the guest's slot to be free", async || {
        node.state().foundation.engine.slots().in_use() == 0
    })
    .await;
}

#[tokio::test]
async fn answer_that_was_read_in_part_is_not_handed_on_as_if_it_were_all() {
    let origin = Origin::start(async |_| respond(200, &[], "abcdef")).await;
    let node = start(origin.address, &granted("")).await;
    let mut client = node.client().await;
    let fields = [("x-to", "http://api/a")];
    assert_eq!(client.get_with("/skip-to", &fields).await.status, 500);
    ends(&node, "response-invalid", 1.0).await;
}
