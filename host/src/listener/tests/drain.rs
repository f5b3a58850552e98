//! Stopping without dropping a request.

use super::*;

#[tokio::test]
async fn the_next_answer_says_that_the_connection_closes() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client.send(GET).await;
    assert!(!says_close(&client.response().await));
    node.drain.advance(DrainPhase::Draining);
    // The idle connection lingers: its next request is not lost.
    client.send(GET).await;
    assert!(says_close(&client.response().await));
    assert_eq!(client.rest().await, "");
    drop(client);
    assert_eq!(node.all_closed(1).await, [CloseReason::Drained]);
    // New connections are still accepted, for one answer.
    let answer = node.exchange(GET.as_bytes()).await;
    assert!(says_close(&answer) && status(&answer) == 200);
}

#[tokio::test]
async fn idle_connections_end_after_a_while() {
    let node = Node::start(ListenerSettings {
        drain_idle_time: SHORT,
        close_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut used = node.connect().await;
    used.send(GET).await;
    used.response().await;
    let mut fresh = node.connect().await;
    eventually(|| node.admission.connections().in_use() == 2).await;
    node.drain.advance(DrainPhase::Draining);
    assert_eq!(used.rest().await, "");
    assert_eq!(fresh.rest().await, "");
    assert_eq!(node.all_closed(2).await, [CloseReason::Drained; 2]);
}

#[tokio::test]
async fn requests_in_flight_are_finished() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client.send("GET /gate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually(|| *node.handler.at_gate.lock() == 1).await;
    node.drain.advance(DrainPhase::Draining);
    node.drain.advance(DrainPhase::Refusing);
    node.handler.gate.notify_one();
    let answer = client.response().await;
    assert!(answer.ends_with("through") && says_close(&answer));
    drop(client);
    tokio::time::timeout(PATIENCE, node.drain.finished())
        .await
        .expect("everything ends");
    assert!(TcpStream::connect(node.address).await.is_err());
}

#[tokio::test]
async fn what_does_not_finish_is_cut() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client.send("GET /gate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let _idle = node.connect().await;
    eventually(|| *node.handler.at_gate.lock() == 1).await;
    node.drain.advance(DrainPhase::Refusing);
    assert!(node.drain.live() > 0);
    node.drain.advance(DrainPhase::Cut);
    tokio::time::timeout(PATIENCE, node.drain.finished())
        .await
        .expect("everything ends");
    assert_eq!(client.rest().await, "");
    assert!(node.closed().contains(&CloseReason::Cut));
}
