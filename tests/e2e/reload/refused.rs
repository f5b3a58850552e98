//! A file that is broken changes nothing: the generation before serves on, and the
//! log, the metrics and the admin API say why.

use serde_json::Value;
use verge_tests::guests::{WIDE_LIMITS, component, runtime};
use verge_tests::node::Setup;
use verge_tests::{TestNode, log};

use super::kit::{
    edit, generation, install, start, static_site, status, wait_for_failures, wait_for_generation,
};

async fn start_with_component() -> TestNode {
    log::keep();
    let setup = Setup::new();
    install(&setup, "f.wasm", "transform");
    let toml = format!(
        "{}[function.f]\ncomponent = \"f.wasm\"\nconfig = {{}}\n{WIDE_LIMITS}\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"content\" }}\nviewer_response = [\"f\"]\n",
        runtime()
    );
    setup.start(&toml).await
}

/// The node still serves generation 1, and everything that can tell about the failure does.
async fn serves_on(node: &TestNode, failures: f64, key: &str, what: &str) {
    wait_for_failures(node, failures).await;
    let reply = node.get("/").await;
    assert_eq!(reply.text(), "content");
    assert_eq!(reply.field("x-content-type-options"), "nosniff");
    node.settles("verge_last_reload_successful", 0.0).await;
    node.settles("verge_generation", 1.0).await;
    let answer = node.ask_admin("POST", "/reload").await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let report: Value = serde_json::from_str(&answer.text()).unwrap();
    let last = status(node).await["last_reload"].clone();
    for report in [report, last] {
        assert_eq!(report["result"], "failed");
        assert_eq!(report["generation"], 1);
        let problem = &report["problems"][0];
        assert_eq!(problem["key"], key, "{report}");
        assert!(problem["what"].as_str().unwrap().contains(what), "{report}");
        assert!(problem["line"].as_u64().unwrap() > 0, "{report}");
        let file = problem["file"].as_str().unwrap();
        assert!(file.ends_with("verge.toml"), "{report}");
    }
    let folder = node.file("");
    let marker = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let told = log::lines_with(&marker);
    let is_told = told.iter().any(|line| {
        line["level"] == "ERROR" && line["fields"]["message"].as_str().unwrap().contains(what)
    });
    assert!(is_told, "the log says what is wrong: {told:?}");
}

#[tokio::test]
async fn broken_configuration_keeps_the_old_generation_and_says_why() {
    let node = start_with_component().await;
    let good = node.config_text();
    node.save("verge.toml", format!("{good}\nthis is [ not toml"));
    serves_on(&node, 1.0, "", "").await;
    node.save(
        "verge.toml",
        good.replace("viewer_response = [\"f\"]", "viewer_response = [\"g\"]"),
    );
    serves_on(&node, 3.0, "site[0].route[0].viewer_response[0]", "g").await;
    node.save("verge.toml", format!("{good}\nhedgehog = 1\n"));
    serves_on(&node, 5.0, "site[0].route[0].hedgehog", "").await;
    // Mended, it serves again.
    node.save("verge.toml", good.replace("content\"", "mended\""));
    wait_for_generation(&node, 2).await;
    assert_eq!(node.get("/").await.text(), "mended");
    node.settles("verge_last_reload_successful", 1.0).await;
}

#[tokio::test]
async fn broken_component_keeps_the_old_one_and_says_why() {
    let node = start_with_component().await;
    let good = std::fs::read(component("transform")).unwrap();
    let key = "function.f.component";
    node.save("f.wasm", &good[..good.len() / 2]);
    serves_on(&node, 1.0, key, "not valid").await;
    node.save("f.wasm", b"\0asm\x01\0\0\0");
    serves_on(&node, 3.0, key, "core wasm module").await;
    node.save("f.wasm", std::fs::read(component("rate-limit")).unwrap());
    serves_on(&node, 5.0, key, "`grants.rate_limit`").await;
    std::fs::remove_file(node.file("f.wasm")).unwrap();
    serves_on(&node, 7.0, key, "cannot read").await;
    node.save("f.wasm", std::fs::read(component("touch-fields")).unwrap());
    wait_for_generation(&node, 2).await;
    assert_eq!(node.get("/").await.field("x-content-type-options"), "");
}

#[tokio::test]
async fn component_that_lost_its_trigger_is_refused() {
    let node = start_with_component().await;
    node.save("f.wasm", std::fs::read(component("spins")).unwrap());
    let what = "exports no `verge:edge/viewer-response`";
    serves_on(&node, 1.0, "site[0].route[0].viewer_response", what).await;
}

#[tokio::test]
async fn all_problems_come_at_once() {
    let node = start(&static_site("content")).await;
    let text = node
        .config_text()
        .replace("static = { body", "statik = { body");
    node.save(
        "verge.toml",
        format!("{text}hedgehog = 1\n[stop]\ndeadline = \"soon\"\n"),
    );
    let answer = node.ask_admin("POST", "/reload").await;
    assert_eq!(answer.status, 422);
    let report: Value = serde_json::from_str(&answer.text()).unwrap();
    let keys: Vec<&str> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| problem["key"].as_str().unwrap())
        .collect();
    for key in [
        "site[0].route[0].statik",
        "site[0].route[0].hedgehog",
        "stop.deadline",
    ] {
        assert!(keys.contains(&key), "{key}: {keys:?}");
    }
    assert_eq!(node.get("/").await.text(), "content");
}

#[tokio::test]
async fn keys_that_are_fixed_at_the_start_are_refused_by_name() {
    let node = start(&static_site("content")).await;
    let text = edit(&node, "workers = 2", "workers = 3");
    let text = text
        .replace("content", "changed")
        .replace("instances = 16", "instances = 17");
    let http = "http = \"127.0.0.1:0\"";
    let text = text.replacen(http, "http = [\"127.0.0.1:0\", \"127.0.0.1:0\"]", 1);
    node.save(
        "verge.toml",
        format!("{text}[cache]\nmemory = \"256MiB\"\n"),
    );
    let answer = node.ask_admin("POST", "/reload").await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let report: Value = serde_json::from_str(&answer.text()).unwrap();
    let problems = report["problems"].as_array().unwrap();
    let keys: Vec<&str> = problems
        .iter()
        .map(|problem| problem["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["node", "listen.http", "runtime", "cache.memory"]);
    for problem in problems {
        assert_eq!(problem["what"], "cannot change while the node runs");
        assert!(problem["line"].as_u64().unwrap() > 0, "{problem}");
        assert!(problem["expected"].as_str().unwrap().contains("restart"));
    }
    assert_eq!(
        node.get("/").await.text(),
        "content",
        "nothing of it was applied"
    );
    assert_eq!(generation(&node).await, 1);
}
