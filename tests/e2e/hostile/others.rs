//! Functions that fail after their response has begun: `no-response`, a hostile `wasi:http`
//! handler, and `echo-body` when content passes its limit. Also `hoards-fields`, whose response
//! never begins.

use bytes::Bytes;
use verge_tests::client::{Client, empty};
use verge_tests::guests::{WIDE_LIMITS, function_with_limits, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually};

async fn start() -> (TestNode, Origin) {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let keys = format!("{WIDE_LIMITS}on_failure = \"open\"");
    let toml = format!(
        "[cache]\ndefault_ttl = \"60s\"\n{}{}[origin.app]\naddresses = [\"{}\"]\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/never\"\nfunction = \"no-response\"\n\
         [[site.route]]\npath = \"/late\"\nfunction = \"no-response\"\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        runtime(),
        function_with_limits("no-response", "no-response", &keys),
        origin.address,
    );
    (TestNode::start(&toml).await, origin)
}

fn outcome(name: &str) -> String {
    format!("verge_function_outcomes_total{{function=\"no-response\",outcome=\"{name}\"}}")
}

#[tokio::test]
async fn handler_without_a_response_is_a_failure_that_no_policy_can_skip() {
    let (node, _origin) = start().await;
    let mut client = node.client().await;
    for _ in 0..3 {
        let reply = client.get("/never").await;
        assert_eq!(reply.status, 500);
        assert_eq!(client.get("/other").await.text(), "content");
    }
    node.settles(&outcome("no-response"), 3.0).await;
    let taken = "verge_limit_in_use{limit=\"instances\"}";
    node.settles(taken, 0.0).await;
}

#[tokio::test]
async fn content_that_never_ends_well_is_cut_counted_and_not_stored() {
    let (node, _origin) = start().await;
    for (round, client) in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = client;
        let reply = client.try_send("GET", "/late", &[], empty()).await;
        let told = reply.map(|reply| (reply.status, reply.body));
        let whole = (
            http::StatusCode::OK,
            Bytes::from_static(b"the beginning, and no end"),
        );
        // The client sees that it is incomplete, or no response at all; never a good end.
        assert!(
            told.is_err() || told.as_ref().is_ok_and(|told| told.0.is_server_error()),
            "{told:?} {whole:?}"
        );
        let counted = (round + 1) as f64;
        eventually("it is counted", async || {
            node.metric(&outcome("response-invalid")).await == counted
        })
        .await;
    }
    node.settles(&outcome("responded"), 0.0).await;
    node.settles("verge_cache_entries", 0.0).await;
    assert_eq!(node.get("/other").await.text(), "content");
}

#[tokio::test]
async fn function_that_traps_within_its_content_breaks_it_off() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/midway\"\norigin = \"app\"\nviewer_request = [\"traps-midway\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        runtime(),
        function_with_limits("traps-midway", "traps-midway", WIDE_LIMITS),
        origin.address,
    );
    let node = TestNode::start(&toml).await;
    for (round, mut client) in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ]
    .into_iter()
    .enumerate()
    {
        let told = client.try_send("GET", "/midway", &[], empty()).await;
        let is_whole = told.is_ok_and(|reply| reply.status == 200);
        assert!(!is_whole, "content without its end looks whole");
        let outcome =
            "verge_function_outcomes_total{function=\"traps-midway\",outcome=\"trapped\"}";
        node.settles(outcome, (round + 1) as f64).await;
    }
    node.settles("verge_limit_in_use{limit=\"instances\"}", 0.0)
        .await;
    assert_eq!(node.get("/other").await.text(), "content");
}

#[tokio::test]
async fn handler_that_makes_a_gigabyte_of_fields_gets_none_of_them_out() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/hoard\"\nfunction = \"hoards-fields\"\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        runtime(),
        function_with_limits("hoards-fields", "hoards-fields", WIDE_LIMITS),
        origin.address,
    );
    let node = TestNode::start(&toml).await;
    let mut client = node.client().await;
    for _ in 0..3 {
        let reply = client.get("/hoard").await;
        assert_eq!(reply.status, 500);
        assert_eq!(reply.field("x-hoard"), "");
        assert_eq!(client.get("/other").await.text(), "content");
    }
    let trapped = "verge_function_outcomes_total{function=\"hoards-fields\",outcome=\"trapped\"}";
    node.settles(trapped, 3.0).await;
    node.settles("verge_limit_in_use{limit=\"instances\"}", 0.0)
        .await;
}

#[tokio::test]
async fn function_that_fails_within_content_leaves_nothing_in_the_cache() {
    let content = "x".repeat(200 * 1024);
    let origin = Origin::start(move |_| {
        let content = content.clone();
        async move { respond(200, &[("cache-control", "max-age=60")], content) }
    })
    .await;
    let keys = format!("{WIDE_LIMITS}body = \"64KiB\"\non_failure = \"open\"");
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\norigin_response = [\"shout\"]\n",
        runtime(),
        function_with_limits("shout", "echo-body", &keys),
        origin.address,
    );
    let node = TestNode::start(&toml).await;
    for round in 1..=2 {
        let mut client = node.client().await;
        let reply = client.try_send("GET", "/a", &[], empty()).await;
        // What it took from the content cannot be put back, so that not even `open` goes on.
        let is_failure = reply.as_ref().map_or(true, |reply| reply.status == 500);
        assert!(is_failure, "{reply:?}");
        assert_eq!(origin.count(), round, "nothing was stored");
    }
    eventually("both are counted as failed", async || {
        let all = "verge_function_outcomes_total{function=\"shout\"";
        node.metric(all).await == 2.0
    })
    .await;
    let outcomes = ["continued", "responded"].map(|outcome| {
        format!("verge_function_outcomes_total{{function=\"shout\",outcome=\"{outcome}\"}}")
    });
    for outcome in outcomes {
        node.settles(&outcome, 0.0).await;
    }
    node.settles("verge_cache_entries", 0.0).await;
    node.settles("verge_cache_fills_in_progress", 0.0).await;
}
