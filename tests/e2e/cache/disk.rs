//! The disk beside the cache: warm after a restart, and never in the way.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use verge_cache::{Hardness, PurgeScope};
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, Reply, TestNode, eventually, node};

use super::kit::{MINUTE, assert_cache, settled};

pub(super) fn with_disk(origin: &Origin, path: &Path) -> String {
    let path = path.display();
    let disk = format!("[cache.disk]\npath = \"{path}\"\nsize = \"64MiB\"\n");
    disk + &node::route_to(origin)
}

/// A node that has read what is on its disk.
pub(super) async fn start(toml: &str) -> TestNode {
    let node = TestNode::start(toml).await;
    eventually("the disk is read", async || {
        let disk = node.state().disk.as_ref();
        disk.is_some_and(|disk| disk.stats().is_ready)
    })
    .await;
    node
}

/// A client that asks for one authority, whatever port the node has this time.
pub(super) async fn client(node: &TestNode) -> Client {
    let mut client = node.client().await;
    client.set_authority("disk.example");
    client
}

pub(super) async fn get(node: &TestNode, path: &str) -> Reply {
    client(node).await.get(path).await
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart_without_asking_the_origin() {
    let folder = TempDir::new().unwrap();
    let content = "x".repeat(300_000);
    let origin = Origin::start({
        let content = content.clone();
        move |_| {
            let content = content.clone();
            async move { respond(200, MINUTE, content) }
        }
    })
    .await;
    let toml = with_disk(&origin, folder.path());
    let node = start(&toml).await;
    assert_cache(
        &get(&node, "/a").await,
        "fwd=uri-miss fwd-status=200 stored",
    );
    settled(&node).await;
    node.stop().await;
    let node = start(&toml).await;
    let reply = get(&node, "/a").await;
    assert_cache(&reply, "hit detail=disk");
    assert_eq!(reply.text(), content);
    settled(&node).await;
    // From memory now.
    assert_cache(&get(&node, "/a").await, "hit");
    assert_eq!(origin.count(), 1);
    let hits = "verge_cache_tier_lookups_total{tier=\"disk\",outcome=\"hit\"}";
    assert!(node.metric(hits).await == 1.0);
    eventually("the receipt names the tier", async || {
        let lines = node.access_log();
        lines.iter().any(|line| line["cache"]["tier"] == "disk")
    })
    .await;
}

/// RFC 9111 4: of several that match, the most recent, also if the disk did not take it.
#[tokio::test]
async fn newer_response_that_the_disk_does_not_take_outlives_no_older_one() {
    let folder = TempDir::new().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let content = "x".repeat(if number == 2 { 10_000 } else { 100 });
        async move { respond(200, MINUTE, format!("v{number} {content}")) }
    })
    .await;
    let toml = with_disk(&origin, folder.path());
    let toml = toml.replace("size = ", "max_object = \"4KiB\"\nsize = ");
    let node = start(&toml).await;
    assert!(get(&node, "/a").await.text().starts_with("v1"));
    settled(&node).await;
    let mut client = client(&node).await;
    let reload = [("cache-control", "no-cache")];
    let reply = client.get_with("/a", &reload).await;
    assert!(reply.text().starts_with("v2"));
    settled(&node).await;
    node.stop().await;
    let node = start(&toml).await;
    let reply = get(&node, "/a").await;
    assert!(reply.text().starts_with("v3"), "{}", reply.cache_status());
}

#[tokio::test]
async fn parts_and_conditions_are_answered_from_the_disk() {
    let folder = TempDir::new().unwrap();
    let fields = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
    let origin = Origin::start(move |_| async move { respond(200, &fields, "0123456789") }).await;
    let toml = with_disk(&origin, folder.path());
    let node = start(&toml).await;
    for path in ["/a", "/b"] {
        get(&node, path).await;
    }
    settled(&node).await;
    node.stop().await;
    let node = start(&toml).await;
    let mut client = client(&node).await;
    let part = client.get_with("/a", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "234"));
    let same = client.get_with("/b", &[("if-none-match", "\"a\"")]).await;
    assert_eq!(same.status.as_u16(), 304);
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn what_is_stale_is_validated_and_freshened() {
    let folder = TempDir::new().unwrap();
    let origin = Origin::start(async |request| {
        let fields = [("cache-control", "no-cache"), ("etag", "\"a\"")];
        match request.field("if-none-match") {
            Some("\"a\"") => respond(304, &fields, ""),
            _ => respond(200, &fields, "content"),
        }
    })
    .await;
    let toml = with_disk(&origin, folder.path());
    let node = start(&toml).await;
    get(&node, "/a").await;
    settled(&node).await;
    node.stop().await;
    let node = start(&toml).await;
    let reply = get(&node, "/a").await;
    assert_eq!(reply.text(), "content");
    assert_eq!(origin.requests()[1].field("if-none-match"), Some("\"a\""));
    // RFC 9111 5.2.1.7: the disk is asked, the origin is not.
    let only = [("cache-control", "only-if-cached")];
    let reply = client(&node).await.get_with("/none", &only).await;
    assert_eq!(reply.status.as_u16(), 504);
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn only_if_cached_is_answered_from_the_disk() {
    let folder = TempDir::new().unwrap();
    let origin = Origin::start(async |_| respond(200, MINUTE, "content")).await;
    let toml = with_disk(&origin, folder.path());
    let node = start(&toml).await;
    get(&node, "/a").await;
    settled(&node).await;
    node.stop().await;
    let node = start(&toml).await;
    let only = [("cache-control", "only-if-cached")];
    let reply = client(&node).await.get_with("/a", &only).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (200, "content")
    );
}

#[tokio::test]
async fn what_was_purged_does_not_come_back_with_a_restart() {
    let folder = TempDir::new().unwrap();
    let origin = Origin::start(async |request| match request.path() {
        "/keyed" => {
            let fields = [("cache-control", "max-age=60"), ("surrogate-key", "k")];
            respond(200, &fields, "keyed")
        }
        path => respond(200, MINUTE, path.to_owned()),
    })
    .await;
    let toml = with_disk(&origin, folder.path());
    let node = start(&toml).await;
    for path in ["/keyed", "/posted", "/kept"] {
        get(&node, path).await;
    }
    settled(&node).await;
    let key = verge_http::surrogate::SurrogateKey::new("k").unwrap();
    let cache = &node.state().cache;
    cache.purge(PurgeScope::SurrogateKey(key), Hardness::Hard);
    node.state().tiers.settle().await;
    let posted = client(&node).await.send("POST", "/posted", &[], "x").await;
    assert_eq!(posted.status.as_u16(), 200);
    node.stop().await;
    let node = start(&toml).await;
    for (path, expected) in [
        ("/keyed", "fwd=uri-miss fwd-status=200 stored"),
        ("/posted", "fwd=uri-miss fwd-status=200 stored"),
        ("/kept", "hit detail=disk"),
    ] {
        assert_cache(&get(&node, path).await, expected);
    }
}

#[tokio::test]
async fn a_soft_purge_outlives_a_restart_and_asks_for_validation() {
    let folder = TempDir::new().unwrap();
    let origin = Origin::start(async |request| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
        match request.field("if-none-match") {
            Some(_) => respond(304, &fields, ""),
            None => respond(200, &fields, "content"),
        }
    })
    .await;
    let toml = with_disk(&origin, folder.path());
    let node = start(&toml).await;
    get(&node, "/a").await;
    settled(&node).await;
    node.state()
        .cache
        .purge(PurgeScope::Everything, Hardness::Soft);
    node.state().tiers.settle().await;
    node.stop().await;
    let node = start(&toml).await;
    assert_eq!(get(&node, "/a").await.text(), "content");
    assert_eq!(origin.requests()[1].field("if-none-match"), Some("\"a\""));
    settled(&node).await;
    // Freshened, it is saved again, and no purge concerns it any more.
    node.stop().await;
    let node = start(&toml).await;
    assert_cache(&get(&node, "/a").await, "hit detail=disk");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_disk_that_cannot_be_used_is_off_and_the_node_serves() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("disk");
    std::fs::write(&path, b"no folder").unwrap();
    let origin = Origin::start(async |_| respond(200, MINUTE, "content")).await;
    let node = TestNode::start(&with_disk(&origin, &path)).await;
    assert_eq!(get(&node, "/a").await.text(), "content");
    settled(&node).await;
    assert_cache(&get(&node, "/a").await, "hit");
    assert!(node.metric("verge_cache_disk_off").await == 1.0);
    assert!(node.metric("verge_cache_disk_failures_total").await >= 1.0);
}

#[tokio::test]
async fn two_nodes_do_not_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let origin = Origin::start(async |_| respond(200, MINUTE, "content")).await;
    let toml = with_disk(&origin, folder.path());
    let node = start(&toml).await;
    let text = format!("[listen]\nhttp = \"127.0.0.1:0\"\n{toml}");
    let config = verge_config::Config::from_toml(&text, Path::new("verge.toml")).unwrap();
    let refused = tokio::task::spawn_blocking(|| verge::node::start(config).err())
        .await
        .unwrap()
        .expect("the folder is in use")
        .to_string();
    assert!(refused.contains("is in use by another node"), "{refused}");
    assert!(refused.contains("cache.disk.path"), "{refused}");
    node.stop().await;
}
