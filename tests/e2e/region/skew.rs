//! Nodes whose clocks are wrong by hours: purges, lifetimes and what is shared go by Redis's
//! clock and by the order of purges.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use verge_base::Clock;
use verge_cache::{Hardness, PurgeScope};
use verge_tests::node::Setup;
use verge_tests::redis::Redis;
use verge_tests::{TestNode, eventually, node};

use super::kit::{Versions, comes_to, get, patient_node, purge, ready};

const HOUR: Duration = Duration::from_secs(3_600);

/// A node whose clock stands still at `wall`.
async fn node_at(versions: &Versions, redis: &Redis, wall: SystemTime) -> TestNode {
    let redis = format!("[redis]\nurl = \"{}\"\ntimeout = \"2s\"\n", redis.url());
    let toml = format!("{redis}{}", node::route_to(&versions.origin));
    let (clock, _) = Clock::manual(wall);
    let node = Setup::new().at(clock).start(&toml).await;
    ready(&node).await;
    node
}

async fn explain(node: &TestNode, path: &str) -> Value {
    let path = format!("/cache/explain?url=http%3A%2F%2Fshop.example{path}");
    let reply = node.ask_admin("GET", &path).await;
    serde_json::from_str(&reply.text()).unwrap()
}

/// Fresh for a day, also where the origin's Date is of an hour ago or ahead.
const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=86400, stale-while-revalidate=60")];

#[tokio::test]
async fn purges_hold_and_cost_no_more_than_they_must_whatever_the_clocks_say() {
    let (redis, versions) = (Redis::start().await, Versions::with(FRESH).await);
    let now = Clock::system().wall();
    let ahead = node_at(&versions, &redis, now + HOUR).await;
    let behind = node_at(&versions, &redis, now - HOUR).await;
    for (purging, other) in [(&ahead, &behind), (&behind, &ahead)] {
        for node in [&ahead, &behind] {
            get(node, "/a").await;
        }
        versions.advance();
        let version = format!("/a v{}", versions.number());
        purge(purging, "/a");
        comes_to(purging, "/a", &version).await;
        comes_to(other, "/a", &version).await;
        eventually("the new response is saved", async || {
            let told = explain(other, "/a").await;
            told["stored"].as_array().is_some_and(|stored| {
                stored
                    .iter()
                    .any(|stored| stored["tier"] == "l2" && stored["purged"] == "none")
            })
        })
        .await;
        // A node that comes later finds the new response in Redis: it was asked for after the
        // purge, although the clock of who purged, or its own, may say otherwise.
        let asked = versions.origin.count();
        let third = patient_node(&versions, &redis.url()).await;
        assert_eq!(get(&third, "/a").await.text(), version);
        assert_eq!(versions.origin.count(), asked, "it was in Redis");
    }
    for node in [&ahead, &behind] {
        let lag = "verge_cache_purge_lag_seconds";
        assert!(node.metric(&format!("{lag}_count")).await >= 1.0);
        let sum = node.metric(&format!("{lag}_sum")).await;
        assert!(sum < 60.0, "{sum} seconds, by Redis's clock");
    }
}

#[tokio::test]
async fn a_soft_purge_begins_when_it_was_asked_for_whatever_the_clocks_say() {
    let (redis, versions) = (Redis::start().await, Versions::with(FRESH).await);
    let now = Clock::system().wall();
    let ahead = node_at(&versions, &redis, now + HOUR).await;
    let behind = node_at(&versions, &redis, now - HOUR).await;
    get(&ahead, "/a").await;
    eventually("it is stored", async || {
        get(&ahead, "/a").await.cache_status().contains("; hit")
    })
    .await;
    behind
        .state()
        .cache
        .purge(PurgeScope::Everything, Hardness::Soft);
    let mut told = Value::Null;
    eventually("the purge has come", async || {
        told = explain(&ahead, "/a").await;
        told["stored"][0]["purged"] == "soft"
    })
    .await;
    assert_eq!(told["next"]["reason"], "stale-while-revalidate", "{told:#}");
    assert_eq!(told["purges"][0]["scope"], "all");
    assert!(
        told["purges"][0]["seconds_ago"].as_u64().unwrap() < 60,
        "{told:#}"
    );
}
