//! What was purged while a request waited for the origin is no answer any more, nor a part of one,
//! whatever becomes of the origin.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use verge_base::Clock;
use verge_cache::{Hardness, PurgeScope};
use verge_tests::node::{self, Setup};
use verge_tests::origin::{OriginResponse, hang_up, respond};
use verge_tests::{Origin, Recorded, Reply, TestNode};

use super::kit::{Gate, ask_all, asked, clients, following, settled};

/// Stale for ten seconds, and a fallback for a while.
const FALLBACK: [(&str, &str); 3] = [
    ("cache-control", "max-age=60, stale-if-error=600"),
    ("age", "70"),
    ("etag", "\"a\""),
];

/// An origin whose first answer is `first`, and whose later ones wait for the gate.
async fn origin(
    gate: &Gate,
    first: fn() -> OriginResponse,
    later: fn(&Recorded) -> OriginResponse,
) -> Origin {
    let (gate, count) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    Origin::start(move |request| {
        let (gate, number) = (gate.clone(), count.fetch_add(1, Ordering::SeqCst));
        async move {
            if number == 0 {
                return first();
            }
            gate.pass().await;
            later(&request)
        }
    })
    .await
}

fn purge(node: &TestNode, hardness: Hardness) {
    node.state().cache.purge(PurgeScope::Everything, hardness);
}

/// A request that waits for the origin until everything is purged.
async fn purged_amid(
    (node, origin, gate): (&TestNode, &Origin, &Gate),
    (method, fields): (&str, &[(&str, &str)]),
    hardness: Hardness,
) -> Reply {
    let mut client = clients(node, 1).await.remove(0);
    let reply = client.send(method, "/a", fields, "");
    let purge = async {
        asked(origin, 2).await;
        purge(node, hardness);
        gate.open();
    };
    tokio::join!(reply, purge).0
}

fn stale() -> OriginResponse {
    respond(200, &FALLBACK, "old")
}

fn stale_part() -> OriginResponse {
    let [control, age, tag] = FALLBACK;
    let range = ("content-range", "bytes 0-3/10");
    respond(206, &[control, age, tag, range], "0123")
}

#[tokio::test]
async fn those_that_wait_together_are_not_answered_with_what_was_purged() {
    let gate = Gate::closed();
    // What is stale when it arrives is not waited for together: this one becomes stale.
    let fresh = || respond(200, &[FALLBACK[0], FALLBACK[2]], "old");
    let origin = origin(&gate, fresh, |_| hang_up()).await;
    let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let setup = Setup::new().at(clock);
    let node = setup.start(&node::route_to(&origin)).await;
    clients(&node, 1).await.remove(0).get("/a").await;
    settled(&node).await;
    time.advance(Duration::from_secs(70));
    let waiting = ask_all(clients(&node, 6).await, "/a");
    following(&node, 5).await;
    purge(&node, Hardness::Hard);
    gate.open();
    for reply in waiting.await.unwrap() {
        assert_eq!(reply.status, 502, "{}", reply.text());
    }
}

#[tokio::test]
async fn nothing_that_was_purged_stands_in_for_an_error() {
    let part: &[(&str, &str)] = &[("range", "bytes=0-3")];
    for (method, fields) in [("GET", &[][..]), ("HEAD", &[]), ("GET", part)] {
        let (first, stored): (fn() -> OriginResponse, u16) = match fields {
            [] => (stale, 200),
            _ => (stale_part, 206),
        };
        for hardness in [Hardness::Hard, Hardness::Soft] {
            let gate = Gate::closed();
            let origin = origin(&gate, first, |_| respond(503, &[], "")).await;
            let node = TestNode::before(&origin).await;
            let mut client = clients(&node, 1).await.remove(0);
            client.get_with("/a", fields).await;
            settled(&node).await;
            let all = (&node, &origin, &gate);
            let reply = purged_amid(all, (method, fields), hardness).await;
            // What was purged softly is stale, as it was before.
            let expected = match hardness {
                Hardness::Hard => 503,
                Hardness::Soft => stored,
            };
            let status = reply.cache_status();
            assert_eq!(reply.status, expected, "{method} {fields:?}: {status}");
        }
    }
}

#[tokio::test]
async fn stored_parts_that_were_purged_are_put_together_with_nothing() {
    let part = || {
        let fields = [
            ("cache-control", "max-age=60"),
            ("etag", "\"a\""),
            ("content-range", "bytes 0-3/10"),
        ];
        respond(206, &fields, "0123")
    };
    let later = |request: &Recorded| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
        match request.field("range") {
            Some(_) => {
                let range = ("content-range", "bytes 4-9/10");
                respond(206, &[fields[0], fields[1], range], "456789")
            }
            None => respond(200, &fields, "abcdefghij"),
        }
    };
    let gate = Gate::closed();
    let origin = origin(&gate, part, later).await;
    let node = TestNode::before(&origin).await;
    let range = [("range", "bytes=0-3")];
    clients(&node, 1)
        .await
        .remove(0)
        .get_with("/a", &range)
        .await;
    settled(&node).await;
    let all = (&node, &origin, &gate);
    let reply = purged_amid(all, ("GET", &[]), Hardness::Hard).await;
    assert_eq!(origin.requests()[1].field("range"), Some("bytes=4-"));
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (200, "abcdefghij")
    );
}
