//! Versions in the shadow: nobody gets anything of them, nothing changes by them, and what they
//! come to is compared.

use serde_json::Value;
use verge_tests::guests::{component, function, runtime, version};
use verge_tests::{TestNode, eventually};

use super::kit::{act, deploy, made_by, origin, post, start, start_with};

/// The same component once more, as another version: with a custom section at its end.
fn again(guest: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(component(guest)).unwrap();
    bytes.extend_from_slice(&[0, 6, 5]);
    bytes.extend_from_slice(b"again");
    bytes
}

/// A node with `guest` in front of a static answer, and the same guest in its shadow.
async fn start_guest(guest: &str, keys: &str, sections: &str) -> TestNode {
    let toml = format!(
        "{}[deploy]\nfolder = \"versions\"\n{sections}\n{}[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nstatic = {{ body = \"static\" }}\n\
         viewer_request = [\"f\"]\n",
        runtime(),
        function("f", guest, keys)
    );
    let node = TestNode::start(&toml).await;
    let reply = post(&node, "/functions/f/versions?shadow=true", again(guest)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    node
}

/// Waits until so many calls were compared.
async fn compared(node: &TestNode, result: &str, times: f64) {
    let series = format!("verge_function_shadow_calls_total{{function=\"f\",result=\"{result}\"");
    node.settles(&series, times).await;
}

/// The version that was deployed last.
async fn last(node: &TestNode) -> Value {
    let reply = node.ask_admin("GET", "/functions/f").await;
    let function: Value = serde_json::from_slice(&reply.body).unwrap();
    function["versions"][0].clone()
}

#[tokio::test]
async fn nobody_gets_the_version_in_the_shadow_and_its_differences_are_listed() {
    let origin = origin().await;
    let node = start(&origin).await;
    deploy(&node, "two", "?shadow=true").await;
    assert_eq!(made_by(&node.get("/").await), "one");
    // In each of the four triggers.
    compared(&node, "differing", 4.0).await;
    let version = last(&node).await;
    assert_eq!(version["status"], "shadow");
    let told = version["differences"].to_string();
    assert!(
        told.contains("viewer-request: field x-viewer-request"),
        "{told}"
    );
    assert!(
        told.contains("origin-request: field x-origin-request"),
        "{told}"
    );
    let note = version["note"].as_str().unwrap();
    assert!(
        note.contains("0 calls alike, 4 differing, 0 not compared"),
        "{note}"
    );
    act(&node, "promote").await;
    assert_eq!(made_by(&node.get("/").await), "two");
    act(&node, "rollback").await;
    assert_eq!(made_by(&node.get("/").await), "one");
}

#[tokio::test]
async fn version_that_does_the_same_is_alike() {
    let node = start_guest("touch-fields", "", "").await;
    for _ in 0..5 {
        assert_eq!(node.get("/").await.text(), "static");
        // One after the other: more than a few at once would be dropped.
        eventually("the call is compared", async || {
            node.metric("verge_function_shadow_calls_total{function=\"f\",result=\"same\"")
                .await
                > 0.0
        })
        .await;
    }
    let version = last(&node).await;
    assert_eq!(version["differences"], Value::Null);
}

#[tokio::test]
async fn stores_are_read_and_not_written() {
    let store = "[kv.s]\npath = \"s.redb\"\ntimeout = \"20s\"\n";
    let node = start_guest("kv-calls", "grants = { kv = [\"s\"] }", store).await;
    assert_eq!(node.get("/s/increment/k").await.text(), "1");
    compared(&node, "differing", 1.0).await;
    assert_eq!(
        node.get("/s/get/k").await.text(),
        "1@1",
        "it was written once"
    );
    compared(&node, "same", 1.0).await;
    assert_eq!(node.get("/s/set/other?value=tea").await.text(), "2");
    compared(&node, "differing", 2.0).await;
    assert_eq!(node.get("/s/get/other").await.text(), "tea@2");
    compared(&node, "same", 2.0).await;
}

#[tokio::test]
async fn rates_and_metrics_are_not_counted_twice() {
    let grants = "grants = { rate_limit = \"node\" }";
    let node = start_guest("rate-calls", grants, "").await;
    for (number, remaining) in [(1.0, "remaining=9"), (2.0, "remaining=8")] {
        let text = node.get("/check/k?limit=10").await.text();
        assert!(text.contains(remaining), "{text}");
        let series = "verge_function_shadow_calls_total{function=\"f\"";
        node.settles(series, number).await;
    }
    let node = start_guest("counts", "grants = { metrics = true }", "").await;
    assert_eq!(node.get("/count/sold/gold").await.text(), "counted");
    compared(&node, "same", 1.0).await;
    node.settles(
        "verge_function_counter_total{function=\"f\",counter=\"sold\"",
        1.0,
    )
    .await;
}

#[tokio::test]
async fn cache_takes_and_loses_nothing() {
    let node = start_guest("keeps-entries", "grants = { cache = true }", "").await;
    assert!(node.get("/made/a?tea").await.text().contains("tea"));
    // To make an entry is refused, and to purge one, too.
    eventually("both calls are compared", async || {
        node.metric("verge_function_shadow_calls_total{function=\"f\"")
            .await
            >= 1.0
    })
    .await;
    assert!(node.get("/look/a").await.text().contains("tea"));
    assert_eq!(node.get("/purge/other").await.text(), "purged");
    eventually("all calls are compared", async || {
        node.metric("verge_function_shadow_calls_total{function=\"f\"")
            .await
            >= 3.0
    })
    .await;
    assert!(node.get("/look/a").await.text().contains("tea"));
    let told = last(&node).await["differences"].to_string();
    assert!(told.contains("viewer-request: other content"), "{told}");
}

#[tokio::test]
async fn work_after_the_response_is_not_left_twice() {
    let node = start_guest("works-later", "grants = { defer = true, log = true }", "").await;
    assert_eq!(node.get("/?times=2").await.text(), "left");
    compared(&node, "differing", 1.0).await;
    node.settles(
        "verge_function_deferred_total{function=\"f\",outcome=\"run\"",
        2.0,
    )
    .await;
}

#[tokio::test]
async fn what_has_no_room_is_dropped_and_the_live_version_answers_on() {
    let origin = origin().await;
    let sections = "[deploy]\nfolder = \"versions\"\nshadow_calls = 1\n";
    let node = start_with(&origin, "", sections).await;
    let reply = post(
        &node,
        "/functions/f/versions?shadow=true",
        version("two slow"),
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut client = node.client().await;
    eventually("a call is dropped", async || {
        assert_eq!(made_by(&client.get("/").await), "one");
        node.metric("verge_function_shadow_calls_total{function=\"f\",result=\"dropped\"")
            .await
            > 0.0
    })
    .await;
    assert!(
        node.metric("verge_limit_hits_total{limit=\"shadow-calls\"")
            .await
            > 0.0
    );
}

#[tokio::test]
async fn share_and_shadow_exclude_each_other() {
    let origin = origin().await;
    let node = start(&origin).await;
    let path = "/functions/f/versions?shadow=true&share=5%25";
    let reply = post(&node, path, version("two")).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.text().contains("has no share"), "{}", reply.text());
}
