//! The request id and the trace that tie log, response and origin together.

use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

async fn start() -> (Origin, TestNode) {
    let fields = [
        ("cache-control", "no-store"),
        ("x-request-id", "the-origins"),
    ];
    let origin = Origin::start(move |_| async move { respond(200, &fields, "content") }).await;
    let node = TestNode::before(&origin).await;
    (origin, node)
}

#[tokio::test]
async fn request_id_is_fresh_and_the_same_everywhere() {
    let (origin, node) = start().await;
    let mut client = node.client().await;
    let forged = "0123456789abcdef0123456789abcdef";
    let mut seen = Vec::new();
    for _ in 0..2 {
        let reply = client.get_with("/", &[("x-request-id", forged)]).await;
        let id = reply.field("x-request-id");
        assert_eq!(id.len(), 32, "{id}");
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_ne!(id, forged, "a client's id is not believed");
        assert_eq!(
            origin.requests().last().unwrap().field("x-request-id"),
            Some(id.as_str())
        );
        let line = node.receipt(&id).await;
        assert_eq!(line["path"], "/");
        seen.push(id);
    }
    assert_ne!(seen[0], seen[1]);
    let failed = client.get_with("/", &[("host", "a b")]).await;
    assert_eq!(failed.status, 400);
    assert_eq!(
        failed.field("x-request-id").len(),
        32,
        "failures have one too"
    );
    assert!(
        failed.text().contains(&failed.field("x-request-id")),
        "{}",
        failed.text()
    );
}

#[tokio::test]
async fn trace_is_carried_on_with_a_span_of_our_own() {
    let (origin, node) = start().await;
    let mut client = node.client().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let fields = [
        ("traceparent", parent.as_str()),
        ("tracestate", "vendor=value"),
    ];
    let reply = client.get_with("/", &fields).await;
    let sent = origin.requests().pop().unwrap();
    let passed = sent.field("traceparent").unwrap();
    assert!(
        passed.starts_with(&format!("00-{trace}-")) && passed.ends_with("-01"),
        "{passed}"
    );
    assert_ne!(passed, parent, "the origin's parent is our span");
    assert_eq!(sent.field("tracestate"), Some("vendor=value"));
    let line = node.receipt(&reply.field("x-request-id")).await;
    assert_eq!(line["trace"], trace);
}

#[tokio::test]
async fn malformed_trace_is_no_trace() {
    let (origin, node) = start().await;
    let mut client = node.client().await;
    for bad in [
        "garbage",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
    ] {
        let reply = client
            .get_with("/", &[("traceparent", bad), ("tracestate", "a=b")])
            .await;
        let sent = origin.requests().pop().unwrap();
        assert_eq!(
            (sent.field("traceparent"), sent.field("tracestate")),
            (None, None),
            "{bad}"
        );
        let line = node.receipt(&reply.field("x-request-id")).await;
        assert_eq!(line.get("trace"), None, "{bad}");
    }
}
