//! Nodes whose files change.

use serde_json::Value;
use verge_tests::guests::{component, runtime};
use verge_tests::node::Setup;
use verge_tests::{TestNode, eventually};

/// A site with one static answer, `content`, at every path.
pub(super) fn static_site(content: &str) -> String {
    format!(
        "{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"{content}\" }}\n",
        runtime()
    )
}

/// Starts with this configuration; what a node's first save does is told by its log.
pub(super) async fn start(toml: &str) -> TestNode {
    verge_tests::log::keep();
    Setup::new().start(toml).await
}

/// Puts the component of `guest` into the node's folder as `name`.
pub(super) fn install(setup: &Setup, name: &str, guest: &str) {
    std::fs::copy(component(guest), setup.path().join(name)).unwrap();
}

/// Saves the configuration with every `from` made `to`, and says how it is now.
pub(super) fn edit(node: &TestNode, from: &str, to: &str) -> String {
    let text = node.config_text();
    assert!(text.contains(from), "{from:?} is not in\n{text}");
    let text = text.replace(from, to);
    node.save("verge.toml", &text);
    text
}

/// `/status` as JSON.
pub(super) async fn status(node: &TestNode) -> Value {
    serde_json::from_str(&node.ask_admin("GET", "/status").await.text()).unwrap()
}

/// The number of the serving generation.
pub(super) async fn generation(node: &TestNode) -> u64 {
    status(node).await["generation"]["number"].as_u64().unwrap()
}

/// Waits until at least `number` generations have served.
pub(super) async fn wait_for_generation(node: &TestNode, number: u64) {
    eventually(&format!("generation {number}"), async || {
        generation(node).await >= number
    })
    .await;
}

/// Waits until a reload has failed for the `number`th time.
pub(super) async fn wait_for_failures(node: &TestNode, number: f64) {
    let failed = "verge_reloads_total{result=\"failed\"}";
    eventually(&format!("failed reload {number}"), async || {
        node.metric(failed).await >= number
    })
    .await;
}
