//! Versions in the shadow: nobody gets anything of them, nothing changes by them, and what they
//! come to is compared.

use serde_json::Value;
use verge_tests::guests::{WIDE_LIMITS, component, function, runtime, version};
use verge_tests::node::Setup;
use verge_tests::{TestNode, eventually};

use super::kit::{act, again, compared, deploy, made_by, origin, post, start, start_with};

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
    for times in 1..=5 {
        assert_eq!(node.get("/").await.text(), "static");
        // One after the other: more than a few at once would be dropped.
        compared(&node, "same", times.into()).await;
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
    assert_eq!(node.get("/penalize/p").await.text(), "in");
    compared(&node, "same", 1.0).await;
    let node = start_shadow("rate-calls", grants).await;
    let rates = std::fs::read(component("rate-calls")).unwrap();
    deploy_component(&node, "", version("two")).await;
    deploy_component(&node, "?shadow=true", again("rate-calls")).await;
    for (path, times) in [("/penalize/k", 1.0), ("/check/k", 2.0), ("/count/k", 3.0)] {
        assert_eq!(node.get(path).await.text(), "static");
        compared(&node, "differing", times).await;
    }
    deploy_component(&node, "", rates).await;
    assert_eq!(node.get("/penalty/k").await.text(), "out");
    assert_eq!(node.get("/count/k").await.text(), "1");
    let node = start_guest("counts", "grants = { metrics = true }", "").await;
    assert_eq!(node.get("/count/sold/gold").await.text(), "counted");
    compared(&node, "same", 1.0).await;
    node.settles(
        "verge_function_counter_total{function=\"f\",counter=\"sold\"",
        1.0,
    )
    .await;
}

/// A node whose live version does nothing, with `guest` in its shadow: what it does, it does alone.
async fn start_shadow(guest: &str, keys: &str) -> TestNode {
    let setup = Setup::new();
    let file = setup.path().join("f.wasm");
    std::fs::copy(component(guest), &file).unwrap();
    let toml = format!(
        "{}[deploy]\nfolder = \"versions\"\n[function.f]\ncomponent = \"f.wasm\"\n\
         {WIDE_LIMITS}{keys}\n[[site]]\nnames = [\"*\"]\n[[site.route]]\n\
         path = \"/{{*rest}}\"\nstatic = {{ body = \"static\" }}\nviewer_request = [\"f\"]\n",
        runtime(),
    );
    setup.start(&toml).await
}

async fn deploy_component(node: &TestNode, query: &str, component: Vec<u8>) {
    let reply = post(node, &format!("/functions/f/versions{query}"), component).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn cache_takes_and_loses_nothing() {
    let node = start_shadow("keeps-entries", "grants = { cache = true }").await;
    let made = "must tea over nothing";
    assert_eq!(node.get("/made/a?tea").await.text(), made);
    let keeps = std::fs::read(component("keeps-entries")).unwrap();
    // Now the shadow alone makes and purges entries.
    deploy_component(&node, "", version("two")).await;
    deploy_component(&node, "?shadow=true", again("keeps-entries")).await;
    let paths = ["/made/b?tea", "/purge/a", "/purge-key/k-a", "/soft-key/k-a"];
    for (path, times) in paths.into_iter().zip(1..) {
        assert_eq!(node.get(path).await.text(), "static");
        compared(&node, "differing", times.into()).await;
    }
    deploy_component(&node, "", keeps).await;
    assert_eq!(node.get("/look/a").await.text(), "tea fresh");
    assert_eq!(node.get("/look/b").await.text(), "none");
}

#[tokio::test]
async fn entries_are_looked_up_as_the_live_version_sees_them() {
    let node = start_guest("keeps-entries", "grants = { cache = true }", "").await;
    assert_eq!(
        node.get("/made/a?tea").await.text(),
        "must tea over nothing"
    );
    compared(&node, "differing", 1.0).await;
    assert_eq!(node.get("/look/a").await.text(), "tea fresh");
    compared(&node, "same", 1.0).await;
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

#[tokio::test]
async fn function_that_is_middleware_only_has_no_shadow() {
    let toml = format!(
        "{}[deploy]\nfolder = \"versions\"\n{}[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nstatic = {{ body = \"static\" }}\n\
         viewer_middleware = [\"f\"]\n",
        runtime(),
        function("f", "middleware", "")
    );
    let node = TestNode::start(&toml).await;
    let reply = post(
        &node,
        "/functions/f/versions?shadow=true",
        again("middleware"),
    )
    .await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("middleware only"), "{}", reply.text());
    let reply = post(&node, "/functions/f/versions", again("middleware")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}
