//! Clients that are slow, in every way there is.

use super::*;

#[tokio::test]
async fn a_head_that_takes_too_long_is_answered_408() {
    let node = Node::start(ListenerSettings {
        head_time: SHORT,
        close_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut client = node.connect().await;
    client.send(GET).await;
    client.response().await;
    client.send("GET / HT").await;
    let answer = client.rest().await;
    assert_eq!(status(&answer), 408);
    assert!(says_close(&answer));
    assert_eq!(*node.handler.refused.lock(), ["head-timeout"]);
    assert_eq!(
        node.all_closed(1).await,
        [CloseReason::Limit(Limit::HeadTime)]
    );
    assert!(node.has_event(ConnectionEvent::LimitHit(Limit::HeadTime)));
}

#[tokio::test]
async fn bytes_that_trickle_do_not_move_the_deadline_of_a_head() {
    let node = Node::start(ListenerSettings {
        head_time: SHORT,
        close_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut client = node.connect().await;
    client.send("GET / HTTP/1.1\r\n").await;
    let mut sent = 0;
    while client.try_send("x: y\r\n").await && node.closed().is_empty() {
        sent += 1;
        assert!(sent < 1000, "the trickle went on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        node.all_closed(1).await,
        [CloseReason::Limit(Limit::HeadTime)]
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_an_answer() {
    let node = Node::start(ListenerSettings {
        idle_time: SHORT,
        close_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut fresh = node.connect().await;
    assert_eq!(fresh.rest().await, "");
    let mut used = node.connect().await;
    used.send(GET).await;
    used.response().await;
    assert_eq!(used.rest().await, "");
    let expected = CloseReason::Limit(Limit::IdleTime);
    assert_eq!(node.all_closed(2).await, [expected, expected]);
}

#[tokio::test]
async fn a_request_that_waits_for_its_answer_is_not_idle() {
    let node = Node::start(ListenerSettings {
        idle_time: SHORT,
        head_time: SHORT,
        unread_body_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut client = node.connect().await;
    client.send("GET /gate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    tokio::time::sleep(SHORT * 4).await;
    node.handler.gate.notify_one();
    assert!(client.response().await.ends_with("through"));
}

#[tokio::test]
async fn a_body_below_the_floor_is_answered_408() {
    let node = Node::start(ListenerSettings {
        receive_floor: RateFloor {
            bytes_per_second: 1_000_000,
            grace: SHORT,
        },
        ..ListenerSettings::default()
    });
    let mut client = node.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc")
        .await;
    let answer = client.rest().await;
    assert_eq!(status(&answer), 408);
    assert!(answer.ends_with("body-too-slow"), "{answer}");
    assert!(says_close(&answer));
    assert!(node.has_event(ConnectionEvent::LimitHit(Limit::ReceiveFloor)));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let node = Node::start(ListenerSettings {
        send_floor: RateFloor {
            bytes_per_second: 1_000_000,
            grace: SHORT,
        },
        ..ListenerSettings::default()
    });
    let mut client = node.connect().await;
    client
        .send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n".repeat(4))
        .await;
    let expected = CloseReason::Limit(Limit::SendFloor);
    assert_eq!(node.all_closed(1).await, [expected]);
    assert!(node.has_event(ConnectionEvent::LimitHit(Limit::SendFloor)));
    assert_eq!(node.admission.connections().in_use(), 0);
}
