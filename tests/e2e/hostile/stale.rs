//! `on_failure = "stale"`: what is stored stands in for a function that fails, where what is stored
//! and the origin's word about it allow that; otherwise it is `closed`.

use std::time::{Duration, SystemTime};

use verge_base::{Clock, ManualClock};
use verge_tests::guests::{WIDE_LIMITS, function_with_limits, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

use super::kit::refused;

const LATER: Duration = Duration::from_secs(61);

/// A route to an origin, and a guest that is not in use yet.
fn toml(origin: &Origin, guest: &str, policy: &str) -> String {
    let keys = format!("{WIDE_LIMITS}hostcalls = 1\non_failure = \"{policy}\"");
    format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n[[site.route]]\n\
         path = \"/{{*rest}}\"\n{PLAIN}",
        runtime(),
        function_with_limits("f", guest, &keys),
        origin.address,
    )
}

/// What the route leads to while all is well.
const PLAIN: &str = "origin = \"app\"\n";

/// The same with the guest.
fn with_guest(place: &str) -> String {
    match place {
        "function" => "function = \"f\"\n".to_owned(),
        _ => format!("{PLAIN}{place} = [\"f\"]\n"),
    }
}

/// A node that has stored `/a` and whose route has a guest since then, which fails; and the hand of
/// its clock.
async fn failing(
    origin: &Origin,
    guest: &str,
    place: &str,
    policy: &str,
) -> (TestNode, ManualClock) {
    let (clock, hand) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30));
    let node = Setup::new()
        .at(clock)
        .start(&toml(origin, guest, policy))
        .await;
    assert_eq!(node.get("/a").await.text(), "content");
    node.settles("verge_cache_entries", 1.0).await;
    let text = node.config_text().replace(PLAIN, &with_guest(place));
    node.save("verge.toml", text);
    let reloaded = node.ask_admin("POST", "/reload").await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    (node, hand)
}

async fn content(directives: &'static str) -> Origin {
    Origin::start(move |_| async move { respond(200, &[("cache-control", directives)], "content") })
        .await
}

/// The guests, none of which does its work with one hostcall, and where they fail.
const PLACES: [(&str, &str); 4] = [
    ("traps", "viewer_request"),
    ("touch-fields", "origin_request"),
    ("echo-body", "origin_response"),
    ("no-response", "function"),
];

#[tokio::test]
async fn stale_response_stands_in_for_a_function_that_fails() {
    for (guest, place) in PLACES {
        let origin = content("max-age=60").await;
        let (node, hand) = failing(&origin, guest, place, "stale").await;
        let mut client = node.client().await;
        let answer = |reply: verge_tests::Reply| (reply.status.as_u16(), reply.text());
        let good = || (200, "content".to_owned());
        // What is fresh answers, whether the function is asked first or not at all.
        assert_eq!(answer(client.get("/a").await), good(), "{place}");
        hand.advance(LATER);
        let stale = client.get("/a").await;
        let status = stale.cache_status();
        assert_eq!(answer(stale), good(), "{place}: {status}");
        assert!(
            status.contains("detail=stale-on-failure"),
            "{place}: {status}"
        );
        assert!(status.contains("ttl=-1"), "{place}: {status}");
        // There is nothing that could stand in.
        let missing = client.get("/b").await;
        assert_eq!(missing.status, 500, "{place}: {}", missing.text());
        let counted = "verge_function_failures_total{function=\"f\",on_failure=\"stale\"}";
        assert!(node.metric(counted).await >= 2.0, "{place}");
    }
}

#[tokio::test]
async fn response_that_forbids_it_does_not_stand_in() {
    for (guest, place) in PLACES {
        let origin = content("max-age=60, must-revalidate").await;
        let (node, hand) = failing(&origin, guest, place, "stale").await;
        let mut client = node.client().await;
        assert_eq!(client.get("/a").await.text(), "content", "{place}");
        hand.advance(LATER);
        // RFC 9111 5.2.2.2: not without the origin's word.
        let reply = client.get("/a").await;
        assert_eq!(reply.status, 500, "{place}: {}", reply.text());
    }
}

#[tokio::test]
async fn policy_that_is_not_stale_answers_with_the_failure() {
    let origin = content("max-age=60").await;
    for (guest, place) in PLACES {
        let (node, hand) = failing(&origin, guest, place, "closed").await;
        hand.advance(LATER);
        let reply = node.get("/a").await;
        assert_eq!(reply.status, 500, "{place}: {}", reply.text());
    }
}

#[tokio::test]
async fn stale_is_no_policy_of_what_runs_on_the_response() {
    let origin = content("max-age=60").await;
    let with = "viewer_response = [{ function = \"f\", on_failure = \"stale\" }]\n";
    let toml = toml(&origin, "echo-body", "closed").replace(PLAIN, &format!("{PLAIN}{with}"));
    let said = refused(&Setup::new(), &toml);
    assert!(said.contains("no stale one can stand in for it"), "{said}");
}
