//! Work after the response: left in every trigger, run when the response has ended, bounded,
//! counted, and waited for when the node stops.

use verge_tests::guests::{function, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually, log};

fn toml(origin: &Origin, keys: &str) -> String {
    format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n[[site.route]]\n\
         path = \"/{{*rest}}\"\norigin = \"app\"\nviewer_request = [\"f\"]\norigin_request = [\"f\"]\n\
         origin_response = [\"f\"]\nviewer_response = [\"f\"]\n",
        runtime(),
        function(
            "f",
            "works-later",
            &format!("grants = {{ defer = true, log = true }}\n{keys}")
        ),
        origin.address,
    )
}

async fn start(keys: &str) -> TestNode {
    log::keep();
    let origin = Origin::start(|_| async { respond(200, &[], "page") }).await;
    TestNode::start(&toml(&origin, keys)).await
}

fn run(outcome: &str) -> String {
    format!("verge_function_deferred_total{{function=\"f\",outcome=\"{outcome}\"}}")
}

/// The messages of a request's log.
fn said(id: &str) -> Vec<String> {
    let lines = log::lines_with(id);
    let messages = lines.iter().map(|line| line["fields"]["message"].as_str());
    messages.flatten().map(str::to_owned).collect()
}

#[tokio::test]
async fn work_is_left_in_every_trigger_and_run_after_the_response() {
    let node = start("").await;
    let reply = node.get("/a").await;
    assert_eq!(reply.text(), "page");
    let id = reply.field("x-request-id");
    eventually("all four are run", async || said(&id).len() >= 4).await;
    let mut lines = said(&id);
    lines.sort_unstable();
    let expected = [
        "origin-request",
        "origin-response",
        "viewer-request",
        "viewer-response",
    ];
    assert_eq!(lines, expected.map(|trigger| format!("after {trigger} /a")));
    node.settles(&run("run"), 4.0).await;
    node.settles("verge_limit_in_use{limit=\"deferred\"}", 0.0)
        .await;
}

#[tokio::test]
async fn payloads_are_bounded_and_what_is_refused_is_counted() {
    let node = start("").await;
    let full = node.get("/a?times=17").await.text();
    assert_eq!(full, "this request has left 16 payloads already");
    assert_eq!(node.get("/a?bytes=65536").await.text(), "left");
    let large = node.get("/a?bytes=65537").await.text();
    assert_eq!(large, "the payload is over 65536 bytes");
    node.settles(&run("too-large"), 1.0).await;
    node.settles(&run("too-many"), 1.0).await;
    node.settles(&run("run"), 17.0).await;
}

#[tokio::test]
async fn a_full_node_refuses_and_counts() {
    log::keep();
    let origin = Origin::start(|_| async { respond(200, &[], "page") }).await;
    let toml = format!("[limits]\ndeferred = 3\n{}", toml(&origin, ""));
    let node = TestNode::start(&toml).await;
    let full = node.get("/a?times=4").await.text();
    assert_eq!(full, "the node has no room for more work after responses");
    node.settles(&run("queue-full"), 1.0).await;
    node.settles(&run("run"), 3.0).await;
    assert_eq!(node.get("/a?times=3").await.text(), "left");
}

#[tokio::test]
async fn it_has_limits_of_its_own_cannot_leave_more_and_may_fail() {
    let node = start("deferred_cpu = \"20ms\"").await;
    let spun = node.get("/spin?times=1").await.field("x-request-id");
    let failed = node.get("/fail?times=1").await.field("x-request-id");
    let again = node.get("/again?times=1").await.field("x-request-id");
    node.settles(&run("run"), 3.0).await;
    let cpu = "verge_function_outcomes_total{function=\"f\",outcome=\"cpu-exceeded\"}";
    node.settles(cpu, 1.0).await;
    assert_eq!(said(&spun).len(), 1, "{:?}", said(&spun));
    assert_eq!(said(&failed), ["it failed on purpose"]);
    let refused = "again Err(\"the function cannot be called after the response\")";
    assert!(
        said(&again).contains(&refused.to_owned()),
        "{:?}",
        said(&again)
    );
}

#[tokio::test]
async fn a_node_that_stops_waits_for_it() {
    log::keep();
    let origin = Origin::start(|_| async { respond(200, &[], "page") }).await;
    let node = Setup::new().start(&toml(&origin, "")).await;
    let reply = node.get("/a?times=16").await;
    let id = reply.field("x-request-id");
    let report = node.stop().await;
    assert_eq!(report.cut, 0);
    assert_eq!(said(&id).len(), 16);
}
