//! Which connections are kept, shared, waited for and closed.

use std::sync::Arc;
use std::time::Duration;

use verge_http::failure::{OriginFault, Progress};

use super::*;

#[tokio::test]
async fn a_kept_connection_serves_the_next_request() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    let head = peer.answer("one").await;
    assert_eq!(
        head,
        "GET /path?query HTTP/1.1\r\nhost: site.example\r\n\r\n"
    );
    let first = response(sending).await;
    assert!(matches!(first.response.body(), Body::Full(_)));
    assert_eq!(text(first.response.into_body()).await, "one");
    assert!(!first.timing.reused);
    assert_eq!(first.timing.address, Some(server.socket()));

    until("the connection is unused", || idle(&origin) == 1).await;
    let sending = send(&origin, get());
    peer.answer("two").await;
    let second = response(sending).await;
    assert!(second.timing.reused);
    assert_eq!(second.timing.connect, Duration::ZERO);
    assert_eq!(text(second.response.into_body()).await, "two");
    let stats = &origin.stats().addresses[0];
    assert_eq!((stats.opened, stats.reused), (1, 1));
}

#[tokio::test]
async fn the_most_recently_used_connection_is_used_first() {
    let server = Server::start().await;
    let origin = server.origin();
    let (one, two) = (send(&origin, get()), send(&origin, get()));
    let (mut older, mut younger) = (server.accept().await, server.accept().await);
    older.answer("").await;
    until("the first is unused", || idle(&origin) == 1).await;
    younger.answer("").await;
    until("both are unused", || idle(&origin) == 2).await;
    response(one).await;
    response(two).await;
    let sending = send(&origin, get());
    younger.answer("again").await;
    response(sending).await;
}

#[tokio::test]
async fn a_connection_closed_by_the_origin_is_not_used_again() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.answer("").await;
    response(sending).await;
    drop(peer);
    until("its end was noticed", || open(&origin) == 0).await;
    assert_eq!(idle(&origin), 0);
    let sending = send(&origin, request(Method::POST, Body::from("data")));
    let mut peer = server.accept().await;
    peer.answer("fresh").await;
    assert_eq!(response(sending).await.timing.retries, 0);
}

#[tokio::test]
async fn bytes_behind_a_response_close_the_connection() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await;
    response(sending).await;
    peer.closed().await;
    until("the connection is gone", || open(&origin) == 0).await;
}

#[tokio::test]
async fn a_half_read_response_closes_its_connection() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        .await;
    let mut body = response(sending).await.response.into_body();
    let frame = body.frame().await.expect("a frame").expect("no failure");
    assert_eq!(frame.into_data().expect("data"), "half");
    drop(body);
    peer.closed().await;
    until("the connection is gone", || open(&origin) == 0).await;
}

#[tokio::test]
async fn a_request_given_up_closes_its_connection() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    sending.abort();
    peer.closed().await;
    until("the connection is gone", || open(&origin) == 0).await;
}

#[tokio::test]
async fn requests_wait_in_turn_and_a_full_queue_refuses() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.limits.connections = 1;
    settings.limits.queue = 2;
    let origin = origin(settings);
    let first = send(&origin, get());
    let mut peer = server.accept().await;
    let second = send(&origin, request(Method::PUT, Body::Empty));
    until("one waits", || origin.stats().waiting == 1).await;
    let third = send(&origin, request(Method::DELETE, Body::Empty));
    until("two wait", || origin.stats().waiting == 2).await;

    let refused = failure(send(&origin, get())).await;
    let expected = (OriginFault::ConnectionLimitReached, Progress::Unsent);
    assert_eq!(parts(refused.failure), expected);
    assert_eq!(origin.stats().queue_refused, 1);

    peer.answer("").await;
    response(first).await;
    assert!(peer.answer("").await.starts_with("PUT "));
    assert!(peer.answer("").await.starts_with("DELETE "));
    assert!(response(second).await.timing.reused);
    assert!(response(third).await.timing.reused);
    assert_eq!(origin.stats().addresses[0].opened, 1);
}

#[tokio::test]
async fn waiting_for_a_connection_ends() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.limits.connections = 1;
    let origin = origin(settings);
    let busy = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    let waiting = send(&origin, get());
    until("it waits", || origin.stats().waiting == 1).await;
    tokio::time::pause();
    let expected = (OriginFault::ConnectionLimitReached, Progress::Unsent);
    assert_eq!(parts(failure(waiting).await.failure), expected);
    let stats = origin.stats();
    assert_eq!((stats.waiting, stats.queue_timed_out), (0, 1));
    busy.abort();
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_the_place_to_the_next() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.limits.connections = 1;
    let origin = origin(settings);
    let first = send(&origin, get());
    let mut peer = server.accept().await;
    let leaving = send(&origin, get());
    until("one waits", || origin.stats().waiting == 1).await;
    let staying = send(&origin, get());
    until("two wait", || origin.stats().waiting == 2).await;
    leaving.abort();
    until("one has left", || origin.stats().waiting == 1).await;
    peer.answer("").await;
    response(first).await;
    peer.answer("").await;
    response(staying).await;
}

#[tokio::test]
async fn the_place_of_a_closed_connection_goes_to_who_waits() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.limits.connections = 1;
    let origin = origin(settings);
    let first = send(&origin, get());
    let mut peer = server.accept().await;
    let second = send(&origin, get());
    until("one waits", || origin.stats().waiting == 1).await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        .await;
    response(first).await;
    let mut fresh = server.accept().await;
    fresh.answer("").await;
    assert!(!response(second).await.timing.reused);
}

#[tokio::test]
async fn unused_connections_are_closed_after_the_idle_timeout() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.answer("").await;
    response(sending).await;
    until("the connection is unused", || idle(&origin) == 1).await;
    let before = tokio::time::Instant::now();
    tokio::time::pause();
    peer.closed().await;
    assert!(before.elapsed() >= origin.settings().timeouts.idle);
    until("it is gone", || open(&origin) == 0).await;
}

#[tokio::test]
async fn no_connection_is_kept_where_none_may_be() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.timeouts.idle = Duration::ZERO;
    let origin = origin(settings);
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.answer("").await;
    response(sending).await;
    peer.closed().await;
}

#[tokio::test]
async fn a_dropped_origin_closes_its_unused_connections() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.answer("").await;
    response(sending).await;
    until("the connection is unused", || idle(&origin) == 1).await;
    drop(origin);
    peer.closed().await;
}

#[tokio::test]
async fn addresses_take_turns() {
    let (one, two) = (Server::start().await, Server::start().await);
    let addresses = vec![one.address(), two.address()];
    let origin = origin(OriginSettings::new("app", addresses));
    let mut counts = [0, 0];
    let mut last = None;
    for _ in 0..4 {
        let sending = send(&origin, get());
        let server = tokio::select! {
            mut peer = one.accept() => {
                peer.head().await;
                peer.write("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
                0
            }
            mut peer = two.accept() => {
                peer.head().await;
                peer.write("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
                1
            }
        };
        response(sending).await;
        assert_ne!(last.replace(server), Some(server));
        counts[server] += 1;
    }
    assert_eq!(counts, [2, 2]);
}

/// Answers every request, on every connection, until the runtime stops.
async fn serve(server: Server) {
    loop {
        let mut peer = server.accept().await;
        tokio::spawn(async move {
            loop {
                let ended = peer.buffer.is_empty()
                    && !matches!(peer.io.read_buf(&mut peer.buffer).await, Ok(1..));
                if ended {
                    return;
                }
                peer.answer("content").await;
            }
        });
    }
}

#[test]
fn runtimes_of_several_cores_share_one_pool_within_its_limit() {
    const CONNECTIONS: usize = 3;
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (started, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async {
            let server = Server::start().await;
            started.send(server.address()).expect("the test waits");
            serve(server).await;
        });
    });
    let address = address.recv().expect("the server starts");
    let mut settings = OriginSettings::new("app", vec![address]);
    settings.limits.connections = CONNECTIONS;
    settings.limits.queue_wait = Duration::from_secs(20);
    let origin = origin(settings);
    // Runtimes end together: a connection dies with the runtime that drives it.
    let done = Arc::new(std::sync::Barrier::new(4));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (origin, done) = (origin.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                let runtime = runtime();
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..4)
                        .map(|_| {
                            let origin = origin.clone();
                            tokio::spawn(async move {
                                for _ in 0..50 {
                                    let got = origin.send(get()).await.expect("a response");
                                    assert_eq!(text(got.response.into_body()).await, "content");
                                    assert!(open(&origin) <= CONNECTIONS);
                                }
                            })
                        })
                        .collect();
                    for task in tasks {
                        task.await.expect("no failure");
                    }
                    // Other workers may still use connections of this one.
                    tokio::task::spawn_blocking(move || done.wait())
                        .await
                        .expect("all come to their end");
                });
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no failure");
    }
    let stats = origin.stats();
    assert!(stats.addresses[0].opened <= CONNECTIONS as u64 + stats.retries);
    assert_eq!((stats.waiting, stats.failed), (0, 0));
}
