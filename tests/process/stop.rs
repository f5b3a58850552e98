//! How a node goes: SIGTERM drains it, a second signal ends it at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::watch;
use verge_tests::client::{Client, connect};
use verge_tests::frames::{FrameWire, GOAWAY, HEADERS, request};
use verge_tests::origin::respond;
use verge_tests::{Origin, Wire, eventually};

use crate::kit::{Place, Process, on_free_ports};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn before(origin: &Origin, stop: &str) -> String {
    on_free_ports(&format!(
        "[stop]\n{stop}\n{}",
        verge_tests::node::route_to(origin)
    ))
}

/// An origin that says when a request has come, and answers once it is told to.
async fn held_origin() -> (watch::Sender<bool>, Origin) {
    let (release, held) = watch::channel(false);
    let origin = Origin::start(move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|released| *released).await.unwrap();
            respond(200, &[("cache-control", "no-store")], "content")
        }
    })
    .await;
    (release, origin)
}

async fn quick_origin() -> Origin {
    Origin::start(async |_| respond(200, &[("cache-control", "no-store")], "content")).await
}

async fn readiness(admin: SocketAddr) -> u16 {
    Client::http1(admin)
        .await
        .get("/readyz")
        .await
        .status
        .as_u16()
}

/// What clients under load have seen.
#[derive(Default)]
struct Load {
    answered: AtomicUsize,
    failed: AtomicUsize,
    /// Connections that were told of their end in good order.
    told: AtomicUsize,
}

/// Asks over one HTTP/1.1 connection until an answer says that it is the last one.
async fn ask_http1(address: SocketAddr, load: Arc<Load>) {
    let mut wire = Wire::connect(address).await;
    loop {
        let answer = wire.ask(GET).await;
        if answer.status() != 200 {
            load.failed.fetch_add(1, Ordering::SeqCst);
        }
        load.answered.fetch_add(1, Ordering::SeqCst);
        if answer.says_close() {
            load.told.fetch_add(1, Ordering::SeqCst);
            return;
        }
    }
}

/// Asks over one HTTP/2 connection until the node says goodbye.
async fn ask_http2(address: SocketAddr, load: Arc<Load>) {
    let stream = TokioIo::new(connect(address).await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    while sender.ready().await.is_ok() {
        let request = http::Request::get(format!("http://{address}/"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        match sender.send_request(request).await {
            Ok(response) if response.status() == 200 => {
                match response.into_body().collect().await {
                    Ok(_) => load.answered.fetch_add(1, Ordering::SeqCst),
                    Err(_) => load.failed.fetch_add(1, Ordering::SeqCst),
                };
            }
            // It was never sent: the connection had said goodbye before.
            Err(error) if error.is_canceled() => break,
            Ok(_) | Err(_) => {
                load.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    load.told.fetch_add(1, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_fails_no_request() {
    let place = Place::new();
    let origin = quick_origin().await;
    let config = place.write(
        "verge.toml",
        &before(
            &origin,
            "ready_delay = \"300ms\"\nlinger = \"2s\"\ndeadline = \"10s\"",
        ),
    );
    let process = Process::serve(&config);
    let (http, admin) = (process.address("http"), process.address("admin"));
    assert_eq!(readiness(admin).await, 200);
    let load = Arc::new(Load::default());
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(tokio::spawn(ask_http1(http, Arc::clone(&load))));
        clients.push(tokio::spawn(ask_http2(http, Arc::clone(&load))));
    }
    eventually("the node is busy", async || {
        load.answered.load(Ordering::SeqCst) > 100
    })
    .await;
    process.signal("TERM");
    eventually("not ready any more", async || readiness(admin).await == 503).await;
    // Who comes before the balancer has noticed is served.
    let late = Wire::connect(http).await.ask(GET).await;
    assert_eq!(late.status(), 200);
    assert!(late.says_close());
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(load.failed.load(Ordering::SeqCst), 0);
    assert_eq!(load.told.load(Ordering::SeqCst), 12);
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopping: not ready any more"), "{log}");
    assert!(log.contains("stopped cut=0"), "{log}");
}

#[tokio::test]
async fn what_is_in_flight_is_finished_and_said_to_be_the_last() {
    let place = Place::new();
    let (release, origin) = held_origin().await;
    let config = place.write(
        "verge.toml",
        &before(&origin, "linger = \"1s\"\ndeadline = \"10s\""),
    );
    let mut process = Process::serve(&config);
    let http = process.address("http");
    let mut http1 = Wire::connect(http).await;
    http1.send(GET).await;
    let mut http2 = FrameWire::connect(http).await;
    http2
        .send(request(
            1,
            &[
                (":method", "GET"),
                (":scheme", "http"),
                (":authority", "a"),
                (":path", "/"),
                // Not collapsed with the other one.
                ("authorization", "x"),
            ],
        ))
        .await;
    eventually_at(&origin, 2).await;
    process.signal("TERM");
    let goaway = http2.until(|frame| frame.kind == GOAWAY).await;
    // The first of two steps takes every stream (RFC 9113 6.8).
    assert_eq!(goaway.payload[..4], [0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(goaway.error_code(), 0);
    assert!(process.is_running());
    release.send(true).unwrap();
    let answer = http1.message().await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "content"));
    assert!(answer.says_close());
    let answer = http2.until(|frame| frame.kind == HEADERS).await;
    assert_eq!(answer.status(), 200);
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    // The log is complete: both lines are there.
    let lines = std::fs::read_to_string(place.path("access.log")).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[tokio::test]
async fn an_idle_connection_lingers_and_its_next_request_is_answered() {
    let place = Place::new();
    let origin = quick_origin().await;
    let config = place.write(
        "verge.toml",
        &before(&origin, "linger = \"2s\"\ndeadline = \"10s\""),
    );
    let process = Process::serve(&config);
    let http = process.address("http");
    let (mut asking, mut silent) = (Wire::connect(http).await, Wire::connect(http).await);
    for wire in [&mut asking, &mut silent] {
        assert!(!wire.ask(GET).await.says_close());
    }
    process.signal("TERM");
    process.wait_for("stopping: not ready any more");
    // Closing it at once would have raced this request.
    let answer = asking.ask(GET).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.says_close());
    assert!(asking.is_closed().await);
    assert!(silent.is_closed().await);
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopped cut=0"), "{log}");
}

#[tokio::test]
async fn the_deadline_cuts_what_does_not_end() {
    let place = Place::new();
    let (_release, origin) = held_origin().await;
    let config = place.write(
        "verge.toml",
        &before(&origin, "linger = \"0s\"\ndeadline = \"200ms\""),
    );
    let process = Process::serve(&config);
    let mut wire = Wire::connect(process.address("http")).await;
    wire.send(GET).await;
    eventually_at(&origin, 1).await;
    process.signal("TERM");
    assert!(wire.is_closed().await);
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        log.contains("the deadline of the stop has passed: cutting what is left"),
        "{log}"
    );
    assert!(log.contains("stopped cut=1"), "{log}");
}

/// The origin keeps a request when it has read it, which is before it answers.
async fn eventually_at(origin: &Origin, count: usize) {
    eventually("the origin has the requests", async || {
        origin.count() >= count
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for signals in [["TERM", "TERM"], ["INT", "INT"], ["TERM", "INT"]] {
        let place = Place::new();
        let (_release, origin) = held_origin().await;
        let config = place.write(
            "verge.toml",
            &before(&origin, "linger = \"1m\"\ndeadline = \"1h\""),
        );
        let mut process = Process::serve(&config);
        let mut wire = Wire::connect(process.address("http")).await;
        wire.send(GET).await;
        eventually_at(&origin, 1).await;
        process.signal(signals[0]);
        process.wait_for("stopping: not ready any more");
        assert!(process.is_running());
        process.signal(signals[1]);
        let (status, log) = process.end();
        assert_eq!(status.code(), Some(130), "{log}");
        assert!(
            log.contains("told twice to stop: stopping at once"),
            "{log}"
        );
    }
}

#[tokio::test]
async fn ctrl_c_drains_too() {
    let place = Place::new();
    let origin = quick_origin().await;
    let config = place.write("verge.toml", &before(&origin, "linger = \"0s\""));
    let process = Process::serve(&config);
    process.signal("INT");
    let (status, log) = process.end();
    assert_eq!(status.code(), Some(0), "{log}");
}
