//! Content that streams, both ways.

use verge_http::failure::OriginFault;

use super::*;

#[tokio::test]
async fn trailers_pass_both_ways() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    let mut request = request(Method::POST, body);
    let fields = request.headers_mut();
    fields.insert("trailer", http::HeaderValue::from_static("x-sum"));
    fields.insert("te", http::HeaderValue::from_static("trailers"));
    let sending = send(&origin, request);
    let mut peer = server.accept().await;
    let head = peer.head().await;
    assert!(
        head.contains("\r\ntransfer-encoding: chunked\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nte: trailers\r\n"), "{head}");
    feed.data("abc");
    feed.trailers("x-sum", "1");
    drop(feed);
    let content = peer.read_until("\r\n\r\n").await;
    assert_eq!(content, "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n")
        .await;
    peer.write("2\r\nhi\r\n0\r\nx-sum: 2\r\ncontent-length: 7\r\n\r\n")
        .await;
    let got = response(sending).await.response;
    let content = got.into_body().collect().await.expect("a whole body");
    let trailers = content.trailers().expect("trailers").clone();
    assert_eq!(trailers.get("x-sum").expect("the sum"), "2");
    assert!(!trailers.contains_key("content-length"));
    assert_eq!(content.to_bytes(), "hi");
    until("the connection is unused", || idle(&origin) == 1).await;
}

#[tokio::test]
async fn content_is_passed_on_as_it_comes() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    let sending = send(&origin, request(Method::POST, body));
    let mut peer = server.accept().await;
    feed.data("one");
    peer.read_until("3\r\none\r\n").await;
    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        .await;
    // The response has begun while the request still goes on.
    let mut got = response(sending).await.response.into_body();
    let frame = got.frame().await.expect("a frame").expect("no failure");
    assert_eq!(frame.into_data().expect("data"), "a");
    feed.data("two");
    peer.read_until("3\r\ntwo\r\n").await;
    drop(feed);
    peer.read_until("0\r\n\r\n").await;
    peer.write("1\r\nb\r\n0\r\n\r\n").await;
    assert_eq!(text(got).await, "b");
    until("the connection is unused", || idle(&origin) == 1).await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_origin_down() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        .await;
    let got = response(sending).await.response;
    // Nobody reads: what fits into the buffers on the way goes, then no more.
    let block = "x".repeat(1 << 16);
    let mut written = 0;
    loop {
        tokio::select! {
            biased;
            () = peer.write(&block) => written += block.len(),
            () = quiet() => break,
        }
    }
    assert!(written < 50_000_000, "{written} bytes were taken");
    drop(got);
}

#[tokio::test]
async fn an_answer_before_the_request_is_complete_closes_the_connection() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    let sending = send(&origin, request(Method::POST, body));
    let mut peer = server.accept().await;
    feed.data("part");
    peer.read_until("part\r\n").await;
    peer.write("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
        .await;
    let got = response(sending).await.response;
    assert_eq!(got.status(), 413);
    assert_eq!(text(got.into_body()).await, "no");
    peer.closed().await;
    until("the body is let go", || feed.is_abandoned()).await;
}

#[tokio::test]
async fn a_declared_length_holds_where_the_body_knows_none() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    let mut request = request(Method::PUT, body);
    let length = http::HeaderValue::from_static("5");
    request.headers_mut().insert("content-length", length);
    let sending = send(&origin, request);
    let mut peer = server.accept().await;
    let head = peer.head().await;
    assert!(head.contains("\r\ncontent-length: 5\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    feed.data("abcde");
    drop(feed);
    peer.read_until("abcde").await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    response(sending).await;
}

#[tokio::test]
async fn a_body_shorter_than_declared_closes_the_connection() {
    let server = Server::start().await;
    let origin = server.origin();
    let (feed, body) = fed();
    let mut request = request(Method::PUT, body);
    let length = http::HeaderValue::from_static("5");
    request.headers_mut().insert("content-length", length);
    let sending = send(&origin, request);
    let mut peer = server.accept().await;
    feed.data("abc");
    drop(feed);
    peer.closed().await;
    assert!(sending.await.expect("no panic").is_err());
}

#[tokio::test]
async fn the_length_of_content_at_hand_is_written() {
    let server = Server::start().await;
    let origin = server.origin();
    let mut request = request(Method::POST, Body::from("four"));
    let wrong = http::HeaderValue::from_static("400");
    request.headers_mut().insert("content-length", wrong);
    let sending = send(&origin, request);
    let mut peer = server.accept().await;
    let head = peer.answer("").await;
    assert!(head.contains("\r\ncontent-length: 4\r\n"), "{head}");
    response(sending).await;
}

#[tokio::test]
async fn content_that_breaks_off_after_the_head_fails_in_the_body() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        .await;
    let mut body = response(sending).await.response.into_body();
    assert_eq!(body.exact_len(), Some(10));
    drop(peer);
    let frame = body.frame().await.expect("a frame").expect("no failure");
    assert_eq!(frame.into_data().expect("data"), "half");
    let failed = body.frame().await.expect("a frame").expect_err("a failure");
    assert_eq!(parts(failed).0, OriginFault::ResponseIncomplete);
    assert!(body.frame().await.is_none());
}
