//! Stale answers while the origin is asked in the background (RFC 5861 3), ahead of need, and
//! when it fails in ways that a table of exchanges cannot tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;
use verge_tests::origin::{Origin, hang_up, respond};
use verge_tests::{Reply, TestNode, eventually};

use super::kit::{
    Gate, SteppedOrigin, ask_all, asked, assert_cache, begin, clients, expect, node_with, send,
    settled, stats,
};

/// Stale for ten seconds, and for a while in the window.
const WINDOW: &[(&str, &str)] = &[
    ("cache-control", "max-age=60, stale-while-revalidate=600"),
    ("age", "70"),
    ("etag", "\"a\""),
];

/// An origin whose first answer is stale, and whose later ones wait for the gate.
async fn origin(gate: &Gate, later: fn() -> verge_tests::origin::OriginResponse) -> Origin {
    let (gate, count) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    Origin::start(move |_| {
        let (gate, number) = (gate.clone(), count.fetch_add(1, Ordering::SeqCst));
        async move {
            if number == 0 {
                return respond(200, WINDOW, "old");
            }
            gate.pass().await;
            later()
        }
    })
    .await
}

fn fresh() -> verge_tests::origin::OriginResponse {
    let fields = [("cache-control", "max-age=60"), ("etag", "\"b\"")];
    respond(200, &fields, "new")
}

/// One request on a connection of its own.
async fn get(node: &TestNode, path: &str) -> Reply {
    clients(node, 1).await.remove(0).get(path).await
}

/// Asserts that what is stored answered because the origin fails: in this request, or in another
/// just before.
#[track_caller]
fn assert_covered(reply: &Reply) {
    let status = reply.cache_status();
    let is_covered = ["detail=stale-on-failure", "detail=origin-failing"]
        .iter()
        .any(|detail| status.contains(detail));
    assert!(is_covered && !status.contains("stored"), "{status}");
}

async fn store(node: &TestNode) {
    assert_eq!(get(node, "/a").await.text(), "old");
    settled(node).await;
}

#[tokio::test]
async fn stale_answers_go_out_at_once_while_one_validation_is_under_way() {
    let gate = Gate::closed();
    let origin = origin(&gate, fresh).await;
    let node = node_with(&origin, "").await;
    store(&node).await;
    for reply in ask_all(clients(&node, 12).await, "/a").await.unwrap() {
        assert_eq!(reply.text(), "old");
        assert_cache(&reply, "hit detail=stale-while-revalidate");
        let ttl = reply.cache_status();
        assert!(ttl.contains("ttl=-1"), "{ttl}");
        assert_eq!(reply.field("warning"), "");
    }
    asked(&origin, 2).await;
    let validation = origin.requests().remove(1);
    assert_eq!(validation.field("if-none-match"), Some("\"a\""));
    gate.open();
    eventually("the new response is stored", async || {
        get(&node, "/a").await.text() == "new"
    })
    .await;
    assert_eq!(origin.count(), 2, "one validation for all of them");
    node.settles("verge_limit_in_use{limit=\"background-validations\"}", 0.0)
        .await;
}

#[tokio::test]
async fn a_304_in_the_background_freshens() {
    let gate = Gate::closed();
    gate.open();
    let origin = origin(&gate, || {
        respond(
            304,
            &[("cache-control", "max-age=60"), ("etag", "\"a\"")],
            "",
        )
    })
    .await;
    let node = node_with(&origin, "").await;
    store(&node).await;
    // What the client asks of caches is not asked of the origin.
    let fields = [("cache-control", "max-stale=30"), ("range", "bytes=0-0")];
    let reply = clients(&node, 1)
        .await
        .remove(0)
        .get_with("/a", &fields)
        .await;
    assert_eq!(reply.text(), "o");
    asked(&origin, 2).await;
    let validation = origin.requests().remove(1);
    assert_eq!(validation.field("cache-control"), None);
    assert_eq!(validation.field("range"), None);
    eventually("it is fresh again", async || {
        let reply = get(&node, "/a").await;
        assert_eq!(reply.text(), "old");
        !reply.cache_status().contains("detail")
    })
    .await;
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn what_is_asked_for_is_validated_ahead_of_need() {
    let count = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            let fields = [("cache-control", "max-age=600"), ("age", "550")];
            match number {
                0 => respond(200, &fields, "old"),
                _ => fresh(),
            }
        }
    })
    .await;
    let node = node_with(&origin, "refresh_ahead = \"10%\"").await;
    store(&node).await;
    let reply = get(&node, "/a").await;
    assert_eq!(reply.text(), "old");
    assert_cache(&reply, "hit detail=refresh-ahead");
    eventually("the new response is stored", async || {
        get(&node, "/a").await.text() == "new"
    })
    .await;
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn the_configuration_opens_windows_where_the_origin_says_nothing() {
    let origin = Origin::start(async |request| {
        if request.field("if-none-match").is_some() {
            return hang_up();
        }
        let forbids = request.target == "/strict";
        let control = ["max-age=60", "max-age=60, must-revalidate"][usize::from(forbids)];
        let fields = [("cache-control", control), ("age", "70"), ("etag", "\"a\"")];
        respond(200, &fields, "old")
    })
    .await;
    let node = node_with(&origin, "stale_while_revalidate = \"1h\"").await;
    store(&node).await;
    let reply = get(&node, "/a").await;
    assert_eq!(reply.text(), "old");
    assert_cache(&reply, "hit detail=stale-while-revalidate");
    get(&node, "/strict").await;
    settled(&node).await;
    let reply = get(&node, "/strict").await;
    assert_eq!(reply.status, 504);
    assert_cache(&reply, "fwd=stale");
}

#[tokio::test]
async fn validations_that_fail_leave_what_is_stored() {
    for later in [hang_up, || respond(503, &[], "sorry")] {
        let gate = Gate::closed();
        gate.open();
        let origin = origin(&gate, later).await;
        let node = node_with(&origin, "").await;
        store(&node).await;
        for _ in 0..3 {
            let before = origin.count();
            // For as long as a validation took to fail, there is no other.
            eventually("it is validated again", async || {
                let reply = get(&node, "/a").await;
                assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "old"));
                assert_cache(&reply, "hit detail=stale-while-revalidate");
                origin.count() > before
            })
            .await;
            node.settles("verge_limit_in_use{limit=\"background-validations\"}", 0.0)
                .await;
        }
    }
}

#[tokio::test]
async fn validations_in_the_background_are_bounded() {
    let gate = Gate::closed();
    let origin = origin(&gate, fresh).await;
    let limits = "[limits]\nbackground_validations = 0\n";
    let toml = format!("{limits}{}", verge_tests::node::route_to(&origin));
    let node = TestNode::start(&toml).await;
    store(&node).await;
    let reply = get(&node, "/a").await;
    assert_eq!(reply.text(), "old");
    assert_cache(&reply, "hit detail=stale-while-revalidate");
    let refused = "verge_limit_hits_total{limit=\"background-validations\"}";
    node.settles(refused, 1.0).await;
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn an_origin_that_refuses_connections_is_covered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut wire = verge_tests::Wire::over(stream);
        wire.message().await;
        wire.send(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nAge: 70\r\n\
             Connection: close\r\nContent-Length: 3\r\n\r\nold",
        )
        .await;
    });
    let toml = format!(
        "[origin.app]\naddresses = [\"{address}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n"
    );
    let node = TestNode::start(&toml).await;
    store(&node).await;
    served.await.unwrap();
    for reply in ask_all(clients(&node, 6).await, "/a").await.unwrap() {
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "old"));
        assert_covered(&reply);
    }
    let reply = get(&node, "/b").await;
    assert_eq!(reply.status, 502, "nothing is stored for this one");
}

#[tokio::test]
async fn an_origin_that_does_not_answer_is_waited_for_by_one() {
    let origin = Origin::start(async |request| {
        if request.target == "/a" && request.field("if-none-match").is_some() {
            std::future::pending::<()>().await;
        }
        let fields = [
            ("cache-control", "max-age=60"),
            ("etag", "\"a\""),
            ("age", "70"),
        ];
        respond(200, &fields, "old")
    })
    .await;
    // No marker is left by what is stale from the start.
    let toml = format!(
        "[cache]\nuncollapsible_for = \"0s\"\n\
         [origin.app]\naddresses = [\"{}\"]\ntimeouts = {{ first_byte = \"4s\" }}\nretries = 0\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        origin.address
    );
    let node = TestNode::start(&toml).await;
    store(&node).await;
    for reply in ask_all(clients(&node, 4).await, "/a").await.unwrap() {
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "old"));
        assert_covered(&reply);
    }
    // For as long as that took, nobody else waits.
    let reply = get(&node, "/a").await;
    assert_eq!(reply.text(), "old");
    assert_cache(&reply, "hit detail=origin-failing");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_truncated_answer_does_not_replace_what_is_stored() {
    let stepped = SteppedOrigin::start(&[
        ("cache-control", "max-age=60"),
        ("age", "70"),
        ("content-length", "6"),
    ])
    .await;
    let node = TestNode::before(&stepped.origin).await;
    let mut client = node.client().await;
    let whole = async {
        let steps = stepped.asked().await;
        send(&steps, "onetwo");
        super::kit::finish(&steps);
    };
    let ((), reply) = tokio::join!(whole, client.get("/a"));
    assert_eq!(reply.text(), "onetwo");
    settled(&node).await;
    let answered = async {
        let steps = stepped.asked().await;
        send(&steps, "one");
        steps
    };
    let (steps, (_, mut body)) = tokio::join!(answered, begin(&mut client, "/a"));
    expect(&mut body, "one").await;
    drop(steps);
    super::kit::expect_failure(&mut body).await;
    settled(&node).await;
    assert_eq!(stats(&node).entries, 1);
    let mut again = node.client().await;
    let reply = again
        .get_with("/a", &[("cache-control", "max-stale")])
        .await;
    assert_eq!(reply.text(), "onetwo");
}

#[tokio::test]
async fn a_failure_amid_a_fill_counts_although_its_client_left() {
    let stepped = SteppedOrigin::start(&[("cache-control", "max-age=60")]).await;
    let node = TestNode::before(&stepped.origin).await;
    let mut client = node.client().await;
    let answered = async {
        let steps = stepped.asked().await;
        send(&steps, "one");
        steps
    };
    let (steps, (_, mut body)) = tokio::join!(answered, begin(&mut client, "/a"));
    expect(&mut body, "one").await;
    drop((body, client));
    drop(steps);
    settled(&node).await;
    let failures = "verge_origin_failures_total{origin=\"app\"";
    node.settles(failures, 1.0).await;
}
