//! The four triggers around the cache: which run when, what of them is stored,
//! and what a replaced content does to validators and ranges.

use bytes::Bytes;
use verge_tests::guests::{function, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

/// A node with `guest` at these triggers of its only route.
async fn start(origin: &Origin, guest: &str, triggers: &[&str]) -> TestNode {
    let uses: String = triggers
        .iter()
        .map(|trigger| format!("{trigger} = [\"f\"]\n"))
        .collect();
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n{uses}",
        runtime(),
        function("f", guest, ""),
        origin.address,
    );
    TestNode::start(&toml).await
}

const ALL: &[&str] = &[
    "viewer_request",
    "origin_request",
    "origin_response",
    "viewer_response",
];

async fn content() -> Origin {
    let fields = [("cache-control", "max-age=60"), ("etag", "\"v1\"")];
    Origin::start(move |_| async move { respond(200, &fields, "content") }).await
}

#[tokio::test]
async fn origin_triggers_run_in_the_fill_and_viewer_response_on_each_answer() {
    let origin = content().await;
    let node = start(&origin, "origin-triggers", &ALL[1..]).await;
    let mut client = node.client().await;
    for round in ["fwd=uri-miss", "hit", "hit"] {
        let reply = client.get("/a").await;
        assert!(
            reply.cache_status().contains(round),
            "{}",
            reply.cache_status()
        );
        // Once each: what origin-response appended is stored, what viewer-response did is not.
        assert_eq!(reply.field("x-origin-response"), "seen", "{round}");
        assert_eq!(reply.field("x-viewer-response"), "seen", "{round}");
    }
    assert_eq!(origin.count(), 1);
    assert_eq!(origin.requests()[0].field("x-origin-request"), Some("seen"));
    let calls = "verge_function_outcomes_total{function=\"f\",outcome=\"continued\"}";
    node.settles(calls, 2.0 + 3.0).await;
}

#[tokio::test]
async fn origin_request_may_answer_in_the_origins_place_and_that_is_stored() {
    let origin = content().await;
    let node = start(&origin, "origin-triggers", &ALL[1..]).await;
    let mut client = node.client().await;
    for round in ["fwd=uri-miss", "hit"] {
        let reply = client.get("/answered").await;
        assert_eq!(reply.text(), "in the origin's place\n");
        assert!(
            reply.cache_status().contains(round),
            "{}",
            reply.cache_status()
        );
        assert_eq!(reply.field("x-origin-response"), "seen", "{round}");
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn response_to_input_that_the_key_does_not_hold_is_not_stored() {
    let origin = Origin::start(async |request| {
        let content = request.field("x-cookie").unwrap_or("-").to_owned();
        respond(200, &[("cache-control", "max-age=60")], content)
    })
    .await;
    let node = start(&origin, "origin-triggers", &["origin_request"]).await;
    let mut client = node.client().await;
    for user in ["ada", "bob"] {
        let reply = client.get_with("/cookie", &[("cookie", user)]).await;
        assert_eq!(reply.text(), user);
        assert!(
            !reply.cache_status().contains("stored"),
            "{}",
            reply.cache_status()
        );
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn viewer_response_may_replace_the_answer_also_on_hits() {
    let origin = content().await;
    let node = start(&origin, "origin-triggers", &["viewer_response"]).await;
    let mut client = node.client().await;
    for _ in 0..2 {
        let reply = client.get("/replaced").await;
        assert_eq!(
            (reply.status.as_u16(), reply.text()),
            (418, "replaced\n".into())
        );
        assert_eq!(reply.field("x-replaced"), "yes");
        assert_eq!(reply.field("etag"), "", "it is another response altogether");
    }
    assert_eq!(origin.count(), 1, "the origin's response was stored");
}

#[tokio::test]
async fn content_replaced_at_viewer_response_weakens_the_validator_and_drops_ranges() {
    let origin = content().await;
    let node = start(&origin, "echo-body", &["viewer_response"]).await;
    let mut client = node.client().await;
    for round in ["fwd=uri-miss", "hit"] {
        let reply = client.get("/a").await;
        assert!(
            reply.cache_status().contains(round),
            "{}",
            reply.cache_status()
        );
        assert_eq!(reply.text(), "CONTENT");
        assert_eq!(reply.field("etag"), "W/\"v1\"");
        assert_eq!(reply.field("accept-ranges"), "");
    }
    // A range of what the client never sees means nothing: all of it comes (RFC 9110 14.2).
    let part = client.get_with("/a", &[("range", "bytes=0-2")]).await;
    assert_eq!((part.status.as_u16(), part.text()), (200, "CONTENT".into()));
    assert_eq!(part.field("content-range"), "");
    // The weak validator still validates (RFC 9110 13.1.2).
    let fields = [("if-none-match", "W/\"v1\"")];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!(
        reply.status,
        304,
        "{:?}",
        verge_tests::log::lines_with(&reply.field("x-request-id"))
    );
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn content_made_at_origin_response_is_what_is_stored() {
    let origin = content().await;
    let node = start(&origin, "echo-body", &["origin_response"]).await;
    let mut client = node.client().await;
    assert_eq!(client.get("/a").await.text(), "CONTENT");
    let part = client.get_with("/a", &[("range", "bytes=0-2")]).await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "CON".into()));
    assert_eq!(part.field("content-range"), "bytes 0-2/7");
    let calls = "verge_function_outcomes_total{function=\"f\"";
    node.settles(calls, 1.0).await;
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn function_may_answer_at_once_and_read_what_the_client_sends() {
    let origin = content().await;
    let node = start(&origin, "echo-body", &["viewer_request"]).await;
    let mut client = node.client().await;
    let content = Bytes::from(b"0123456789".repeat(20_000));
    let reply = client.send("POST", "/a", &[], content.clone()).await;
    assert_eq!((reply.status.as_u16(), &reply.body), (200, &content));
    assert_eq!(reply.cache_status(), "", "the cache was not asked");
    assert_eq!(origin.count(), 0);
    // The same connection goes on, and what is no POST passes through.
    assert_eq!(client.get("/a").await.text(), "content");
    let too_much = Bytes::from(vec![b'x'; (1 << 20) + 1]);
    assert_eq!(client.send("POST", "/a", &[], too_much).await.status, 413);
    assert_eq!(node.get("/a").await.status, 200);
}

#[tokio::test]
async fn functions_of_a_route_run_in_order_on_what_the_one_before_left() {
    let origin = content().await;
    let toml = format!(
        "{}{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n\
         viewer_response = [\"first\", \"second\"]\n",
        runtime(),
        function("first", "transform", "config = { set = \"x-step: first\" }"),
        function(
            "second",
            "transform",
            "config = { rename = \"x-step=x-then\", set = \"x-step: second\" }"
        ),
        origin.address,
    );
    let node = TestNode::start(&toml).await;
    let reply = node.get("/a").await;
    assert_eq!(reply.field("x-then"), "first");
    assert_eq!(reply.field("x-step"), "second");
}

#[tokio::test]
async fn one_component_serves_all_four_triggers() {
    let origin = content().await;
    let node = start(&origin, "touch-fields", ALL).await;
    let mut client = node.client().await;
    let fields = [("accept", "*/*"), ("cookie", "a=b"), ("user-agent", "test")];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!(reply.field("x-one"), "1");
    assert_eq!(reply.field("x-two"), "2");
    assert_eq!(reply.text(), "content");
    // origin-request read the cookie, which the key does not hold.
    assert!(
        !reply.cache_status().contains("stored"),
        "{}",
        reply.cache_status()
    );
    let line = node.receipt(&reply.field("x-request-id")).await;
    let triggers: Vec<&str> = line["functions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|function| function["trigger"].as_str().unwrap())
        .collect();
    let order = [
        "viewer-request",
        "origin-request",
        "origin-response",
        "viewer-response",
    ];
    assert_eq!(triggers, order);
}
