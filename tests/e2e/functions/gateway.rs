//! A standard `wasi:http` 0.2 component that sends requests: streaming and trailers both ways,
//! back pressure, what it is told of failures, and its end with its client.

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
use verge_tests::client::{Client, ClientBody};
use verge_tests::guests::{function, runtime};
use verge_tests::origin::{OriginBody, respond, respond_in_steps};
use verge_tests::{Origin, PATIENCE, TestNode, Wire, eventually};

async fn start(api: SocketAddr, keys: &str) -> TestNode {
    start_for("*", api, keys).await
}

async fn start_for(site: &str, api: SocketAddr, keys: &str) -> TestNode {
    let gateway = function("gateway", "gateway", keys);
    let toml = format!(
        "{}{gateway}[origin.api]\naddresses = [\"{api}\"]\n[[site]]\nnames = [\"{site}\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nfunction = \"gateway\"\ncache = \"off\"\n",
        runtime(),
    );
    TestNode::start(&toml).await
}

const GRANTED: &str = "grants = { fetch = [\"api\"] }";

/// A body that the test sends piece by piece.
fn pieces() -> (mpsc::UnboundedSender<Bytes>, ClientBody) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Bytes>();
    let stream = futures_util::stream::poll_fn(move |context| {
        receiver
            .poll_recv(context)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    });
    (sender, StreamBody::new(stream).boxed_unsync())
}

#[tokio::test]
async fn request_content_streams_to_the_origin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = start(listener.local_addr().unwrap(), GRANTED).await;
    let mut client = node.client().await;
    let (sender, body) = pieces();
    let fields = [("x-to", "http://api/upload")];
    let asking = client.begin("POST", "/", &fields, body);
    let origin = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut wire = Wire::over(stream);
        let head = wire.head().await;
        assert!(head.starts_with("POST /upload HTTP/1.1\r\n"), "{head}");
        // Each piece arrives before the next is sent.
        for piece in ["first", "second"] {
            sender.send(Bytes::from_static(piece.as_bytes())).unwrap();
            assert_eq!(
                wire.line().await,
                format!("{:x}", piece.len()).to_uppercase()
            );
            assert_eq!(
                wire.exactly(piece.len() + 2).await,
                format!("{piece}\r\n").as_bytes()
            );
        }
        drop(sender);
        assert_eq!(wire.line().await, "0");
        assert_eq!(wire.line().await, "");
        wire.send("HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\ndone")
            .await;
    };
    let (response, ()) = tokio::join!(asking, origin);
    let response = response.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "done"
    );
}

#[tokio::test]
async fn response_content_streams_to_the_client() {
    let (steps, response) = respond_in_steps(200, &[]);
    let response = Arc::new(parking_lot::Mutex::new(Some(response)));
    let api = Origin::start(move |_| {
        let response = response.lock().take().unwrap();
        async { response }
    })
    .await;
    let node = start(api.address, GRANTED).await;
    let mut client = Client::h2c(node.http()).await;
    let fields = [("x-to", "http://api/a")];
    let empty = verge_tests::client::empty();
    let response = client.begin("GET", "/", &fields, empty).await.unwrap();
    let mut content = response.into_body();
    for piece in ["first", "second"] {
        steps
            .send(Some(Bytes::from_static(piece.as_bytes())))
            .unwrap();
        let frame = timeout(PATIENCE, content.frame()).await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), piece);
    }
    steps.send(None).unwrap();
    assert!(content.collect().await.unwrap().to_bytes().is_empty());
}

fn with_trailers<E: Send + 'static>(
    content: &'static str,
) -> http_body_util::combinators::UnsyncBoxBody<Bytes, E> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    let frames = [
        Ok(Frame::data(Bytes::from_static(content.as_bytes()))),
        Ok(Frame::trailers(trailers)),
    ];
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let api = Origin::start(|_| async {
        let body: OriginBody = with_trailers("answer");
        http::Response::builder()
            .header("trailer", "x-sum")
            .body(body)
            .unwrap()
    })
    .await;
    let node = start(api.address, GRANTED).await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        let fields = [
            ("x-to", "http://api/a"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
        ];
        let body: ClientBody = with_trailers("question");
        let reply = client.try_send("POST", "/", &fields, body).await.unwrap();
        assert_eq!(
            (reply.status.as_u16(), reply.text()),
            (200, "answer".into())
        );
        assert_eq!(reply.trailers.unwrap()["x-sum"], "7");
        let asked = api.requests().pop().unwrap();
        assert_eq!(asked.body, "question");
        assert_eq!(asked.trailers.unwrap()["x-sum"], "7");
    }
}

#[tokio::test]
async fn slow_client_slows_the_origin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let keys = format!("body = \"1GiB\"\nfetch = {{ bytes = \"1GiB\" }}\n{GRANTED}");
    let node = start(listener.local_addr().unwrap(), &keys).await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut wire = Wire::over(stream);
        wire.head().await;
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 200000000\r\n\r\n")
            .await;
        while wire.try_send(vec![b'x'; 10_000]).await.is_ok() {
            count.fetch_add(10_000, Ordering::SeqCst);
        }
    });
    let mut client = node.client().await;
    let fields = [("x-to", "http://api/a")];
    let empty = verge_tests::client::empty();
    let response = client.begin("GET", "/", &fields, empty).await.unwrap();
    let mut content = response.into_body();
    content.frame().await.unwrap().unwrap();
    // The buffers between fill, and then nothing moves.
    let mut last = 0;
    let mut still = 0;
    eventually("the origin to be slowed down", async || {
        let now = written.load(Ordering::SeqCst);
        still = if now == last { still + 1 } else { 0 };
        last = now;
        now > 0 && still > 40
    })
    .await;
    assert!(last < 50_000_000, "{last} bytes");
    for _ in 0..10_000 {
        let frame = timeout(PATIENCE, content.frame()).await.unwrap();
        frame.unwrap().unwrap();
        if written.load(Ordering::SeqCst) > last {
            return;
        }
    }
    panic!("the origin does not go on");
}

#[tokio::test]
async fn failures_have_the_names_of_wasi_http() {
    let api = Origin::start(|_| async { respond(200, &[], "never asked") }).await;
    let keys = "fetch = { depth = 2 }
grants = { fetch_site = true }";
    let node = start_for("site.example", api.address, keys).await;
    let mut client = node.client().await;
    client.set_authority("site.example");
    for (uri, error) in [
        ("http://api/a", "ErrorCode::HttpRequestDenied"),
        ("http://user@api/a", "ErrorCode::HttpRequestUriInvalid"),
        // It passes the field on, and so asks itself again and again.
        ("http://site.example/a", "ErrorCode::LoopDetected"),
    ] {
        let reply = client.get_with("/", &[("x-to", uri)]).await;
        assert_eq!(reply.status, 502, "{uri}");
        assert!(reply.text().contains(error), "{uri}: {}", reply.text());
    }
    assert_eq!(api.count(), 0);
    // The client's call, and two inside of it.
    let runs = "verge_function_fetches_total{function=\"gateway\",outcome=\"too-deep\"}";
    node.settles(runs, 1.0).await;
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let node = start(closed, GRANTED).await;
    let reply = node
        .client()
        .await
        .get_with("/", &[("x-to", "http://api/a")])
        .await;
    assert!(
        reply.text().contains("ErrorCode::ConnectionRefused"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn request_ends_with_the_client_that_it_was_sent_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = start(listener.local_addr().unwrap(), GRANTED).await;
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
    wire.send("GET / HTTP/1.1\r\nhost: a\r\nx-to: http://api/a\r\n\r\n")
        .await;
    timeout(PATIENCE, arrived.notified()).await.unwrap();
    drop(wire);
    assert!(origin.await.unwrap(), "the origin's connection stays");
    let ended = "verge_function_fetches_total{function=\"gateway\",outcome=\"abandoned\"}";
    node.settles(ended, 1.0).await;
}
