//! Saving a file changes behaviour, soon and as a whole.

use std::time::Duration;

use tokio::time::Instant;
use verge_tests::guests::{WIDE_LIMITS, component, runtime};
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually, log};

use super::kit::{edit, generation, install, start, static_site, status, wait_for_failures};

/// Within this a saved file must take effect.
const SOON: Duration = Duration::from_secs(1);

/// Asks until the content is `content`, and says how long that took.
async fn time_until(node: &TestNode, content: &str) -> Duration {
    let begun = Instant::now();
    let mut client = node.client().await;
    eventually(content, async || client.get("/").await.text() == content).await;
    begun.elapsed()
}

#[tokio::test]
async fn saved_configuration_serves_within_a_second() {
    let node = start(&static_site("version 0")).await;
    assert_eq!(node.get("/").await.text(), "version 0");
    let mut took = Vec::new();
    for version in 1..=3 {
        edit(
            &node,
            &format!("version {}", version - 1),
            &format!("version {version}"),
        );
        took.push(time_until(&node, &format!("version {version}")).await);
    }
    // Other work of the machine only makes it slower: the best of three counts.
    let best = *took.iter().min().unwrap();
    assert!(best < SOON, "{took:?}");
    assert_eq!(generation(&node).await, 4);
    node.settles("verge_reloads_total{result=\"ok\"}", 3.0)
        .await;
    node.settles("verge_generation", 4.0).await;
    let last = &status(&node).await["last_reload"];
    assert_eq!(
        (&last["result"], &last["cause"]),
        (&"applied".into(), &"file".into())
    );
}

/// A site whose only function is the component `f.wasm` of the node's folder, as viewer-response.
fn site_with_component(origin: &Origin) -> String {
    format!(
        "{}[function.f]\ncomponent = \"f.wasm\"\nconfig = {{}}\n{WIDE_LIMITS}[origin.app]\n\
         addresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         origin = \"app\"\nviewer_response = [\"f\"]\n",
        runtime(),
        origin.address
    )
}

#[tokio::test]
async fn saved_component_runs_within_a_second() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let setup = Setup::new();
    install(&setup, "f.wasm", "transform");
    let node = setup.start(&site_with_component(&origin)).await;
    let field = "x-content-type-options";
    assert_eq!(node.get("/").await.field(field), "nosniff");
    let mut took = Vec::new();
    for (guest, expected) in [
        ("touch-fields", ""),
        ("transform", "nosniff"),
        ("touch-fields", ""),
    ] {
        let begun = Instant::now();
        node.save("f.wasm", std::fs::read(component(guest)).unwrap());
        let mut client = node.client().await;
        eventually(guest, async || {
            client.get("/").await.field(field) == expected
        })
        .await;
        took.push(begun.elapsed());
    }
    assert!(*took.iter().min().unwrap() < SOON, "{took:?}");
    let functions = &status(&node).await["functions"];
    assert_eq!(functions[0]["name"], "f");
    assert_eq!(
        functions[0]["triggers"].as_array().unwrap().len(),
        4,
        "touch-fields has all"
    );
}

#[tokio::test]
async fn file_written_in_place_in_many_pieces_is_taken_as_a_whole() {
    let node = start(&static_site("old")).await;
    let text = node.config_text().replace("old", "new");
    // As an editor without a rename does it: every piece is an event, and most are half a file.
    let mut file = std::fs::File::create(node.file("verge.toml")).unwrap();
    for piece in text.as_bytes().chunks(16) {
        std::io::Write::write_all(&mut file, piece).unwrap();
    }
    drop(file);
    time_until(&node, "new").await;
}

#[tokio::test]
async fn last_of_many_saves_wins() {
    let node = start(&static_site("version 0")).await;
    for version in 1..=200 {
        edit(
            &node,
            &format!("version {}", version - 1),
            &format!("version {version}"),
        );
    }
    time_until(&node, "version 200").await;
    let reloads = node.metric("verge_reloads_total{result=\"ok\"}").await;
    assert!(
        reloads < 20.0,
        "saves in a row are one reload, or few: {reloads}"
    );
}

#[tokio::test]
async fn save_right_after_the_start_is_not_missed() {
    for version in 0..10 {
        let node = start(&static_site("old")).await;
        edit(&node, "old", &format!("new {version}"));
        time_until(&node, &format!("new {version}")).await;
    }
}

#[tokio::test]
async fn component_that_comes_after_its_configuration_is_taken_up() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = start(&static_site("before")).await;
    let head = node.config_text();
    let (head, _) = head.split_once("[runtime]").unwrap();
    node.save(
        "verge.toml",
        format!("{head}{}", site_with_component(&origin)),
    );
    wait_for_failures(&node, 1.0).await;
    assert_eq!(node.get("/").await.text(), "before");
    node.save("f.wasm", std::fs::read(component("transform")).unwrap());
    time_until(&node, "content").await;
    assert_eq!(
        node.get("/").await.field("x-content-type-options"),
        "nosniff"
    );
}

#[tokio::test]
async fn files_of_no_concern_cause_no_reload() {
    let node = start(&static_site("content")).await;
    node.save("other.toml", "not [ toml");
    // The access log lies in the same folder.
    for _ in 0..20 {
        node.get("/").await;
    }
    node.access_log();
    edit(&node, "content", "changed");
    time_until(&node, "changed").await;
    assert_eq!(generation(&node).await, 2, "the one save that mattered");
}

#[tokio::test]
async fn admin_reloads_on_request_and_the_watcher_does_not_again() {
    let node = start(&static_site("old")).await;
    edit(&node, "old", "new");
    let reply = node.ask_admin("POST", "/reload").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        node.get("/").await.text(),
        "new",
        "it serves once the answer is there"
    );
    let report: serde_json::Value = serde_json::from_str(&reply.text()).unwrap();
    assert_eq!(report["result"], "applied");
    assert_eq!(report["problems"], serde_json::json!([]));
    // The watcher may have been first; then the admin's is the second.
    let number = report["generation"].as_u64().unwrap();
    assert!(number <= 3, "{number}");
    let generations = generation(&node).await;
    assert!(generations <= number + 1, "{generations}");
    let told = log::lines_with("\"message\":\"reloaded\"");
    assert!(!told.is_empty(), "the log says so");
}
