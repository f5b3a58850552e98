//! HTTP/2 by prior knowledge: serving, limits, floods.

use http_body_util::Full;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET / ` to the authority `a`, in HPACK (RFC 7541).
pub(super) const GET_ROOT: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];

pub(super) type Sender = SendRequest<Full<Bytes>>;

pub(super) async fn connect(node: &Node) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let tcp = TcpStream::connect(node.address).await.expect("connect");
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(tcp))
        .await
        .expect("handshake");
    (sender, tokio::spawn(connection))
}

pub(super) fn request(path: &str, body: &'static [u8]) -> Request<Full<Bytes>> {
    Request::post(format!("http://a{path}"))
        .body(Full::new(Bytes::from_static(body)))
        .expect("request")
}

pub(super) async fn fetch(sender: &mut Sender, path: &str, body: &'static [u8]) -> (u16, Bytes) {
    let response = tokio::time::timeout(PATIENCE, sender.send_request(request(path, body)))
        .await
        .expect("in time")
        .expect("response");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("body");
    (status, body.to_bytes())
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A raw connection after the preface and SETTINGS with `settings`.
pub(super) async fn raw(node: &Node, settings: &[u8]) -> Client {
    let mut client = node.connect().await;
    client.send(PREFACE).await;
    client.send(frame(4, 0, 0, settings)).await;
    client
}

/// The frames of a server's bytes, as kind, stream and payload.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while bytes.len() >= 9 {
        let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        let stream = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]);
        let Some(payload) = bytes.get(9..9 + length) else {
            break;
        };
        frames.push((bytes[3], stream, payload.to_vec()));
        bytes = &bytes[9 + length..];
    }
    frames
}

/// Sends `bytes` until the server has enough, and returns why it closed.
async fn flood(node: &Node, mut client: Client, bytes: &[u8]) -> (CloseReason, Vec<u8>) {
    for _ in 0..20_000 {
        if !client.try_send(bytes).await || !node.closed().is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let rest = client.rest_bytes().await;
    let reason = node.all_closed(1).await[0];
    (reason, rest)
}

#[tokio::test]
async fn requests_share_a_connection() {
    let node = Node::start(ListenerSettings::default());
    let (sender, _connection) = connect(&node).await;
    let fetches = (0..50).map(|_| {
        let mut sender = sender.clone();
        async move { fetch(&mut sender, "/echo", b"hello").await }
    });
    for (status, body) in futures_util::future::join_all(fetches).await {
        assert_eq!((status, &body[..]), (200, &b"hello"[..]));
    }
    let connections = node.handler.connections.lock();
    assert!(connections.iter().all(|c| c.protocol == Protocol::Http2));
    assert!(connections.iter().all(|c| c.id == connections[0].id));
}

#[tokio::test]
async fn a_large_response_and_an_unread_body_pass() {
    let node = Node::start(ListenerSettings::default());
    let (mut sender, _connection) = connect(&node).await;
    assert_eq!(fetch(&mut sender, "/large", b"").await.1.len(), 8 << 20);
    assert_eq!(fetch(&mut sender, "/ignore", &[b'x'; 50_000]).await.0, 200);
    assert_eq!(fetch(&mut sender, "/echo", b"again").await.1, "again");
}

#[tokio::test]
async fn http2_can_be_switched_off() {
    let node = Node::start(ListenerSettings {
        http2_enabled: false,
        ..ListenerSettings::default()
    });
    let answer = node.exchange(PREFACE).await;
    assert!(matches!(status(&answer), 400 | 505), "{answer}");
}

#[tokio::test]
async fn a_preface_may_come_in_pieces() {
    let node = Node::start(ListenerSettings::default());
    let mut client = node.connect().await;
    for piece in PREFACE.chunks(3) {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    client.send(frame(4, 0, 0, &[])).await;
    client.send(frame(1, 5, 1, GET_ROOT)).await;
    eventually(|| node.handler.requests.lock().len() == 1).await;
    assert_eq!(*node.handler.requests.lock(), ["h2 GET /"]);
}

#[tokio::test]
async fn a_head_over_the_limits_is_refused() {
    let node = Node::start(ListenerSettings::default());
    let (mut sender, _connection) = connect(&node).await;
    let mut many = request("/", b"");
    for n in 0..101 {
        let name: http::HeaderName = format!("x-{n}").parse().expect("name");
        many.headers_mut()
            .insert(name, http::HeaderValue::from_static("y"));
    }
    let response = sender.send_request(many).await.expect("response");
    assert_eq!(response.status(), 431);
    let long = format!("/{}", "x".repeat(9000));
    assert_eq!(fetch(&mut sender, &long, b"").await.0, 414);
    assert_eq!(
        *node.handler.refused.lock(),
        ["fields-too-many", "target-too-long"]
    );
    assert!(node.has_event(ConnectionEvent::LimitHit(Limit::HeadSize)));
}

#[tokio::test]
async fn a_panic_costs_only_its_stream() {
    let node = Node::start(ListenerSettings::default());
    let (mut sender, _connection) = connect(&node).await;
    assert_eq!(fetch(&mut sender, "/panic", b"").await.0, 500);
    // The reset may overtake the head.
    if let Ok(broken) = sender.send_request(request("/panic-body", b"")).await {
        assert!(broken.into_body().collect().await.is_err());
    }
    assert_eq!(fetch(&mut sender, "/", b"").await.0, 200);
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
    let mut client = raw(&node, &[]).await;
    // POST /echo with END_HEADERS and without END_STREAM.
    let post = [&[0x83, 0x86, 0x04, 5][..], b"/echo", &[0x41, 1, b'a']].concat();
    client.send(frame(1, 4, 1, &post)).await;
    client.send(frame(0, 0, 1, b"abc")).await;
    eventually(|| node.has_event(ConnectionEvent::LimitHit(Limit::ReceiveFloor))).await;
    node.drain.advance(DrainPhase::Cut);
    let bytes = client.rest_bytes().await;
    let content = frames(&bytes).into_iter().find(|(kind, ..)| *kind == 0);
    assert_eq!(
        content.map(|(.., payload)| payload),
        Some(b"body-too-slow".to_vec())
    );
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_reset_alone() {
    let node = Node::start(ListenerSettings {
        send_floor: RateFloor {
            bytes_per_second: 1_000_000,
            grace: SHORT,
        },
        ..ListenerSettings::default()
    });
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    let mut client = raw(&node, &[0, 4, 0, 0, 0, 0]).await;
    let get_large = [&[0x82, 0x86, 0x04, 6][..], b"/large", &[0x41, 1, b'a']].concat();
    client.send(frame(1, 5, 1, &get_large)).await;
    eventually(|| node.has_event(ConnectionEvent::LimitHit(Limit::SendFloor))).await;
    assert!(node.closed().is_empty());
    client.send(frame(1, 5, 3, GET_ROOT)).await;
    eventually(|| node.handler.requests.lock().len() == 2).await;
    client.end().await;
    let bytes = client.rest_bytes().await;
    assert!(
        frames(&bytes)
            .iter()
            .any(|(kind, stream, _)| (*kind, *stream) == (3, 1))
    );
}

#[tokio::test]
async fn a_rapid_reset_flood_is_cut() {
    let node = Node::start(ListenerSettings {
        http2: Http2Settings {
            // The library's own limit would come first.
            pending_reset_streams: 10_000,
            ..Http2Settings::default()
        },
        ..ListenerSettings::default()
    });
    let mut bystander = node.connect().await;
    let client = raw(&node, &[]).await;
    let mut burst = Vec::new();
    for n in 0..5000 {
        let stream = 2 * n + 1;
        burst.extend(frame(1, 5, stream, GET_ROOT));
        burst.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    let (reason, _) = flood(&node, client, &burst).await;
    assert_eq!(reason, CloseReason::Limit(Limit::Http2Resets));
    assert!(node.has_event(ConnectionEvent::LimitHit(Limit::Http2Resets)));
    bystander.send(GET).await;
    assert_eq!(status(&bystander.response().await), 200);
}

#[tokio::test]
async fn the_librarys_own_limits_are_counted_too() {
    let node = Node::start(ListenerSettings::default());
    let client = raw(&node, &[]).await;
    let mut burst = Vec::new();
    for n in 0..150 {
        let stream = 2 * n + 1;
        burst.extend(frame(1, 5, stream, GET_ROOT));
        burst.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    let (reason, bytes) = flood(&node, client, &burst).await;
    assert_eq!(reason, CloseReason::Http2Error(11));
    assert!(frames(&bytes).iter().any(|(kind, ..)| *kind == 7));
}

#[tokio::test]
async fn floods_of_other_frames_are_cut_with_goaway() {
    let floods = [
        (frame(6, 0, 0, &[0; 8]), Limit::Http2ControlFrames),
        (frame(4, 0, 0, &[]), Limit::Http2ControlFrames),
        (frame(2, 0, 1, &[0, 0, 0, 0, 1]), Limit::Http2ControlFrames),
        (frame(8, 0, 0, &[0, 0, 0, 1]), Limit::Http2WindowUpdates),
    ];
    for (bytes, limit) in floods {
        let node = Node::start(ListenerSettings::default());
        let client = raw(&node, &[]).await;
        let (reason, answer) = flood(&node, client, &bytes.repeat(2000)).await;
        assert_eq!(reason, CloseReason::Limit(limit));
        let last = frames(&answer).pop().expect("frames");
        assert_eq!((last.0, &last.2[4..]), (7, &[0, 0, 0, 11][..]), "{limit:?}");
    }
}

#[tokio::test]
async fn a_flood_of_continuations_is_cut() {
    let node = Node::start(ListenerSettings::default());
    let mut client = raw(&node, &[]).await;
    client.send(frame(1, 0, 1, GET_ROOT)).await;
    let (reason, _) = flood(&node, client, &frame(9, 0, 1, &[]).repeat(100)).await;
    assert_eq!(reason, CloseReason::Limit(Limit::Http2Continuations));
}

#[tokio::test]
async fn a_flood_of_empty_data_is_cut() {
    let node = Node::start(ListenerSettings::default());
    let mut client = raw(&node, &[]).await;
    let post = [&[0x83, 0x86, 0x04, 5][..], b"/gate", &[0x41, 1, b'a']].concat();
    client.send(frame(1, 4, 1, &post)).await;
    let (reason, _) = flood(&node, client, &frame(0, 0, 1, &[]).repeat(200)).await;
    let ours = CloseReason::Limit(Limit::Http2EmptyData);
    assert!(
        matches!(reason, CloseReason::Http2Error(11)) || reason == ours,
        "{reason:?}"
    );
}

#[tokio::test]
async fn small_pieces_that_are_there_at_once_leave_together() {
    let node = Node::start(ListenerSettings::default());
    let mut client = raw(&node, &[]).await;
    let get_drops = [&[0x82, 0x86, 0x04, 6][..], b"/drops", &[0x41, 1, b'a']].concat();
    client.send(frame(1, 5, 1, &get_drops)).await;
    let data = |bytes: &[u8]| -> Vec<Vec<u8>> {
        let frames = frames(bytes).into_iter();
        let data = frames.filter(|(kind, ..)| *kind == 0);
        data.map(|(.., payload)| payload).collect()
    };
    while data(&client.read).concat().len() < 4_000 {
        assert_ne!(client.more().await, 0, "closed too early");
    }
    let data = data(&client.read);
    assert_eq!(data.concat(), b"drop".repeat(1_000));
    assert!(data.len() <= 2, "{} frames", data.len());
}
