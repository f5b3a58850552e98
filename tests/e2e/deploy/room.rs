//! How much of the node versions in the shadow take, and how much they tell.

use std::sync::Arc;

use tokio::sync::Notify;
use verge_tests::guests::{component, function, runtime, version};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, log};

use super::kit::{again, compared, post};

/// A node with `name` in front of a static answer.
fn toml(name: &str, function: &str, sections: &str) -> String {
    format!(
        "{sections}{function}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"static\" }}\nviewer_request = [\"{name}\"]\n"
    )
}

async fn shadow(node: &TestNode, name: &str, component: Vec<u8>) {
    let path = format!("/functions/{name}/versions?shadow=true");
    let reply = post(node, &path, component).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn shadows_leave_instances_to_requests() {
    let sections = "[runtime]\ninstances = 4\n[deploy]\nfolder = \"versions\"\nshadow_calls = 8\n";
    let function = function("f", "tells-version", "");
    let node = TestNode::start(&toml("f", &function, sections)).await;
    // Each call in the shadow computes for ever, and keeps its instance.
    shadow(&node, "f", std::fs::read(component("spins")).unwrap()).await;
    for _ in 0..12 {
        assert_eq!(node.get("/").await.text(), "static");
    }
    let dropped = "verge_function_shadow_calls_total{function=\"f\",result=\"dropped\"";
    verge_tests::eventually("those without an instance are dropped", async || {
        node.metric(dropped).await >= 8.0
    })
    .await;
    assert_eq!(
        node.metric("verge_limit_hits_total{limit=\"shadow-calls\"")
            .await,
        0.0,
        "to drop one is nothing to be woken for"
    );
}

#[tokio::test]
async fn slow_live_call_keeps_no_place_of_shadows() {
    let (held, gate) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (at, waits) = (Arc::clone(&held), Arc::clone(&gate));
    let origin = Origin::start(move |_| {
        let (at, waits) = (Arc::clone(&at), Arc::clone(&waits));
        async move {
            at.notify_one();
            waits.notified().await;
            respond(200, &[], "late")
        }
    })
    .await;
    let sections = format!(
        "{}[deploy]\nfolder = \"versions\"\nshadow_calls = 1\n[origin.app]\naddresses = [\"{}\"]\n",
        runtime(),
        origin.address
    );
    let function = function("f", "fetches", "grants = { fetch = [\"app\"] }");
    let node = TestNode::start(&toml("f", &function, &sections)).await;
    shadow(&node, "f", again("fetches")).await;
    let mut slow = node.client().await;
    let slow = tokio::spawn(async move { slow.get("/one?http://app/").await.text() });
    held.notified().await;
    assert_eq!(node.get("/").await.text(), "static");
    compared(&node, "same", 1.0).await;
    // The slow one's, and that of its shadow.
    gate.notify_one();
    assert_eq!(slow.await.unwrap(), "late");
    held.notified().await;
    gate.notify_one();
    compared(&node, "same", 2.0).await;
}

#[tokio::test]
async fn version_that_always_differs_does_not_fill_the_log() {
    log::keep();
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    let function = "[function.chatty]\ncomponent = \"f.wasm\"\ncpu = \"10s\"\ndeadline = \"15s\"\n";
    let sections = format!("{}[deploy]\nfolder = \"versions\"\n", runtime());
    let node = setup.start(&toml("chatty", function, &sections)).await;
    shadow(&node, "chatty", version("two")).await;
    let series = "verge_function_shadow_calls_total{function=\"chatty\",result=\"differing\"";
    for times in 1..=30 {
        assert_eq!(node.get("/").await.text(), "static");
        node.settles(series, times.into()).await;
    }
    let told = log::lines_with("the version in the shadow differs");
    let own = told
        .iter()
        .filter(|line| line["fields"]["function"] == "chatty");
    let lines = own.count();
    assert!((1..=10).contains(&lines), "{lines} lines of 30 calls");
}

#[tokio::test]
async fn lines_of_a_shadow_have_its_mark() {
    log::keep();
    let sections = format!("{}[deploy]\nfolder = \"versions\"\n", runtime());
    let function = function("writes", "log-lines", "grants = { log = true }");
    let node = TestNode::start(&toml("writes", &function, &sections)).await;
    shadow(&node, "writes", again("log-lines")).await;
    assert_eq!(
        node.get("/?text=marked-by-this-test").await.text(),
        "static"
    );
    let series = "verge_function_shadow_calls_total{function=\"writes\"";
    node.settles(series, 1.0).await;
    let told = log::lines_with("marked-by-this-test");
    let of = |name: &str| {
        let lines = told.iter();
        lines
            .filter(|line| line["fields"]["function"] == name)
            .count()
    };
    assert_eq!((of("writes"), of("writes (shadow)")), (1, 1), "{told:?}");
}
