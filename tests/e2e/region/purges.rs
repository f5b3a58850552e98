//! Purges from node to node: what was purged on one is never served by another
//! once it has heard, whatever was between them.

use verge_tests::redis::{Passing, Proxy, Redis};

use super::kit::{Versions, comes_to, get, patient_node, purge, ready};

#[tokio::test]
async fn purge_on_one_node_is_a_purge_on_all() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &redis.url()).await;
    let third = patient_node(&versions, &redis.url()).await;
    for node in [&here, &there, &third] {
        assert_eq!(get(node, "/a").await.text(), "/a v1");
        assert_eq!(get(node, "/b").await.text(), "/b v1");
    }
    versions.advance();
    purge(&here, "/a");
    for node in [&here, &there, &third] {
        comes_to(node, "/a", "/a v2").await;
        assert_eq!(get(node, "/b").await.text(), "/b v1");
    }
    assert!(there.metric("verge_purge_stream_applied_total").await >= 1.0);
    assert!(there.metric("verge_cache_purge_lag_seconds_count").await >= 1.0);
}

#[tokio::test]
async fn unsafe_request_on_one_node_invalidates_on_all() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &redis.url()).await;
    for node in [&here, &there] {
        assert_eq!(get(node, "/a").await.text(), "/a v1");
    }
    versions.advance();
    let mut client = here.client().await;
    client.set_authority("shop.example");
    client.send("DELETE", "/a", &[], "").await;
    comes_to(&there, "/a", "/a v2").await;
}

#[tokio::test]
async fn purge_during_a_partition_is_never_undone_by_its_end() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let proxy = Proxy::start(redis.address()).await;
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &proxy.url()).await;
    let mut version = 1;
    for passing in [Passing::Cut, Passing::Stalled, Passing::Garbled] {
        let old = format!("/a v{version}");
        for node in [&here, &there] {
            comes_to(node, "/a", &old).await;
        }
        proxy.set(passing);
        versions.advance();
        version += 1;
        let new = format!("/a v{version}");
        purge(&here, "/a");
        comes_to(&here, "/a", &new).await;
        // Cut off, it cannot know; it serves on.
        assert_eq!(get(&there, "/a").await.text(), old);
        proxy.set(Passing::All);
        comes_to(&there, "/a", &new).await;
        ready(&there).await;
        comes_to(&there, "/a", &new).await;
        comes_to(&here, "/a", &new).await;
    }
}

#[tokio::test]
async fn purge_on_the_side_that_is_cut_off_holds_there_and_crosses_later() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let proxy = Proxy::start(redis.address()).await;
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &proxy.url()).await;
    for node in [&here, &there] {
        assert_eq!(get(node, "/a").await.text(), "/a v1");
    }
    proxy.set(Passing::Cut);
    versions.advance();
    purge(&there, "/a");
    comes_to(&there, "/a", "/a v2").await;
    assert_eq!(get(&here, "/a").await.text(), "/a v1");
    proxy.set(Passing::All);
    comes_to(&here, "/a", "/a v2").await;
    comes_to(&there, "/a", "/a v2").await;
}

#[tokio::test]
async fn redis_that_comes_back_empty_makes_everything_stale() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let here = patient_node(&versions, &redis.url()).await;
    let there = patient_node(&versions, &redis.url()).await;
    for node in [&here, &there] {
        assert_eq!(get(node, "/a").await.text(), "/a v1");
    }
    redis.restart().await;
    versions.advance();
    for node in [&here, &there] {
        comes_to(node, "/a", "/a v2").await;
    }
    versions.advance();
    purge(&there, "/a");
    comes_to(&here, "/a", "/a v3").await;
}
