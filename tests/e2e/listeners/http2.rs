//! Requests and connections that break the rules of HTTP/2 (RFC 9113), frame
//! by frame.

use verge_tests::frames::{
    DATA, END_HEADERS, END_STREAM, FrameWire, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, frame,
    headers, request,
};
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode};

/// ENHANCE_YOUR_CALM (RFC 9113 7).
const CALM: u32 = 11;

const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/fine"),
];

fn get_with(field: (&'static str, &'static str)) -> Vec<(&'static str, &'static str)> {
    let mut fields = GET.to_vec();
    fields[3].1 = "/broken";
    fields.push(field);
    fields
}

#[tokio::test]
async fn malformed_requests_cost_only_their_stream() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::before(&origin).await;
    let mut cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        // RFC 9113 8.2.2.
        ("connection", get_with(("connection", "close"))),
        ("keep-alive", get_with(("keep-alive", "5"))),
        ("upgrade", get_with(("upgrade", "websocket"))),
        ("coding", get_with(("transfer-encoding", "chunked"))),
        ("te", get_with(("te", "gzip"))),
        // RFC 9113 8.2.1.
        ("upper case", get_with(("X-Upper", "1"))),
        ("line end in a value", get_with(("x", "a\r\nb: c"))),
        ("nul in a value", get_with(("x", "a\0b"))),
        // RFC 9113 8.3: a pseudo-field behind a field, twice, unknown.
        ("late", get_with((":path", "/broken"))),
        ("unknown pseudo-field", get_with((":other", "1"))),
        // RFC 9113 8.3.1, RFC 9110 7.2.
        ("host against authority", get_with(("host", "b"))),
        // RFC 9113 8.1.1: there is no content.
        ("length", get_with(("content-length", "5"))),
    ];
    let without = |name: &str| -> Vec<(&str, &str)> {
        let mut fields = get_with(("x", "y"));
        fields.retain(|(found, _)| *found != name);
        fields
    };
    cases.push(("no method", without(":method")));
    cases.push(("no path", without(":path")));
    cases.push(("no authority", without(":authority")));
    for (what, authority) in [
        ("userinfo", "user@a"),
        ("space", "a b"),
        ("port", "a:8x"),
        ("path", "a/b"),
        ("empty", ""),
    ] {
        let mut fields = get_with(("x", "y"));
        fields[2].1 = authority;
        cases.push((what, fields));
    }
    let mut wrong = Vec::new();
    for (what, fields) in &cases {
        let mut wire = FrameWire::connect(node.http()).await;
        wire.send(request(1, fields)).await;
        let answer = wire.answer(1).await;
        let refused = match answer.kind {
            HEADERS => answer.status() == 400,
            // A malformed request is a stream error (RFC 9113 8.1.1): PROTOCOL_ERROR. The
            // library makes one of the connection of what its decoder cannot even represent.
            RST_STREAM | GOAWAY => answer.error_code() == 1,
            _ => false,
        };
        if !refused {
            wrong.push(format!("{what}: {answer:?}"));
            continue;
        }
        if answer.kind == GOAWAY {
            continue;
        }
        wire.send(request(3, &GET)).await;
        let next = wire.answer(3).await;
        if next.status() != 200 {
            wrong.push(format!("after {what}: {next:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        origin
            .requests()
            .iter()
            .all(|asked| asked.path() == "/fine")
    );
}

#[tokio::test]
async fn frames_out_of_place_end_the_connection() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::before(&origin).await;
    let mut bystander = Client::h2c(node.http()).await;
    // What is sent, and the error code that answers it (RFC 9113 5.1, 4.2, 6).
    let cases = [
        ("data on an idle stream", frame(DATA, 1, 1, b"abc"), 1),
        ("a frame over the limit", frame(DATA, 0, 1, &[0; 16_385]), 6),
        // RFC 9113 6.7 wants FRAME_SIZE_ERROR; the library says PROTOCOL_ERROR.
        ("a ping of three bytes", frame(PING, 0, 0, b"abc"), 1),
        ("settings on a stream", frame(SETTINGS, 0, 1, &[]), 1),
        ("a stream of the server's", request(2, &GET), 1),
        (
            "a reset of an idle stream",
            frame(RST_STREAM, 0, 1, &[0; 4]),
            1,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut wire = FrameWire::connect(node.http()).await;
        wire.send(bytes).await;
        let goaway = wire.until(|frame| frame.kind == GOAWAY).await;
        assert_eq!(goaway.error_code(), code, "{what}");
    }
    assert_eq!(bystander.get("/fine").await.status, 200);
    let ends = "verge_connection_ends_total{listener=\"http\",reason=\"h2-error\"}";
    verge_tests::eventually("the ends are counted", async || {
        node.metric(ends).await >= 6.0
    })
    .await;
}

#[tokio::test]
async fn a_method_that_is_not_supported_costs_only_its_stream() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::before(&origin).await;
    let mut client = Client::h2c(node.http()).await;
    let reply = client.send("TRACE", "/", &[], "").await;
    assert_eq!(reply.status, 501);
    let reply = client.get_with("/", &[("via", "1.1 verge")]).await;
    assert_eq!(reply.status, 502);
    assert_eq!(
        reply.field("proxy-status"),
        "verge; error=proxy_loop_detected"
    );
    assert_eq!(origin.count(), 0);
    assert_eq!(client.get("/").await.status, 200);
}

async fn flooded(limits: &str, bytes: Vec<u8>, label: &str) {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::start(&format!(
        "[limits]\n{limits}\n{}",
        verge_tests::node::route_to(&origin)
    ))
    .await;
    let mut bystander = Client::h2c(node.http()).await;
    assert_eq!(bystander.get("/").await.status, 200);
    let mut wire = FrameWire::connect(node.http()).await;
    // The node may have closed before it took all of it.
    let _ = wire.try_send(bytes).await;
    let goaway = wire.until(|frame| frame.kind == GOAWAY).await;
    assert_eq!(goaway.error_code(), CALM);
    let hits = format!("verge_limit_hits_total{{limit=\"{label}\"}}");
    verge_tests::eventually("the limit is counted", async || {
        node.metric(&hits).await == 1.0
    })
    .await;
    assert_eq!(bystander.get("/").await.status, 200);
}

#[tokio::test]
async fn a_client_that_resets_too_many_streams_is_told_to_calm_down() {
    let mut bytes = Vec::new();
    for stream in (1..40).step_by(2) {
        bytes.extend(request(stream, &GET));
        bytes.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    }
    flooded("h2_resets = 5", bytes, "h2-resets").await;
}

#[tokio::test]
async fn a_client_that_sends_too_many_control_frames_is_told_to_calm_down() {
    let bytes = frame(PING, 0, 0, &[7; 8]).repeat(40);
    flooded("h2_control_frames = 10", bytes, "h2-control-frames").await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_alone() {
    let (release, held) = tokio::sync::watch::channel(false);
    let origin = Origin::start(move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|released| *released).await.unwrap();
            respond(200, &[], "content")
        }
    })
    .await;
    let node = TestNode::start(&format!(
        "[limits]\nh2_streams = 2\n{}",
        verge_tests::node::route_to(&origin)
    ))
    .await;
    let mut wire = FrameWire::connect(node.http()).await;
    let settings = wire.until(|frame| frame.kind == SETTINGS).await;
    let told = settings
        .payload
        .chunks(6)
        .any(|setting| *setting == [0, 3, 0, 0, 0, 2]);
    assert!(told, "SETTINGS_MAX_CONCURRENT_STREAMS is 2: {settings:?}");
    for stream in [1, 3, 5] {
        let mut fields = GET.to_vec();
        fields[3].1 = ["/1", "/3", "/5"][stream as usize / 2];
        wire.send(request(stream, &fields)).await;
    }
    let refused = wire.until(|frame| frame.kind == RST_STREAM).await;
    // REFUSED_STREAM (RFC 9113 5.1.2, 8.7): the client may send it again.
    assert_eq!((refused.stream, refused.error_code()), (5, 7));
    release.send(true).unwrap();
    for _ in 0..2 {
        let answer = wire.until(|frame| frame.kind == HEADERS).await;
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn the_last_request_of_a_connection_is_followed_by_goaway() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::start(&format!(
        "[limits]\nrequests_per_connection = 2\n{}",
        verge_tests::node::route_to(&origin)
    ))
    .await;
    let mut wire = FrameWire::connect(node.http()).await;
    for stream in [1, 3] {
        wire.send(headers(stream, END_HEADERS | END_STREAM, &GET))
            .await;
    }
    let goaway = wire.until(|frame| frame.kind == GOAWAY).await;
    // In good order (RFC 9113 6.8): first without naming a last stream.
    assert_eq!(goaway.error_code(), 0);
    assert_eq!(goaway.payload[..4], [0x7f, 0xff, 0xff, 0xff]);
    let hits = "verge_limit_hits_total{limit=\"requests-per-connection\"}";
    node.settles(hits, 1.0).await;
}
