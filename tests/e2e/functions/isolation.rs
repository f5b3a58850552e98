//! Where a call's instance comes from: made for it, made ahead, or kept from the call before; and
//! that nothing of a request but the guest's own memory stays in one that is kept.

use verge_tests::guests::{component, function, runtime};
use verge_tests::node::Setup;
use verge_tests::{TestNode, eventually, log};

use super::kit::start;
use super::loading::refused;

const IDLE: &str = "verge_function_idle_instances{function=\"f\"}";

fn starts(class: &str) -> String {
    format!("verge_function_start_seconds_count{{function=\"f\",start_class=\"{class}\"}}")
}

/// How the instance came to the request with this id.
async fn start_class(node: &TestNode, id: &str) -> String {
    let receipt = node.receipt(id).await;
    let class = receipt["functions"][0]["start_class"].as_str();
    class.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn fresh_and_prepared_instances_know_nothing_of_the_request_before() {
    for isolation in ["fresh", "prepared"] {
        let node = start("leaks-state", &format!("isolation = \"{isolation}\""), "").await;
        let mut client = node.client().await;
        for _ in 0..20 {
            assert_eq!(client.get("/a?user=ada").await.text(), "user=ada");
            assert_eq!(client.get("/tell?user=bob").await.text(), "");
        }
    }
}

#[tokio::test]
async fn prepared_instance_waits_for_its_request_and_is_told_of_in_the_receipt() {
    let node = start("leaks-state", "isolation = \"prepared\"\nidle_max = 3", "").await;
    eventually("one is made ahead", async || node.metric(IDLE).await >= 1.0).await;
    let reply = node.get("/a?x").await;
    let class = start_class(&node, &reply.field("x-request-id")).await;
    assert_eq!(class, "prepared");
    node.settles(&starts("prepared"), 1.0).await;
    eventually("another one takes its place", async || {
        node.metric(IDLE).await >= 1.0
    })
    .await;
    assert!(node.metric(IDLE).await <= 3.0);
    let status = node.ask_admin("GET", "/status").await.text();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["functions"][0]["isolation"], "prepared");
}

#[tokio::test]
async fn reused_instance_keeps_its_memory_for_as_many_requests_as_it_may() {
    let node = start(
        "leaks-state",
        "isolation = \"reused\"\nreuse_requests = 2",
        "",
    )
    .await;
    let mut client = node.client().await;
    let mut classes = Vec::new();
    for expected in ["", "user=ada", "", "user=ada"] {
        let reply = client.get("/tell?user=ada").await;
        assert_eq!(reply.text(), expected);
        classes.push(start_class(&node, &reply.field("x-request-id")).await);
    }
    assert_eq!(classes, ["fresh", "reused", "fresh", "reused"]);
    node.settles(&starts("reused"), 2.0).await;
}

#[tokio::test]
async fn what_a_reused_instance_prints_belongs_to_the_request_that_it_serves() {
    log::keep();
    let keys = "isolation = \"reused\"\ngrants = { log = true }";
    let node = start("log-lines", keys, "").await;
    let mut client = node.client().await;
    let mut classes = Vec::new();
    for _ in 0..3 {
        let id = client.get("/a?1").await.field("x-request-id");
        let lines = log::lines_with(&id);
        let said = |text: &str| {
            let lines = lines.iter().map(|line| line["fields"]["message"].as_str());
            lines.flatten().filter(|line| *line == text).count()
        };
        for text in ["a line on stdout", "a line on stderr", "line 0 of the log"] {
            assert_eq!(said(text), 1, "{text}: {lines:?}");
        }
        classes.push(start_class(&node, &id).await);
    }
    assert_eq!(classes, ["fresh", "reused", "reused"]);
}

#[tokio::test]
async fn work_is_done_after_the_response_also_of_instances_that_stay() {
    for isolation in ["prepared", "reused"] {
        let keys = format!("isolation = \"{isolation}\"\ngrants = {{ defer = true, log = true }}");
        let node = start("works-later", &keys, "").await;
        for round in 1..=3 {
            assert_eq!(node.get("/a").await.status, 200);
            let run = "verge_function_deferred_total{function=\"f\",outcome=\"run\"}";
            node.settles(run, f64::from(round)).await;
        }
    }
}

#[tokio::test]
async fn wasi_http_handler_is_prepared_and_reused_likewise() {
    for isolation in ["prepared", "reused"] {
        let toml = format!(
            "{}{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\nfunction = \"f\"\n",
            runtime(),
            function("f", "hello", &format!("isolation = \"{isolation}\"")),
        );
        let node = TestNode::start(&toml).await;
        let mut client = node.client().await;
        for path in ["/a", "/b", "/c"] {
            let waits = async || isolation == "reused" || node.metric(IDLE).await >= 1.0;
            eventually("one is made ahead", waits).await;
            let reply = client.get(path).await;
            assert!(reply.text().contains(path), "{}", reply.text());
            let posted = client.send("POST", path, &[], "and back").await;
            assert!(posted.text().ends_with("and back"), "{}", posted.text());
        }
        eventually("most were no fresh ones", async || {
            node.metric(&starts(isolation)).await >= 3.0
        })
        .await;
    }
}

#[tokio::test]
async fn component_of_wasi_0_3_can_be_prepared() {
    let toml = format!(
        "{}{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\nfunction = \"f\"\n",
        runtime(),
        function("f", "service", "isolation = \"prepared\""),
    );
    let node = TestNode::start(&toml).await;
    eventually("one is made ahead", async || node.metric(IDLE).await >= 1.0).await;
    let reply = node
        .client()
        .await
        .send("POST", "/echo", &[], "content")
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    node.settles(&starts("prepared"), 1.0).await;
}

#[test]
fn component_of_wasi_0_3_is_not_reused() {
    let toml = format!(
        "{}{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\nfunction = \"f\"\n",
        runtime(),
        function("f", "service", "isolation = \"reused\""),
    );
    let said = refused(&Setup::new(), &toml);
    for part in ["function.f", "isolation \"reused\" is for triggers", "0.3"] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn new_version_is_never_served_by_an_instance_of_the_old_one() {
    let setup = Setup::new();
    let save = |guest: &str| std::fs::read(component(guest)).unwrap();
    std::fs::write(setup.path().join("f.wasm"), save("leaks-state")).unwrap();
    let toml = format!(
        "{}[function.f]\ncomponent = \"f.wasm\"\nisolation = \"reused\"\ncpu = \"10s\"\n\
         deadline = \"15s\"\n[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"static\" }}\nviewer_request = [\"f\"]\n",
        runtime(),
    );
    let node = setup.start(&toml).await;
    assert_eq!(node.get("/a?b").await.text(), "b");
    node.settles(IDLE, 1.0).await;
    node.save("f.wasm", save("touch-fields"));
    eventually("the new one answers", async || {
        node.get("/a?b").await.text() == "static"
    })
    .await;
    // The old one's instances are gone, slots and all.
    node.settles("verge_limit_in_use{limit=\"instances\"}", 1.0)
        .await;
}
