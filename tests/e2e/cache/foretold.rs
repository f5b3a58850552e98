//! What an explanation says that would happen is what happens: every sort of request against
//! every state of memory and disk.

use serde_json::json;
use tempfile::TempDir;
use verge_tests::foretold::{Asked, HOST, all_states, assert_foretold, origin, pairs, state};
use verge_tests::node::ADMIN_TOKEN;
use verge_tests::{Client, TestNode, node};

use super::disk;
use super::kit::settled;

/// Brings each state about, apart from purges.
async fn store(node: &TestNode, pairs: &[(String, Asked)]) {
    let mut client = Client::http1(node.http()).await;
    client.set_authority(HOST);
    for (path, _) in pairs {
        let fields: &[(&str, &str)] = match state(path) {
            "none" => continue,
            "pieces" | "stale-pieces" | "large-first" | "large-window-first" => {
                &[("range", "bytes=0-3")]
            }
            "large-two" | "large-window-two" => &[("range", "bytes=0-70000")],
            _ => &[],
        };
        client.get_with(path, fields).await;
    }
    settled(node).await;
}

/// Purges what the states say.
async fn purge(node: &TestNode, pairs: &[(String, Asked)]) {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let fields = [("authorization", bearer.as_str())];
    let mut client = Client::http1(node.admin()).await;
    for (path, _) in pairs {
        let is_soft = match state(path) {
            "soft" | "soft-window" => true,
            "hard" => false,
            _ => continue,
        };
        let url = format!("http://{HOST}{path}");
        let content = json!({ "purge": [{ "url": url }], "soft": is_soft }).to_string();
        let reply = client.send("POST", "/purge", &fields, content).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

fn with_rules(toml: String) -> String {
    toml + "[site.route.policy]\nbypass = [{ field = \"x-preview\" }, { cookie = \"session\" }]\n"
}

#[tokio::test]
async fn what_is_told_of_memory_is_what_happens() {
    let origin = origin().await;
    let node = TestNode::start(&with_rules(node::route_to(&origin))).await;
    let pairs = pairs(&all_states());
    store(&node, &pairs).await;
    purge(&node, &pairs).await;
    assert_foretold(&node, &origin, &pairs).await;
}

#[tokio::test]
async fn what_is_told_of_a_disk_is_what_happens() {
    let (folder, origin) = (TempDir::new().unwrap(), origin().await);
    let toml = with_rules(disk::with_disk(&origin, folder.path()));
    let node = disk::start(&toml).await;
    let pairs = pairs(&all_states());
    store(&node, &pairs).await;
    purge(&node, &pairs).await;
    node.stop().await;
    let node = disk::start(&toml).await;
    assert_foretold(&node, &origin, &pairs).await;
}

#[tokio::test]
async fn what_is_told_of_slices_is_what_happens() {
    let origin = origin().await;
    for policy in ["slices", "whole", "pass"] {
        let toml = format!("{}ranges = \"{policy}\"\n", node::route_to(&origin));
        let node = TestNode::start(&with_rules(toml)).await;
        let states = [
            "none",
            "fresh",
            "bare",
            "stale",
            "revalidate",
            "no-cache",
            "private",
        ];
        let pairs = pairs(&states);
        store(&node, &pairs).await;
        assert_foretold(&node, &origin, &pairs).await;
    }
}

#[tokio::test]
async fn what_is_told_of_several_slices_is_what_happens() {
    let origin = origin().await;
    let route = node::route_to(&origin);
    let toml = with_rules(format!("{route}ranges = \"slices\"\nslice = \"64KiB\"\n"));
    let node = TestNode::start(&toml).await;
    let pairs = pairs(&[
        "large",
        "large-first",
        "large-two",
        "large-window",
        "large-window-two",
    ]);
    store(&node, &pairs).await;
    assert_foretold(&node, &origin, &pairs).await;
}

#[tokio::test]
async fn what_is_told_of_codings_is_what_happens() {
    let origin = origin().await;
    let route = node::route_to(&origin);
    for ranges in ["", "ranges = \"slices\"\nslice = \"64KiB\"\n"] {
        let toml = with_rules(format!("{route}compression = \"on\"\n{ranges}"));
        let node = TestNode::start(&toml).await;
        let pairs = pairs(&["large-text"]);
        store(&node, &pairs).await;
        assert_foretold(&node, &origin, &pairs).await;
    }
}

#[tokio::test]
async fn what_is_told_of_slices_on_a_disk_is_what_happens() {
    let (folder, origin) = (TempDir::new().unwrap(), origin().await);
    let route = disk::with_disk(&origin, folder.path());
    let toml = with_rules(format!("{route}ranges = \"slices\"\nslice = \"64KiB\"\n"));
    let node = disk::start(&toml).await;
    let pairs = pairs(&[
        "fresh",
        "stale",
        "revalidate",
        "no-cache",
        "large",
        "large-first",
        "large-two",
        "large-window",
        "large-window-two",
        "large-window-first",
        "large-stale",
        "large-whole",
        "large-whole-stale",
        "large-whole-window",
    ]);
    store(&node, &pairs).await;
    node.stop().await;
    let node = disk::start(&toml).await;
    assert_foretold(&node, &origin, &pairs).await;
}
