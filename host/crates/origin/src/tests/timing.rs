//! Origins that are slow in every place where they can be.

use std::time::Duration;

use verge_http::failure::{OriginFault, Progress};

use super::*;

#[tokio::test]
async fn a_head_that_does_not_come_is_given_up() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    let before = tokio::time::Instant::now();
    tokio::time::pause();
    let failed = failure(sending).await;
    let expected = (OriginFault::ConnectionReadTimeout, Progress::Sent);
    assert_eq!(parts(failed.failure), expected);
    assert!(before.elapsed() > origin.settings().timeouts.first_byte / 2);
    peer.closed().await;
}

#[tokio::test]
async fn a_head_that_comes_in_drops_is_given_up() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\nx: ").await;
    quiet().await;
    tokio::time::pause();
    let expected = (OriginFault::ConnectionReadTimeout, Progress::Responding);
    assert_eq!(parts(failure(sending).await.failure), expected);
}

#[tokio::test]
async fn silence_within_the_content_is_given_up() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        .await;
    let mut body = response(sending).await.response.into_body();
    body.frame().await.expect("a frame").expect("no failure");
    tokio::time::pause();
    let failed = body.frame().await.expect("a frame").expect_err("a failure");
    let expected = (OriginFault::ConnectionReadTimeout, Progress::Responding);
    assert_eq!(parts(failed), expected);
    assert!(body.frame().await.is_none());
    peer.closed().await;
}

#[tokio::test]
async fn the_whole_exchange_has_an_end() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.timeouts.total = Duration::from_secs(12);
    let origin = origin(settings);
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let mut body = response(sending).await.response.into_body();
    // A drop every four seconds keeps each single wait short.
    let mut drops = 0;
    let failed = loop {
        tokio::time::pause();
        let waited = tokio::time::timeout(Duration::from_secs(4), body.frame()).await;
        tokio::time::resume();
        match waited {
            Err(_elapsed) => {
                drops += 1;
                peer.write("1\r\na\r\n").await;
                body.frame().await.expect("a frame").expect("no failure");
            }
            Ok(frame) => break frame.expect("a frame").expect_err("a failure"),
        }
    };
    let expected = (OriginFault::ResponseTimeout, Progress::Responding);
    assert_eq!(parts(failed), expected);
    assert!((1..=3).contains(&drops), "{drops} drops");
}

#[tokio::test]
async fn time_that_the_reader_takes_is_not_the_origins() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na")
        .await;
    let mut body = response(sending).await.response.into_body();
    body.frame().await.expect("a frame").expect("no failure");
    tokio::time::pause();
    tokio::time::advance(origin.settings().timeouts.total * 10).await;
    tokio::time::resume();
    peer.write("b").await;
    assert_eq!(text(body).await, "b");
}

#[tokio::test]
async fn an_origin_that_takes_nothing_of_the_body_is_given_up() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    let block = "x".repeat(1 << 20);
    for _ in 0..64 {
        feed.data(&block);
    }
    let sending = send(&origin, request(Method::POST, body));
    let mut peer = server.accept().await;
    peer.head().await;
    quiet().await;
    tokio::time::pause();
    let failed = failure(sending).await;
    let expected = (OriginFault::ConnectionWriteTimeout, Progress::Sent);
    assert_eq!(parts(failed.failure), expected);
}

#[tokio::test]
async fn a_client_that_sends_slowly_is_not_the_origins_fault() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    let sending = send(&origin, request(Method::POST, body));
    let mut peer = server.accept().await;
    feed.data("a");
    peer.read_until("1\r\na\r\n").await;
    quiet().await;
    tokio::time::pause();
    tokio::time::advance(origin.settings().timeouts.total * 2).await;
    tokio::time::resume();
    feed.data("b");
    drop(feed);
    peer.read_until("0\r\n\r\n").await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(response(sending).await.response.status(), 204);
}
