//! `Expect: 100-continue`, end to end (RFC 9110 10.1.1).

use super::*;

fn expecting(body: Body) -> Request<Body> {
    let mut request = request(Method::POST, body);
    let value = http::HeaderValue::from_static("100-continue");
    request.headers_mut().insert("expect", value);
    request
}

#[tokio::test]
async fn the_body_is_sent_when_the_origin_says_continue() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    feed.data("content");
    let sending = send(&origin, expecting(body));
    let mut peer = server.accept().await;
    let head = peer.head().await;
    assert!(head.contains("\r\nexpect: 100-continue\r\n"), "{head}");
    assert!(peer.buffer.is_empty(), "nothing before the 100");
    peer.write("HTTP/1.1 100 Continue\r\n\r\n").await;
    drop(feed);
    peer.read_until("7\r\ncontent\r\n0\r\n\r\n").await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(response(sending).await.response.status(), 204);
    until("the connection is unused", || idle(&origin) == 1).await;
}

#[tokio::test]
async fn the_body_is_never_read_when_the_origin_answers_without_it() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    feed.data("content");
    let sending = send(&origin, expecting(body));
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
        .await;
    let got = response(sending).await.response;
    assert_eq!(got.status(), 403);
    assert!(feed.is_abandoned());
    assert_eq!(text(got.into_body()).await, "no");
    // The origin might take what comes next for the body.
    peer.closed().await;
    assert!(peer.buffer.is_empty());
}

#[tokio::test]
async fn the_body_is_sent_after_a_while_to_an_origin_that_says_nothing() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    feed.data("content");
    drop(feed);
    let sending = send(&origin, expecting(body));
    let mut peer = server.accept().await;
    peer.head().await;
    tokio::time::pause();
    let before = tokio::time::Instant::now();
    peer.read_until("7\r\ncontent\r\n").await;
    assert!(before.elapsed() >= origin.settings().timeouts.expect_continue / 2);
    tokio::time::resume();
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    response(sending).await;
}

#[tokio::test]
async fn nothing_is_expected_for_content_at_hand() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, expecting(Body::from("content")));
    let mut peer = server.accept().await;
    let head = peer.head().await;
    assert!(!head.contains("expect"), "{head}");
    peer.read_until("content").await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    response(sending).await;
}

#[tokio::test]
async fn a_gated_body_survives_a_connection_that_was_closed() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.answer("").await;
    response(sending).await;
    until("the connection is unused", || idle(&origin) == 1).await;
    let (feed, body) = fed();
    feed.data("content");
    drop(feed);
    let mut request = expecting(body);
    *request.method_mut() = Method::PUT;
    let sending = send(&origin, request);
    peer.head().await;
    drop(peer);
    let mut fresh = server.accept().await;
    fresh.head().await;
    fresh.write("HTTP/1.1 100 Continue\r\n\r\n").await;
    fresh.read_until("7\r\ncontent\r\n0\r\n\r\n").await;
    fresh.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(response(sending).await.timing.retries, 1);
}
