//! One HTTP/2 stream: what comes ahead of its response, its head, its content, and a client
//! that falls silent.

use std::future::poll_fn;

use h2::client::{ResponseFuture, SendRequest};

use super::*;

async fn connect(node: &Node) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(node.address).await.expect("connect");
    let (sender, connection) = h2::client::handshake(tcp).await.expect("handshake");
    tokio::spawn(connection);
    sender
}

fn post(path: &str, fields: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::post(format!("http://a{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("request")
}

/// The status of the next interim response; `None` when the final one has come.
async fn early(response: &mut ResponseFuture) -> Option<u16> {
    let early = poll_fn(|context| response.poll_informational(context));
    let early = tokio::time::timeout(PATIENCE, early)
        .await
        .expect("in time");
    early.map(|early| early.expect("a response").status().as_u16())
}

async fn content(response: ResponseFuture) -> (Response<()>, Bytes) {
    let (head, mut body) = tokio::time::timeout(PATIENCE, response)
        .await
        .expect("in time")
        .expect("response")
        .into_parts();
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.expect("content");
        body.flow_control()
            .release_capacity(piece.len())
            .expect("room");
        all.extend_from_slice(&piece);
    }
    (Response::from_parts(head, ()), all.into())
}

#[tokio::test]
async fn interim_responses_come_before_the_final_one() {
    let node = Node::start(ListenerSettings::default());
    let mut sender = connect(&node).await;
    let (mut response, _) = sender
        .send_request(post("/hints", &[]), true)
        .expect("sent");
    assert_eq!(early(&mut response).await, Some(103));
    node.handler.gate.notify_one();
    assert_eq!(early(&mut response).await, Some(103));
    assert_eq!(early(&mut response).await, None);
    assert_eq!(content(response).await.1, "through");
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_so_once_its_content_is_wanted_rfc_9110_10_1_1() {
    let node = Node::start(ListenerSettings::default());
    let mut sender = connect(&node).await;
    let expects = [("expect", "100-continue")];
    let (mut response, mut body) = sender
        .send_request(post("/echo", &expects), false)
        .expect("sent");
    assert_eq!(early(&mut response).await, Some(100));
    body.send_data(Bytes::from_static(b"hello"), true)
        .expect("sent");
    assert_eq!(early(&mut response).await, None);
    assert_eq!(content(response).await.1, "hello");
    // Nobody wants it.
    let (mut response, _body) = sender
        .send_request(post("/", &expects), false)
        .expect("sent");
    assert_eq!(early(&mut response).await, None);
    assert_eq!(content(response).await.1, "ok");
    // It came by itself.
    let (mut response, mut body) = sender
        .send_request(post("/echo", &[]), false)
        .expect("sent");
    body.send_data(Bytes::from_static(b"hello"), true)
        .expect("sent");
    assert_eq!(early(&mut response).await, None);
    assert_eq!(content(response).await.1, "hello");
}

#[tokio::test]
async fn a_response_has_date_and_length_and_nothing_of_the_connection() {
    let node = Node::start(ListenerSettings::default());
    let mut sender = connect(&node).await;
    let (response, _) = sender
        .send_request(post("/connection", &[]), true)
        .expect("sent");
    let (head, body) = content(response).await;
    assert_eq!(body, "ok");
    assert_eq!(head.headers()["content-length"], "2");
    assert_eq!(head.headers()["x-kept"], "1");
    let date = head.headers()["date"].to_str().expect("ASCII");
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    assert_eq!(head.headers().len(), 3, "{head:?}");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let node = Node::start(ListenerSettings::default());
    let mut sender = connect(&node).await;
    let (response, mut body) = sender
        .send_request(post("/back", &[]), false)
        .expect("sent");
    body.send_data(Bytes::from_static(b"hello"), false)
        .expect("sent");
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("5"));
    body.send_trailers(trailers.clone()).expect("sent");
    let mut body = response.await.expect("response").into_body();
    while let Some(piece) = body.data().await {
        assert_eq!(piece.expect("content"), "hello");
    }
    assert_eq!(body.trailers().await.expect("trailers"), Some(trailers));
}

#[tokio::test]
async fn a_client_that_resets_its_stream_ends_the_request() {
    let node = Node::start(ListenerSettings::default());
    let mut sender = connect(&node).await;
    let (response, mut body) = sender
        .send_request(post("/gate", &[]), false)
        .expect("sent");
    eventually(|| *node.handler.at_gate.lock() == 1).await;
    body.send_reset(h2::Reason::CANCEL);
    drop((body, response));
    eventually(|| *node.handler.at_gate.lock() == 0).await;
    let (response, _) = sender.send_request(post("/", &[]), true).expect("sent");
    assert_eq!(content(response).await.1, "ok");
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let node = Node::start(ListenerSettings::default());
    let mut sender = connect(&node).await;
    // More than one turn of the connection takes.
    for _ in 0..3 {
        let mut responses = Vec::new();
        for _ in 0..100 {
            poll_fn(|context| sender.poll_ready(context))
                .await
                .expect("ready");
            let (response, _) = sender.send_request(post("/", &[]), true).expect("sent");
            responses.push(response);
        }
        for response in responses {
            assert_eq!(content(response).await.1, "ok");
        }
    }
    assert_eq!(node.handler.requests.lock().len(), 300);
    assert!(node.closed().is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_ping_is_gone() {
    let node = Node::start(ListenerSettings {
        http2: Http2Settings {
            ping_interval: SHORT,
            ping_time: SHORT,
            ..Http2Settings::default()
        },
        close_time: SHORT,
        ..ListenerSettings::default()
    });
    let mut client = silent(&node).await;
    client.rest_bytes().await;
    let expected = CloseReason::Limit(Limit::IdleTime);
    assert_eq!(node.all_closed(1).await, [expected]);
    assert!(node.has_event(ConnectionEvent::LimitHit(Limit::IdleTime)));
}

#[tokio::test]
async fn a_client_that_answers_is_asked_again_and_again() {
    let node = Node::start(ListenerSettings {
        http2: Http2Settings {
            ping_interval: SHORT,
            ..Http2Settings::default()
        },
        ..ListenerSettings::default()
    });
    let mut client = silent(&node).await;
    for _ in 0..3 {
        let ping = loop {
            let head = client.exactly(9).await;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let payload = client.exactly(length).await;
            if (head[3], head[4]) == (6, 0) {
                break payload;
            }
        };
        client.send([0, 0, 8, 6, 1, 0, 0, 0, 0]).await;
        client.send(ping).await;
    }
    assert!(node.closed().is_empty());
}

/// A client that says no more than it must.
async fn silent(node: &Node) -> Client {
    let mut client = node.connect().await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send([0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    client
}
