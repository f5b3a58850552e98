//! A folder that cannot be written or read, wholly or in part.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use verge_tests::guests::version;
use verge_tests::node::Setup;
use verge_tests::{Origin, TestNode, eventually};

use super::kit::{act, deploy, digest, listed, made_by, origin, post, start, toml};

/// A node whose versions lie in `folder`.
async fn start_in(origin: &Origin, folder: &Path) -> TestNode {
    let setup = Setup::new();
    fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    let sections = format!("[deploy]\nfolder = \"{}\"\n", folder.display());
    setup.start(&toml(origin, "", &sections)).await
}

fn component(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("components/{}.wasm", digest(name)))
}

#[tokio::test]
async fn rollback_needs_no_disk_and_is_kept_when_there_is_one() {
    let origin = origin().await;
    let node = start(&origin).await;
    deploy(&node, "two", "").await;
    // No state can be written beside its place.
    let beside = node.file("versions/functions/f.json.new");
    fs::create_dir(&beside).unwrap();
    let reply = post(&node, "/functions/f/versions", version("three")).await;
    assert_eq!(reply.status, 500, "{}", reply.text());
    assert_eq!(made_by(&node.get("/").await), "two");
    let told = act(&node, "rollback").await;
    assert_eq!(made_by(&node.get("/").await), "one");
    let warning = told["warning"].as_str().unwrap_or_default();
    assert!(warning.contains("not kept"), "{told}");
    let unkept = "verge_function_versions_unkept";
    assert_eq!(node.metric(unkept).await, 1.0);
    let kept = || {
        let text = fs::read(node.file("versions/functions/f.json")).unwrap();
        let state: Value = serde_json::from_slice(&text).unwrap();
        state["live"].as_str().unwrap().to_owned()
    };
    assert_eq!(kept(), digest("two"));
    fs::remove_dir(&beside).unwrap();
    eventually("the state is kept", async || kept() == digest("one")).await;
    node.settles(unkept, 0.0).await;
}

#[tokio::test]
async fn components_stay_while_a_state_is_put_aside() {
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let node = start_in(&origin, folder.path()).await;
    deploy(&node, "two", "").await;
    node.stop().await;
    let state = folder.path().join("functions/f.json");
    let whole = fs::read_to_string(&state).unwrap();
    // As one of a later version of the node.
    fs::write(&state, whole.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let node = start_in(&origin, folder.path()).await;
    assert_eq!(made_by(&node.get("/").await), "one");
    assert!(component(folder.path(), "two").is_file());
    node.stop().await;
    fs::remove_file(folder.path().join("functions/f.json.unreadable")).unwrap();
    fs::write(&state, whole).unwrap();
    let node = start_in(&origin, folder.path()).await;
    assert_eq!(made_by(&node.get("/").await), "two", "nothing was lost");
}

#[tokio::test]
async fn what_cannot_be_read_for_a_while_is_not_lost() {
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let state = folder.path().join("functions/f.json");
    for file in [state, component(folder.path(), "two")] {
        let node = start_in(&origin, folder.path()).await;
        deploy(&node, "two", "").await;
        let before = listed(&node).await;
        node.stop().await;
        let away = folder.path().join("away");
        fs::rename(&file, &away).unwrap();
        // A folder cannot be read as a file, and neither is it missing nor something else.
        fs::create_dir(&file).unwrap();
        let node = start_in(&origin, folder.path()).await;
        assert_eq!(made_by(&node.get("/").await), "one");
        let reply = post(&node, "/functions/f/versions", version("three")).await;
        assert_eq!(reply.status, 409, "{}", reply.text());
        assert!(reply.text().contains("cannot be read"), "{}", reply.text());
        fs::remove_dir(&file).unwrap();
        fs::rename(&away, &file).unwrap();
        let reply = node.ask_admin("POST", "/reload").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(made_by(&node.get("/").await), "two");
        assert_eq!(listed(&node).await, before);
        act(&node, "rollback").await;
        node.stop().await;
    }
}

#[tokio::test]
async fn damaged_component_is_repaired_by_deploying_it_again() {
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let node = start_in(&origin, folder.path()).await;
    deploy(&node, "two", "").await;
    let file = component(folder.path(), "two");
    let length = fs::metadata(&file).unwrap().len();
    fs::write(&file, vec![0; usize::try_from(length).unwrap()]).unwrap();
    act(&node, "rollback").await;
    deploy(&node, "two", "").await;
    node.stop().await;
    let node = start_in(&origin, folder.path()).await;
    assert_eq!(made_by(&node.get("/").await), "two");
}

#[tokio::test]
async fn leftovers_of_a_crash_are_deleted() {
    let (origin, folder) = (origin().await, TempDir::new().unwrap());
    let components = folder.path().join("components");
    fs::create_dir_all(&components).unwrap();
    let leftover = components.join(format!("{}.wasm.new", digest("two")));
    fs::write(&leftover, b"half").unwrap();
    let _node = start_in(&origin, folder.path()).await;
    assert!(!leftover.exists());
}
