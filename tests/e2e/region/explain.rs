//! `/cache/explain` on nodes with a disk and Redis: every tier is shown, and which would answer.

use serde_json::Value;
use tempfile::TempDir;
use verge_tests::redis::Redis;
use verge_tests::{TestNode, eventually, node};

use super::kit::{Versions, get, patient_node, ready};

async fn explain(node: &TestNode) -> Value {
    let path = "/cache/explain?url=http%3A%2F%2Fshop.example%2Fa";
    let reply = node.ask_admin("GET", path).await;
    serde_json::from_str(&reply.text()).unwrap()
}

fn tiers(told: &Value) -> Vec<&str> {
    let stored = told["stored"].as_array().unwrap().iter();
    stored
        .map(|stored| stored["tier"].as_str().unwrap())
        .collect()
}

fn next(told: &Value) -> [&str; 3] {
    ["outcome", "reason", "tier"].map(|key| told["next"][key].as_str().unwrap_or("-"))
}

async fn node_with_disk(versions: &Versions, redis: &Redis, folder: &TempDir) -> TestNode {
    let toml = format!(
        "[redis]\nurl = \"{}\"\ntimeout = \"2s\"\n[cache.disk]\npath = \"{}\"\nsize = \"64MiB\"\n{}",
        redis.url(),
        folder.path().display(),
        node::route_to(&versions.origin)
    );
    let node = TestNode::start(&toml).await;
    ready(&node).await;
    node
}

#[tokio::test]
async fn every_tier_is_shown_and_which_one_would_answer() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let folder = TempDir::new().unwrap();
    let here = node_with_disk(&versions, &redis, &folder).await;
    let told = explain(&here).await;
    assert_eq!(next(&told), ["miss", "uri-miss", "-"]);
    get(&here, "/a").await;
    let mut told = Value::Null;
    eventually("all tiers have it", async || {
        told = explain(&here).await;
        tiers(&told) == ["memory", "disk", "l2"]
    })
    .await;
    assert_eq!(next(&told), ["hit", "fresh", "memory"]);
    for stored in told["stored"].as_array().unwrap() {
        assert_eq!(stored["state"], "fresh");
        assert_eq!(stored["lifetime_seconds"], 600);
        assert_eq!(stored["lifetime_source"], "max-age");
        assert!(stored["age_seconds"].as_u64().unwrap() < 60);
        let is_first = stored["tier"] == "memory";
        assert!(is_first || stored["is_selected"] == true, "{stored}");
    }
    // On another node Redis would answer, and nothing is moved by asking.
    let there = patient_node(&versions, &redis.url()).await;
    for _ in 0..2 {
        let told = explain(&there).await;
        assert_eq!(next(&told), ["hit", "fresh", "l2"]);
        assert_eq!(told["next"]["status"], 200);
        assert_eq!(tiers(&told), ["l2"]);
    }
    let told = get(&there, "/a").await.cache_status();
    assert!(told.contains("detail=l2"), "{told}");
    // After a restart the disk would.
    drop(there);
    here.stop().await;
    let here = node_with_disk(&versions, &redis, &folder).await;
    eventually("the disk is read", async || {
        let told = explain(&here).await;
        tiers(&told) == ["disk", "l2"] && next(&told) == ["hit", "fresh", "disk"]
    })
    .await;
    let told = get(&here, "/a").await.cache_status();
    assert!(told.contains("detail=disk"), "{told}");
    assert_eq!(versions.origin.count(), 1);
}

#[tokio::test]
async fn a_tier_that_cannot_be_asked_is_named_with_the_reason() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let node = patient_node(&versions, &redis.url()).await;
    redis.kill();
    let mut told = Value::Null;
    eventually("Redis is known to be away", async || {
        told = explain(&node).await;
        !told["unknown"].as_array().unwrap().is_empty()
    })
    .await;
    assert_eq!(told["unknown"][0]["tier"], "l2");
    assert!(told["unknown"][0]["reason"].is_string(), "{told}");
    assert_eq!(next(&told), ["miss", "uri-miss", "-"]);
}
