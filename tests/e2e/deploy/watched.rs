//! Versions that are taken back because they fail, or are slow.

use tempfile::TempDir;
use verge_tests::client::Client;
use verge_tests::guests::version;
use verge_tests::node::Setup;
use verge_tests::{TestNode, eventually, log};

use super::kit::{FOLDER, deploy, listed, made_by, origin, start_with, toml};

/// Quick to judge, so that a test is.
const RULES: &str = "[function.f.rollback]\nfailures = \"10%\"\ncalls = 20\n";

/// What was made of the version deployed last, and why.
async fn last(node: &TestNode) -> (String, String) {
    let reply = node.ask_admin("GET", "/functions/f").await;
    let function: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let text = |key: &str| {
        function["versions"][0][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (text("status"), text("note"))
}

async fn ask(client: &mut Client, path: &str, times: usize) {
    for _ in 0..times {
        client.get(path).await;
    }
}

#[tokio::test]
async fn live_version_that_fails_gives_way_to_the_one_before() {
    log::keep();
    let origin = origin().await;
    let node = start_with(&origin, RULES, FOLDER).await;
    deploy(&node, "two traps", "").await;
    let mut client = node.client().await;
    // Each good request is three or four calls: few failures among many are no reason.
    ask(&mut client, "/", 20).await;
    assert_eq!(client.get("/?bad").await.status, 500);
    assert_eq!(made_by(&client.get("/").await), "two");
    eventually("the version is taken back", async || {
        client.get("/?bad").await.status == 200
    })
    .await;
    assert_eq!(made_by(&client.get("/").await), "one");
    let (status, note) = last(&node).await;
    assert_eq!(status, "rolled-back");
    assert!(note.ends_with("calls failed"), "{note}");
    assert!(!log::lines_with("version taken back: ").is_empty());
    let series = "verge_function_deploys_total{function=\"f\",event=\"rolled-back-by-itself\"}";
    node.settles(series, 1.0).await;
}

#[tokio::test]
async fn live_version_that_fails_goes_with_what_runs_in_its_shadow() {
    let origin = origin().await;
    let node = start_with(&origin, RULES, FOLDER).await;
    deploy(&node, "two traps", "").await;
    deploy(&node, "three", "?shadow=true").await;
    let mut client = node.client().await;
    eventually("the live version is taken back", async || {
        client.get("/?bad").await.status == 200
    })
    .await;
    assert_eq!(made_by(&client.get("/").await), "one");
}

#[tokio::test]
async fn share_that_is_slow_is_taken_away() {
    let origin = origin().await;
    let node = start_with(&origin, &format!("{RULES}latency = \"10ms\"\n"), FOLDER).await;
    deploy(&node, "two slow", "?share=99.99%25&sticky=client").await;
    let mut client = node.client().await;
    eventually("the version is taken away", async || {
        made_by(&client.get("/").await) == "one"
    })
    .await;
    let (status, note) = last(&node).await;
    assert_eq!(status, "rolled-back");
    assert!(note.ends_with("calls took more than 10ms"), "{note}");
}

#[tokio::test]
async fn version_that_does_well_stays() {
    let origin = origin().await;
    let node = start_with(&origin, RULES, FOLDER).await;
    deploy(&node, "two", "").await;
    let mut client = node.client().await;
    ask(&mut client, "/?bad", 50).await;
    assert_eq!(made_by(&client.get("/").await), "two");
    assert_eq!(listed(&node).await[0].1, "live");
    let digest = super::kit::digest("two");
    let series = format!(
        "verge_function_version_calls_total{{function=\"f\",version=\"{}\",outcome=\"good\"}}",
        &digest[..12]
    );
    // Four triggers for each request.
    node.settles(&series, 4.0 * 51.0).await;
}

#[tokio::test]
async fn version_that_the_configuration_names_is_not_taken_back() {
    let origin = origin().await;
    let node = start_with(&origin, RULES, FOLDER).await;
    deploy(&node, "two", "").await;
    node.save("f.wasm", verge_tests::guests::version("three traps"));
    let mut client = node.client().await;
    eventually("the saved version", async || {
        client.get("/?bad").await.status == 500
    })
    .await;
    ask(&mut client, "/?bad", 50).await;
    let series = "verge_function_version_calls_total{function=\"f\"";
    eventually("all calls are counted", async || {
        node.metric(series).await >= 50.0
    })
    .await;
    assert_eq!(last(&node).await.0, "live");
    let series = "verge_function_deploys_total{function=\"f\",event=\"rolled-back-by-itself\"}";
    assert_eq!(node.metric(series).await, 0.0);
}

#[tokio::test]
async fn version_is_watched_on_over_a_restart() {
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let start = async || {
        let setup = Setup::new();
        std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
        let sections = format!("[deploy]\nfolder = \"{}\"\n", folder.path().display());
        setup.start(&toml(&origin, RULES, &sections)).await
    };
    let node = start().await;
    deploy(&node, "two traps", "").await;
    node.stop().await;
    let node = start().await;
    let mut client = node.client().await;
    assert_eq!(client.get("/?bad").await.status, 500);
    eventually("the version is taken back", async || {
        client.get("/?bad").await.status == 200
    })
    .await;
    assert_eq!(made_by(&client.get("/").await), "one");
}

#[tokio::test]
async fn version_is_watched_on_over_reloads_and_by_the_rules_of_the_last() {
    let origin = origin().await;
    let lenient = RULES.replace("10%", "99%");
    let node = start_with(&origin, &lenient, FOLDER).await;
    deploy(&node, "two traps", "").await;
    let mut client = node.client().await;
    ask(&mut client, "/", 30).await;
    ask(&mut client, "/?bad", 30).await;
    assert_eq!(listed(&node).await[0].1, "live");
    let text = node.config_text().replace("cpu = \"10s\"", "cpu = \"9s\"");
    node.save("verge.toml", text.replace(&lenient, RULES));
    let reply = node.ask_admin("POST", "/reload").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // What was counted before the reload counts.
    eventually("the version is taken back", async || {
        client.get("/?bad").await.status == 200
    })
    .await;
    let (status, note) = last(&node).await;
    assert_eq!(status, "rolled-back");
    let (failed, _) = note.split_once(" of ").unwrap();
    assert!(failed.parse::<u32>().unwrap() >= 30, "{note}");
}
