//! Request bodies: framing, bodies that nobody reads, 100 Continue.

use verge_http::failure::ClientFault;

use super::*;

fn chunked(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}")
}

#[tokio::test]
async fn broken_chunks_are_told_to_the_handler_and_the_connection_closes() {
    let node = Node::start(ListenerSettings::default());
    // RFC 9112 7.1.
    let cases = [
        "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcX\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nabc",
    ];
    for body in cases {
        let request = chunked("/echo", body) + GET;
        let answer = node.exchange(request.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{body:?}");
        assert!(says_close(&answer), "{body:?}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{body:?}");
    }
    let closed = node.all_closed(cases.len()).await;
    let (trailer, chunks) = closed.split_first().expect("all of them");
    assert_eq!(*trailer, CloseReason::Violation(ClientFault::FieldInvalid));
    let expected = CloseReason::Violation(ClientFault::ChunkInvalid);
    assert!(
        chunks.iter().all(|reason| *reason == expected),
        "{closed:?}"
    );
}

#[tokio::test]
async fn a_violation_in_a_later_piece_of_a_body_ends_it() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client.send(chunked("/echo", "3\r\nabc\r\n")).await;
    eventually(|| node.handler.requests.lock().len() == 1).await;
    client.send("oops\r\n").await;
    let answer = client.rest().await;
    assert_eq!(status(&answer), 400);
    assert!(answer.ends_with("chunk-invalid"));
}

#[tokio::test]
async fn a_body_that_ends_early_is_told_to_the_handler() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    client.end().await;
    let answer = client.rest().await;
    assert_eq!(status(&answer), 400);
    assert!(answer.ends_with("body-incomplete"), "{answer}");
}

#[tokio::test]
async fn an_unread_body_never_poisons_the_next_request() {
    let node = Node::start(ListenerSettings::default());
    let evil = "GET /evil HTTP/1.1\r\nhost: a\r\n\r\n";
    for size in [10, 5000, 60_000] {
        let mut client = node.connect().await;
        let mut body = evil.repeat(size / evil.len() + 1);
        body.truncate(size);
        let sized = format!("POST /ignore HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
        let in_chunks = chunked("/ignore", &format!("{size:x}\r\n{body}\r\n0\r\n\r\n"));
        for request in [sized + &body, in_chunks] {
            client.send(request).await;
            let answer = client.response().await;
            assert_eq!(status(&answer), 200, "{size}");
            assert!(!says_close(&answer), "{size}");
            client.send(GET).await;
            assert_eq!(status(&client.response().await), 200, "{size}");
        }
    }
    let requests = node.handler.requests.lock();
    assert!(!requests.iter().any(|request| request.contains("evil")));
}

#[tokio::test]
async fn an_unread_body_that_comes_after_the_answer_is_waited_for() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client
        .send("POST /ignore HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nab")
        .await;
    assert_eq!(status(&client.response().await), 200);
    client.send(format!("cdef{GET}")).await;
    assert_eq!(status(&client.response().await), 200);
    assert_eq!(node.handler.requests.lock().len(), 2);
}

#[tokio::test]
async fn a_body_too_large_to_be_thrown_away_closes_the_connection() {
    let node = Node::start(ListenerSettings::default());
    let evil = "GET /evil HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20_000);
    let mut client = node.connect().await;
    let head = format!(
        "POST /ignore HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        evil.len()
    );
    client.send(head).await;
    // The answer arrives although the client sends on.
    client.try_send(&evil).await;
    let answer = client.rest().await;
    assert_eq!(status(&answer), 200);
    assert!(says_close(&answer));
    assert_eq!(answer.matches("HTTP/1.1").count(), 1);
    assert!(node.has_event(ConnectionEvent::LimitHit(Limit::UnreadBody)));

    // In chunks the size shows only later.
    let body = format!("{:x}\r\n{evil}\r\n0\r\n\r\n{GET}", evil.len());
    let mut client = node.connect().await;
    client.send(chunked("/ignore", "")).await;
    let answer = client.response().await;
    assert_eq!(status(&answer), 200);
    client.try_send(body).await;
    assert_eq!(client.rest().await, "");
    assert_eq!(node.handler.requests.lock().len(), 2);
}

#[tokio::test]
async fn an_unread_body_that_does_not_come_is_not_waited_for_long() {
    let node = Node::start(ListenerSettings {
        unread_body_time: SHORT,
        close_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut client = node.connect().await;
    client
        .send("POST /ignore HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nab")
        .await;
    assert_eq!(status(&client.response().await), 200);
    assert_eq!(client.rest().await, "");
    let expected = CloseReason::Limit(Limit::UnreadBody);
    assert_eq!(node.all_closed(1).await, [expected]);
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_when_the_body_is_read() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client
        .send("POST /echo HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(client.response().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hi").await;
    let answer = client.response().await;
    assert!(answer.ends_with("hi") && !says_close(&answer), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_for_100_in_vain_is_told_that_the_connection_closes() {
    let node = Node::start(ListenerSettings::default());
    let request =
        "POST /ignore HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    let answer = node.exchange(request.as_bytes()).await;
    assert_eq!(status(&answer), 200);
    assert!(says_close(&answer));
}

#[tokio::test]
async fn a_large_response_arrives_whole() {
    let node = Node::start(ListenerSettings::default());
    let request = "GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = node.exchange(request.as_bytes()).await;
    let (_, body) = answer.split_once("\r\n\r\n").expect("head");
    assert_eq!(body.len(), 8 << 20);
}
