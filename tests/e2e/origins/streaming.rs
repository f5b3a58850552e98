//! Content that streams through the node both ways, no faster than its reader
//! takes it; trailers; 100 Continue from end to end.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;
use tokio::time::timeout;
use verge_tests::client::{ClientBody, collect, empty};
use verge_tests::origin::{OriginResponse, respond_in_steps};
use verge_tests::{Client, Origin, Wire, eventually};

use super::script::{Script, node_before};

const PIECE: usize = 64 << 10;
/// Far more than all buffers between the two ends hold.
const PIECES: usize = 1024;
/// What sockets and windows may hold: it is the kernel's to say, so this is generous.
const HELD_MAX: usize = 32 << 20;
/// A writer that got nothing off within this time is held back.
const STALL: Duration = Duration::from_millis(500);

/// Writes pieces until the other side stops taking them; returns the bytes taken.
async fn write_until_held(wire: &mut Wire, mut left: usize) -> usize {
    let piece = vec![b'x'; PIECE];
    let mut taken = 0;
    while left > 0 {
        match timeout(STALL, wire.try_send(&piece)).await {
            Ok(sent) => sent.unwrap(),
            // The piece may be half written: who asks, asks for a lower bound.
            Err(_held) => return taken,
        }
        taken += PIECE;
        left -= PIECE;
    }
    taken
}

#[tokio::test]
async fn a_slow_origin_holds_the_client_back() {
    let (release, held) = watch::channel(false);
    let origin = Script::start(move |_, mut wire| {
        let mut held = held.clone();
        async move {
            let head = wire.head().await;
            assert!(head.contains("content-length"), "{head}");
            held.wait_for(|released| *released).await.unwrap();
            let mut total = 0;
            while total < PIECES * PIECE {
                total += wire.exactly(PIECE).await.len();
            }
            let text = total.to_string();
            wire.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            ))
            .await;
        }
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut wire = Wire::connect(node.http()).await;
    wire.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        PIECES * PIECE
    ))
    .await;
    // One task writes all of it; what it got off is looked at from outside.
    let written = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&written);
    let writing = tokio::spawn(async move {
        let piece = vec![b'x'; PIECE];
        for _ in 0..PIECES {
            wire.send(&piece).await;
            seen.fetch_add(PIECE, Ordering::SeqCst);
        }
        wire.message().await
    });
    let taken = settled(&written).await;
    assert!(taken < HELD_MAX, "{taken} bytes went into the node");
    release.send(true).unwrap();
    let answer = writing.await.unwrap();
    assert_eq!(answer.text(), (PIECES * PIECE).to_string());
}

/// The number once it has stopped growing.
async fn settled(number: &AtomicUsize) -> usize {
    let mut before = 0;
    loop {
        tokio::time::sleep(STALL).await;
        let now = number.load(Ordering::SeqCst);
        if now > 0 && now == before {
            return now;
        }
        before = now;
    }
}

#[tokio::test]
async fn a_slow_client_holds_the_origin_back() {
    let written = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&written);
    let origin = Script::start(move |_, mut wire| {
        let seen = Arc::clone(&seen);
        async move {
            wire.message().await;
            wire.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                PIECES * PIECE
            ))
            .await;
            let piece = vec![b'x'; PIECE];
            for _ in 0..PIECES {
                wire.send(&piece).await;
                seen.fetch_add(PIECE, Ordering::SeqCst);
            }
        }
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        written.store(0, Ordering::SeqCst);
        let response = client.begin("GET", "/", &[], empty()).await.unwrap();
        let taken = settled(&written).await;
        assert!(taken < HELD_MAX, "{taken} bytes went into the node");
        let reply = collect(response).await.unwrap();
        assert_eq!(reply.body.len(), PIECES * PIECE);
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_exchange_with_the_origin() {
    let written = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let (seen, gone) = (Arc::clone(&written), Arc::clone(&ended));
    let origin = Script::start(move |_, mut wire| {
        let (seen, gone) = (Arc::clone(&seen), Arc::clone(&gone));
        async move {
            wire.message().await;
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
                .await;
            seen.fetch_add(
                write_until_held(&mut wire, usize::MAX / 2).await,
                Ordering::SeqCst,
            );
            let piece = vec![b'x'; PIECE];
            while wire.try_send(&piece).await.is_ok() {}
            gone.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut client = node.client().await;
    let response = client.begin("GET", "/", &[], empty()).await.unwrap();
    eventually("the origin is held back", async || {
        written.load(Ordering::SeqCst) > 0
    })
    .await;
    drop((response, client));
    eventually("the origin's connection is closed", async || {
        ended.load(Ordering::SeqCst) == 1
    })
    .await;
    eventually("the receipt is closed", async || {
        node.access_log()
            .first()
            .is_some_and(|line| line["aborted"] == true)
    })
    .await;
}

#[tokio::test]
async fn pieces_pass_as_they_come() {
    let (steps, response) = respond_in_steps(200, &[]);
    let response = parking_lot::Mutex::new(Some(response));
    let origin = Origin::start(move |_| {
        let response = response.lock().take().unwrap();
        async move { response }
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut client = node.client().await;
    steps.send(Some("first".into())).unwrap();
    let mut response = client.begin("GET", "/", &[], empty()).await.unwrap();
    for (piece, next) in [("first", "second"), ("second", "third")] {
        let frame = timeout(verge_tests::PATIENCE, response.body_mut().frame())
            .await
            .expect("a piece before the next one is written")
            .unwrap()
            .unwrap();
        assert_eq!(frame.into_data().unwrap(), piece);
        steps.send(Some(next.into())).unwrap();
    }
    steps.send(None).unwrap();
    assert_eq!(collect(response).await.unwrap().text(), "third");
}

fn with_trailers<E: 'static>(
    pieces: &[&'static str],
) -> http_body_util::combinators::UnsyncBoxBody<Bytes, E> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    let mut frames: Vec<Result<Frame<Bytes>, Infallible>> = pieces
        .iter()
        .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))
        .collect();
    frames.push(Ok(Frame::trailers(trailers)));
    StreamBody::new(futures_util::stream::iter(frames))
        .map_err(|never| match never {})
        .boxed_unsync()
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let origin = Origin::start(async |_| {
        let response: OriginResponse = http::Response::builder()
            .header("trailer", "x-sum")
            .body(with_trailers(&["con", "tent"]))
            .unwrap();
        response
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        let body: ClientBody = with_trailers(&["ques", "tion"]);
        let fields = [("te", "trailers"), ("trailer", "x-sum")];
        let reply = client.try_send("POST", "/", &fields, body).await.unwrap();
        assert_eq!(reply.text(), "content");
        assert_eq!(reply.trailers.unwrap().get("x-sum").unwrap(), "7");
        let asked = origin.requests().pop().unwrap();
        assert_eq!(&asked.body[..], b"question");
        assert_eq!(asked.trailers.unwrap().get("x-sum").unwrap(), "7");
        assert_eq!(asked.fields.get("te").unwrap(), "trailers");
    }
}

const EXPECTING: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 8\r\n\r\n";

#[tokio::test]
async fn a_client_that_waits_is_told_to_continue_when_the_origin_says_so() {
    let (release, held) = watch::channel(false);
    let origin = Script::start(move |_, mut wire| {
        let mut held = held.clone();
        async move {
            let head = wire.head().await;
            assert!(head.contains("expect: 100-continue"), "{head}");
            held.wait_for(|released| *released).await.unwrap();
            wire.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            let content = wire.exactly(8).await;
            assert_eq!(content, b"question");
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer")
                .await;
        }
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut wire = Wire::connect(node.http()).await;
    wire.send(EXPECTING).await;
    eventually("the origin has the head", async || {
        origin.connections() == 1
    })
    .await;
    assert!(
        timeout(Duration::from_millis(100), wire.head())
            .await
            .is_err(),
        "it is the origin that says when to go on"
    );
    release.send(true).unwrap();
    assert_eq!(wire.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    let answer = wire.ask("question").await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "answer"));
}

#[tokio::test]
async fn a_client_that_waits_gets_the_origins_refusal_instead() {
    let origin = Script::start(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
            .await;
        wire.rest().await;
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut wire = Wire::connect(node.http()).await;
    let answer = wire.ask(EXPECTING).await;
    assert_eq!((answer.status(), answer.text().as_str()), (401, "no"));
    // Whether the content still comes is not known: the connection ends.
    assert!(answer.says_close());
}
