//! What stands before hyper: strict heads, one request at a time.

use super::*;

#[tokio::test]
async fn bad_heads_get_their_status_and_the_connection_closes() {
    let node = Node::start(ListenerSettings::default());
    let long_target = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(9000));
    let large = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(40_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(101)
    );
    let cases: &[(&str, u16)] = &[
        // RFC 9112 2.2, 3: the request line.
        ("GARBAGE\r\n\r\n", 400),
        ("GET / HTTP/1.1\nhost: a\n\n", 400),
        ("GET  / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505),
        ("GET /#frag HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", 400),
        // RFC 9112 5: field lines.
        ("GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: y\rz\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: y\0z\r\n\r\n", 400),
        // RFC 9110 7.2: Host.
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        // RFC 9112 6.1, 6.3: framing, the smuggler's tools.
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\x0bchunked\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            501,
        ),
        // Sizes.
        (&long_target, 414),
        (&large, 431),
        (&many, 431),
    ];
    for (head, expected) in cases {
        let answer = node.exchange(head.as_bytes()).await;
        let shown = &head[..head.len().min(80)];
        assert_eq!(status(&answer), *expected, "{shown:?}");
        assert!(says_close(&answer), "{shown:?}: {answer}");
    }
    assert!(node.handler.requests.lock().is_empty());
    assert_eq!(node.handler.refused.lock().len(), cases.len());
    let closed = node.all_closed(cases.len()).await;
    assert!(
        closed
            .iter()
            .all(|reason| matches!(reason, CloseReason::Violation(_)))
    );
}

#[tokio::test]
async fn a_head_may_come_in_any_pieces() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    let request = b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    for step in [1, 2, 7, 40] {
        for piece in request.chunks(step) {
            client.send(piece).await;
            tokio::task::yield_now().await;
        }
        let answer = client.response().await;
        assert!(answer.ends_with("hello"), "in steps of {step}: {answer}");
        assert!(!says_close(&answer));
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    let echo = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n";
    let chunked =
        "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nzz\r\n0\r\n\r\n";
    let mut burst = String::new();
    for n in 0..50 {
        burst += &format!("{echo}{}", n % 10);
        burst += chunked;
        burst += GET;
    }
    client.send(&burst).await;
    for n in 0..50 {
        assert!(
            client
                .response()
                .await
                .ends_with(&format!("\r\n\r\n{}", n % 10))
        );
        assert!(client.response().await.ends_with("\r\n\r\nzz"));
        assert!(client.response().await.ends_with("\r\n\r\nok"));
    }
}

#[tokio::test]
async fn requests_before_a_bad_one_are_answered_first() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    let gate = "GET /gate HTTP/1.1\r\nhost: a\r\n\r\n";
    client
        .send(format!(
            "{GET}{gate}GET / HTTP/1.1\r\nbad line\r\n\r\n{GET}"
        ))
        .await;
    assert_eq!(status(&client.response().await), 200);
    eventually(|| *node.handler.at_gate.lock() == 1).await;
    assert!(node.handler.refused.lock().is_empty());
    node.handler.gate.notify_one();
    assert!(client.response().await.ends_with("through"));
    let last = client.response().await;
    assert_eq!(status(&last), 400);
    assert!(says_close(&last));
    assert_eq!(client.rest().await, "");
    assert_eq!(node.handler.requests.lock().len(), 2);
}

#[tokio::test]
async fn what_follows_a_smuggled_body_is_never_a_request() {
    let node = Node::start(ListenerSettings::default());
    let smuggled = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\
                    transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = node.exchange(smuggled.as_bytes()).await;
    assert_eq!(status(&answer), 400);
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(node.handler.requests.lock().is_empty());
}

#[tokio::test]
async fn http_1_0_closes_unless_asked_to_stay() {
    let node = Node::start(ListenerSettings::default());
    let answer = node.exchange(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await;
    assert_eq!(status(&answer), 200);
    let mut client = node.connect().await;
    for _ in 0..2 {
        client
            .send("GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
            .await;
        assert_eq!(status(&client.response().await), 200);
    }
}

#[tokio::test]
async fn a_client_that_says_close_is_closed_after_its_answer() {
    let node = Node::start(ListenerSettings::default());
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n{GET}");
    let answer = node.exchange(request.as_bytes()).await;
    assert_eq!(answer.matches("200 OK").count(), 1);
    assert!(says_close(&answer));
    assert_eq!(node.all_closed(1).await, [CloseReason::Answered]);
}

#[tokio::test]
async fn a_client_that_leaves_between_requests_is_no_error() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client.send(GET).await;
    client.response().await;
    client.end().await;
    assert_eq!(client.rest().await, "");
    assert_eq!(node.all_closed(1).await, [CloseReason::Client]);
}

#[tokio::test]
async fn a_client_that_leaves_drops_its_request() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client.send("GET /gate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    eventually(|| *node.handler.at_gate.lock() == 1).await;
    drop(client);
    assert_eq!(node.all_closed(1).await, [CloseReason::Aborted]);
}

#[tokio::test]
async fn an_informational_status_is_not_an_answer() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    client
        .send("GET /status-100 HTTP/1.1\r\nhost: a\r\n\r\n")
        .await;
    assert_eq!(status(&client.response().await), 500);
    client.send(GET).await;
    assert_eq!(status(&client.response().await), 200);
}
