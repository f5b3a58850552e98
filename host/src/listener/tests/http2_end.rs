//! How an HTTP/2 connection ends: the last request, idleness, drain; and what is still on its
//! way to the client by then.

use super::http2::{GET_ROOT, connect, fetch, frame, frames, raw, request};
use super::*;

/// What `/tail` is answered with. The library takes it in one piece.
const TAIL: usize = 30_000;
/// A window of so many bytes lets nearly all of it stand there.
const WINDOW: u32 = 1000;

/// A client that has asked for `/tail` and got the first window of it.
async fn with_a_tail(node: &Node) -> Client {
    // SETTINGS_INITIAL_WINDOW_SIZE.
    let mut client = raw(node, &[&[0, 4][..], &WINDOW.to_be_bytes()].concat()).await;
    let get_tail = [&[0x82, 0x86, 0x04, 5][..], b"/tail", &[0x41, 1, b'a']].concat();
    client.send(frame(1, 5, 1, &get_tail)).await;
    while content(&client.read) < WINDOW as usize {
        assert_ne!(client.more().await, 0, "closed too early");
    }
    client
}

/// Bytes of content in a server's frames.
fn content(bytes: &[u8]) -> usize {
    let frames = frames(bytes);
    let data = frames.iter().filter(|(kind, ..)| *kind == 0);
    data.map(|(.., payload)| payload.len()).sum()
}

/// Takes a window at a time, with pauses of nearly the time that an idle connection has.
async fn take_slowly(client: &mut Client) {
    let mut pace = tokio::time::interval(SHORT);
    let mut taken = WINDOW as usize;
    while taken < TAIL {
        pace.tick().await;
        client.send(frame(8, 0, 1, &WINDOW.to_be_bytes())).await;
        taken += WINDOW as usize;
        while content(&client.read) < taken.min(TAIL) {
            assert_ne!(client.more().await, 0, "closed after {taken} bytes");
        }
    }
}

fn short_lived() -> ListenerSettings {
    ListenerSettings {
        idle_time: SHORT,
        drain_idle_time: SHORT,
        close_time: SHORT,
        ..ListenerSettings::default()
    }
}

#[tokio::test]
async fn what_is_on_its_way_goes_on_in_a_drain_while_the_client_reads() {
    let node = Node::start(ListenerSettings {
        drain_idle_time: SHORT,
        close_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut client = with_a_tail(&node).await;
    node.drain.advance(DrainPhase::Refusing);
    take_slowly(&mut client).await;
    client.rest_bytes().await;
    assert_eq!(node.all_closed(1).await, [CloseReason::Drained]);
}

#[tokio::test]
async fn what_is_on_its_way_keeps_a_connection_from_being_idle() {
    let node = Node::start(short_lived());
    let mut client = with_a_tail(&node).await;
    take_slowly(&mut client).await;
    client.rest_bytes().await;
    let expected = CloseReason::Limit(Limit::IdleTime);
    assert_eq!(node.all_closed(1).await, [expected]);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_what_is_on_its_way_is_cut() {
    let node = Node::start(ListenerSettings {
        send_floor: RateFloor {
            bytes_per_second: 1_000_000,
            grace: SHORT,
        },
        ..short_lived()
    });
    let mut client = with_a_tail(&node).await;
    client.rest_bytes().await;
    let expected = CloseReason::Limit(Limit::SendFloor);
    assert_eq!(node.all_closed(1).await, [expected]);
}

#[tokio::test]
async fn a_client_that_does_not_hear_the_goodbye_is_refused_in_the_end() {
    let node = Node::start(ListenerSettings {
        drain_idle_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut client = raw(&node, &[]).await;
    let get_gate = [&[0x82, 0x86, 0x04, 5][..], b"/gate", &[0x41, 1, b'a']].concat();
    client.send(frame(1, 5, 1, &get_gate)).await;
    eventually(|| *node.handler.at_gate.lock() == 1).await;
    node.drain.advance(DrainPhase::Draining);
    // It never answers the PING that comes with the first GOAWAY.
    let mut refused = None;
    for n in 1..1000 {
        let stream = 2 * n + 1;
        client.send(frame(1, 5, stream, GET_ROOT)).await;
        let answered = |bytes: &[u8]| {
            let mut frames = frames(bytes).into_iter();
            frames.find(|(kind, of, _)| *of == stream && matches!(kind, 1 | 3))
        };
        while answered(&client.read).is_none() {
            assert_ne!(client.more().await, 0, "closed too early");
        }
        if let Some((3, _, code)) = answered(&client.read) {
            refused = Some((n, code));
            break;
        }
        client.read.clear();
        tokio::time::sleep(SHORT / 10).await;
    }
    let (n, code) = refused.expect("requests without an end were answered");
    assert_eq!(code, [0, 0, 0, 7], "REFUSED_STREAM");
    assert!(n > 1, "those that were on their way are answered");
    // What was begun before is finished.
    node.handler.gate.notify_one();
    client.rest_bytes().await;
    assert_eq!(node.all_closed(1).await, [CloseReason::Drained]);
}

#[tokio::test]
async fn the_last_request_is_followed_by_goaway() {
    let node = Node::start(ListenerSettings {
        requests_per_connection: 2,
        ..ListenerSettings::default()
    });
    let (mut sender, connection) = connect(&node).await;
    for _ in 0..2 {
        assert_eq!(fetch(&mut sender, "/", b"").await.0, 200);
    }
    tokio::time::timeout(PATIENCE, connection)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("a graceful end");
    assert_eq!(node.all_closed(1).await, [CloseReason::Answered]);
}

#[tokio::test]
async fn an_idle_connection_is_told_and_closed() {
    let node = Node::start(ListenerSettings {
        idle_time: SHORT,
        ..ListenerSettings::default()
    });
    let (mut sender, connection) = connect(&node).await;
    assert_eq!(fetch(&mut sender, "/", b"").await.0, 200);
    tokio::time::timeout(PATIENCE, connection)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("a graceful end");
    let expected = CloseReason::Limit(Limit::IdleTime);
    assert_eq!(node.all_closed(1).await, [expected]);
}

#[tokio::test]
async fn a_client_that_ignores_goaway_is_closed_all_the_same() {
    let node = Node::start(ListenerSettings {
        idle_time: SHORT,
        drain_idle_time: SHORT,
        close_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut client = raw(&node, &[]).await;
    client.rest_bytes().await;
    let expected = CloseReason::Limit(Limit::IdleTime);
    assert_eq!(node.all_closed(1).await, [expected]);
}

#[tokio::test]
async fn a_drain_finishes_streams_and_ends_connections() {
    let node = Node::start(ListenerSettings::default());
    let (mut sender, connection) = connect(&node).await;
    let in_flight = sender.send_request(request("/gate", b""));
    eventually(|| *node.handler.at_gate.lock() == 1).await;
    node.drain.advance(DrainPhase::Refusing);
    node.handler.gate.notify_one();
    let response = tokio::time::timeout(PATIENCE, in_flight)
        .await
        .expect("in time")
        .expect("response");
    let body = response.into_body().collect().await.expect("body");
    assert_eq!(body.to_bytes(), "through");
    connection.await.expect("no panic").expect("a graceful end");
    tokio::time::timeout(PATIENCE, node.drain.finished())
        .await
        .expect("everything ends");
    assert_eq!(node.closed(), [CloseReason::Drained]);
}

#[tokio::test]
async fn streams_that_do_not_finish_are_cut() {
    let node = Node::start(ListenerSettings::default());
    let (mut sender, _connection) = connect(&node).await;
    let in_flight = sender.send_request(request("/gate", b""));
    eventually(|| *node.handler.at_gate.lock() == 1).await;
    node.drain.advance(DrainPhase::Cut);
    tokio::time::timeout(PATIENCE, node.drain.finished())
        .await
        .expect("everything ends");
    assert!(in_flight.await.is_err());
    assert_eq!(node.closed(), [CloseReason::Cut]);
}
