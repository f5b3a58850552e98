//! Nodes on a cluster, and nodes whose Redis fails over.

use verge_tests::eventually;
use verge_tests::redis::{RedisCluster, RedisSentinel};

use super::kit::{Versions, comes_to, get, purge, ready, region_node};

#[tokio::test]
async fn nodes_share_a_cluster() {
    let (cluster, versions) = (RedisCluster::start().await, Versions::start().await);
    let nodes = cluster
        .masters
        .iter()
        .map(|master| format!("\"{}\"", master.url()));
    let nodes: Vec<String> = nodes.collect();
    let keys = format!(
        "nodes = [{}]\nmode = \"cluster\"\ntimeout = \"5s\"",
        nodes.join(", ")
    );
    let here = region_node(&versions, &keys).await;
    let there = region_node(&versions, &keys).await;
    // Keys of all slots, on all masters.
    for number in 0..20 {
        let path = format!("/{number}");
        get(&here, &path).await;
        eventually("another node finds it", async || {
            get(&there, &path).await.cache_status().contains("hit")
        })
        .await;
    }
    versions.advance();
    purge(&here, "/7");
    comes_to(&there, "/7", "/7 v2").await;
    assert_eq!(get(&there, "/8").await.text(), "/8 v1");
}

#[tokio::test]
async fn nodes_go_on_through_a_failover() {
    let (group, versions) = (RedisSentinel::start().await, Versions::start().await);
    let keys = format!(
        "nodes = [\"{}\"]\nmode = \"sentinel\"\nmaster = \"{}\"\ntimeout = \"1s\"\nbreaker_open = \"100ms\"",
        group.sentinel.url(),
        RedisSentinel::MASTER
    );
    let here = region_node(&versions, &keys).await;
    let there = region_node(&versions, &keys).await;
    for node in [&here, &there] {
        assert_eq!(get(node, "/a").await.text(), "/a v1");
    }
    group.master.kill();
    for number in 0..20 {
        let path = format!("/meanwhile/{number}");
        for node in [&here, &there] {
            assert_eq!(get(node, &path).await.text(), format!("{path} v1"));
        }
    }
    versions.advance();
    purge(&here, "/a");
    comes_to(&there, "/a", "/a v2").await;
    ready(&here).await;
    ready(&there).await;
}
