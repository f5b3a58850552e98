//! Limits on connections and requests, and handlers that panic.

use super::*;

#[tokio::test]
async fn the_last_request_of_a_connection_is_told_so() {
    let node = Node::start(ListenerSettings {
        requests_per_connection: 3,
        ..ListenerSettings::default()
    });
    let mut client = node.connect().await;
    client.send(GET.repeat(5)).await;
    for _ in 0..2 {
        assert!(!says_close(&client.response().await));
    }
    assert!(says_close(&client.response().await));
    assert_eq!(client.rest().await, "");
    assert_eq!(node.handler.requests.lock().len(), 3);
    let limit = ConnectionEvent::LimitHit(Limit::RequestsPerConnection);
    assert!(node.has_event(limit));
}

#[tokio::test]
async fn one_connection_too_many_is_answered_503() {
    let node = Node::start_with(ListenerSettings::default(), None, 1);
    let mut first = node.connect().await;
    first.send(GET).await;
    first.response().await;
    let answer = node.exchange(GET.as_bytes()).await;
    assert_eq!(status(&answer), 503);
    assert!(says_close(&answer));
    assert!(node.has_event(ConnectionEvent::LimitHit(Limit::Connections)));
    // Nobody else suffers, and the place comes back.
    first.send(GET).await;
    assert_eq!(status(&first.response().await), 200);
    drop(first);
    eventually(|| node.admission.connections().in_use() == 0).await;
    let mut next = node.connect().await;
    next.send(GET).await;
    assert_eq!(status(&next.response().await), 200);
}

#[tokio::test]
async fn a_client_with_too_many_connections_is_refused() {
    let settings = ListenerSettings {
        connections_per_client: 1,
        ..ListenerSettings::default()
    };
    let node = Node::start(settings.clone());
    let mut first = node.connect().await;
    first.send(GET).await;
    first.response().await;
    assert_eq!(status(&node.exchange(GET.as_bytes()).await), 503);
    let limit = ConnectionEvent::LimitHit(Limit::ConnectionsPerClient);
    assert!(node.has_event(limit));
    assert_eq!(node.admission.clients().clients(), 1);

    let behind_balancer = Node::start(ListenerSettings {
        uncounted_clients: vec!["127.0.0.0/8".parse().expect("network")],
        ..settings
    });
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = behind_balancer.connect().await;
        client.send(GET).await;
        assert_eq!(status(&client.response().await), 200);
        clients.push(client);
    }
}

#[tokio::test]
async fn a_panic_costs_only_its_request() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client.send("GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(status(&client.response().await), 500);
    assert!(node.has_event(ConnectionEvent::HandlerPanicked));
    assert_eq!(*node.handler.refused.lock(), ["internal"]);
    client.send(GET).await;
    assert_eq!(status(&client.response().await), 200);
}

#[tokio::test]
async fn a_panic_in_a_body_breaks_that_response_off() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client
        .send("GET /panic-body HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    let answer = client.rest().await;
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    assert!(node.has_event(ConnectionEvent::HandlerPanicked));
    assert_eq!(node.all_closed(1).await, [CloseReason::ResponseFailed]);
}
