//! Which requests are sent again, and which are not.

use verge_http::failure::{ClientFault, OriginFault, Progress};

use super::*;

/// An origin with one unused connection, and its other end.
async fn with_unused_connection(server: &Server) -> (Origin, Peer<tokio::net::TcpStream>) {
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.answer("").await;
    response(sending).await;
    until("the connection is unused", || idle(&origin) == 1).await;
    (origin, peer)
}

#[tokio::test]
async fn an_idempotent_request_is_sent_again_when_a_reused_connection_closes() {
    let server = Server::start().await;
    let (origin, mut peer) = with_unused_connection(&server).await;
    let sending = send(&origin, request(Method::PUT, Body::from("data")));
    let first = peer.head().await;
    drop(peer);
    let mut fresh = server.accept().await;
    assert_eq!(fresh.answer("").await, first);
    fresh.read_until("data").await;
    let got = response(sending).await;
    assert_eq!((got.timing.retries, got.timing.reused), (1, false));
    assert_eq!(origin.stats().retries, 1);
}

#[tokio::test]
async fn a_request_that_is_not_idempotent_is_sent_once() {
    let server = Server::start().await;
    let (origin, mut peer) = with_unused_connection(&server).await;
    let sending = send(&origin, request(Method::POST, Body::from("data")));
    peer.read_until("data").await;
    drop(peer);
    let failed = failure(sending).await;
    let expected = (OriginFault::ConnectionTerminated, Progress::Sent);
    assert_eq!(parts(failed.failure), expected);
    assert_eq!(failed.timing.retries, 0);
    assert!(failed.timing.reused);
}

#[tokio::test]
async fn a_request_on_a_new_connection_is_sent_once() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    drop(peer);
    let expected = (OriginFault::ConnectionTerminated, Progress::Sent);
    assert_eq!(parts(failure(sending).await.failure), expected);
}

#[tokio::test]
async fn a_body_that_was_partly_sent_is_not_sent_again() {
    let server = Server::start().await;
    let (origin, mut peer) = with_unused_connection(&server).await;
    let (feed, body) = fed();
    let sending = send(&origin, request(Method::PUT, body));
    feed.data("part");
    peer.read_until("part").await;
    drop(peer);
    let expected = (OriginFault::ConnectionTerminated, Progress::Sent);
    assert_eq!(parts(failure(sending).await.failure), expected);
}

#[tokio::test]
async fn a_streaming_body_of_which_nothing_was_taken_is_sent_again() {
    let server = Server::start().await;
    let (origin, mut peer) = with_unused_connection(&server).await;
    let (feed, body) = fed();
    let sending = send(&origin, request(Method::PUT, body));
    peer.head().await;
    drop(peer);
    let mut fresh = server.accept().await;
    fresh.head().await;
    feed.data("all");
    drop(feed);
    fresh.read_until("0\r\n\r\n").await;
    fresh.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(response(sending).await.timing.retries, 1);
}

#[tokio::test]
async fn a_broken_head_is_not_asked_for_again() {
    let server = Server::start().await;
    let (origin, mut peer) = with_unused_connection(&server).await;
    let sending = send(&origin, get());
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-").await;
    drop(peer);
    let expected = (OriginFault::ResponseIncomplete, Progress::Responding);
    assert_eq!(parts(failure(sending).await.failure), expected);
}

#[tokio::test]
async fn a_refused_connection_is_tried_at_another_address() {
    let dead = Server::start().await.address();
    let alive = Server::start().await;
    let settings = OriginSettings::new("app", vec![dead.clone(), dead, alive.address()]);
    let origin = origin(settings);
    let mut retries = 0;
    for _ in 0..4 {
        let sending = send(&origin, request(Method::POST, Body::from("data")));
        let mut peer = alive.accept().await;
        peer.head().await;
        peer.write("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            .await;
        let got = response(sending).await;
        assert_eq!(got.timing.address, Some(alive.socket()));
        retries += got.timing.retries;
    }
    // The dead address is passed over while its penalty lasts.
    assert_eq!(retries, 1);
    let stats = origin.stats();
    let dead = stats.addresses.iter().find(|a| a.connect_failed > 0);
    assert!(dead.expect("it failed").penalised);
}

#[tokio::test]
async fn a_lone_origin_that_refuses_is_asked_once() {
    let server = Server::start().await;
    let origin = server.origin();
    drop(server);
    let failed = failure(send(&origin, get())).await;
    let expected = (OriginFault::ConnectionRefused, Progress::Unsent);
    assert_eq!(parts(failed.failure), expected);
    assert_eq!(failed.timing.retries, 0);
    let stats = origin.stats();
    assert_eq!((stats.failed, stats.addresses[0].connect_failed), (1, 1));
    assert_eq!(stats.addresses[0].open, 0);
}

#[tokio::test]
async fn a_failing_request_body_is_the_clients_fault() {
    let server = Server::start().await;
    let (origin, mut peer) = with_unused_connection(&server).await;
    let (feed, body) = fed();
    let sending = send(&origin, request(Method::PUT, body));
    peer.head().await;
    feed.data("part");
    feed.fail(Failure::Client(ClientFault::Aborted));
    let failed = failure(sending).await;
    assert_eq!(failed.failure, Failure::Client(ClientFault::Aborted));
    peer.closed().await;
}

#[tokio::test]
async fn a_fresh_connection_replaces_an_unused_one_at_the_limit() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.limits.connections = 2;
    let origin = origin(settings);
    let (one, two) = (send(&origin, get()), send(&origin, get()));
    let (mut first, mut second) = (server.accept().await, server.accept().await);
    first.answer("").await;
    until("one is unused", || idle(&origin) == 1).await;
    second.answer("").await;
    until("both are unused", || idle(&origin) == 2).await;
    response(one).await;
    response(two).await;
    // The younger one is used, and fails; the older makes room for a new one.
    let sending = send(&origin, get());
    second.head().await;
    drop(second);
    let mut fresh = server.accept().await;
    fresh.answer("").await;
    assert_eq!(response(sending).await.timing.retries, 1);
}
