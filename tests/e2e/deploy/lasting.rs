//! What of versions outlives the node, and what becomes of damage.

use std::path::Path;

use tempfile::TempDir;
use verge_tests::guests::version;
use verge_tests::node::Setup;
use verge_tests::{Origin, TestNode, log};

use super::kit::{act, deploy, digest, listed, made_by, origin, toml};

/// A node whose versions lie in `folder`.
async fn start_in(origin: &Origin, folder: &Path) -> TestNode {
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    let sections = format!("[deploy]\nfolder = \"{}\"\n", folder.display());
    setup.start(&toml(origin, "", &sections)).await
}

#[tokio::test]
async fn restart_keeps_versions_and_what_runs() {
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let node = start_in(&origin, folder.path()).await;
    deploy(&node, "two", "").await;
    deploy(&node, "three", "?share=99.99%25&sticky=client").await;
    assert_eq!(made_by(&node.get("/").await), "three");
    let before = listed(&node).await;
    node.stop().await;
    let node = start_in(&origin, folder.path()).await;
    assert_eq!(listed(&node).await, before);
    assert_eq!(made_by(&node.get("/").await), "three");
    act(&node, "rollback").await;
    assert_eq!(made_by(&node.get("/").await), "two");
    act(&node, "rollback").await;
    assert_eq!(made_by(&node.get("/").await), "one");
}

#[tokio::test]
async fn damaged_state_is_told_and_the_configured_component_serves() {
    log::keep();
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let node = start_in(&origin, folder.path()).await;
    deploy(&node, "two", "").await;
    node.stop().await;
    let state = folder.path().join("functions/f.json");
    let whole = std::fs::read(&state).unwrap();
    std::fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    let node = start_in(&origin, folder.path()).await;
    assert_eq!(made_by(&node.get("/").await), "one");
    let told = log::lines_with("is no state of a function");
    let place = state.display().to_string();
    assert!(
        told.iter().any(|line| line.to_string().contains(&place)),
        "{told:?}"
    );
    let aside = folder.path().join("functions/f.json.unreadable");
    assert!(aside.is_file(), "it is there for whoever wants to look");
    deploy(&node, "two", "").await;
    assert_eq!(made_by(&node.get("/").await), "two");
}

#[tokio::test]
async fn lost_component_is_told_and_the_configured_one_serves() {
    log::keep();
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let node = start_in(&origin, folder.path()).await;
    deploy(&node, "two", "").await;
    node.stop().await;
    let file = format!("components/{}.wasm", digest("two"));
    std::fs::write(folder.path().join(&file), b"damaged").unwrap();
    let node = start_in(&origin, folder.path()).await;
    assert_eq!(made_by(&node.get("/").await), "one");
    let told = log::lines_with("a deployed version is lost");
    assert!(
        told.iter()
            .any(|line| line.to_string().contains(&digest("two"))),
        "{told:?}"
    );
    assert_eq!(listed(&node).await, [("one".to_owned(), "live".to_owned())]);
}

#[tokio::test]
async fn folder_is_for_one_node() {
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let _node = start_in(&origin, folder.path()).await;
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    let sections = format!("[deploy]\nfolder = \"{}\"\n", folder.path().display());
    let text = setup.config(&toml(&origin, "", &sections));
    let file = setup.path().join("verge.toml");
    std::fs::write(&file, &text).unwrap();
    let config = verge_config::Config::read(&file).unwrap();
    let started = tokio::task::spawn_blocking(|| verge::node::start(config)).await;
    let error = started.unwrap().err().unwrap().to_string();
    assert!(error.contains("deploy.folder"), "{error}");
    assert!(error.contains("in use by another node"), "{error}");
}
