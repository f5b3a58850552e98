//! `kv` in a region's Redis: shared by nodes, and told as it is when Redis is gone.

use std::time::{Duration, Instant};

use verge_tests::client::Client;
use verge_tests::redis::{Redis, RedisCluster};
use verge_tests::{TestNode, eventually};

use super::kv::{CONVERSATION, call, sites, without_versions};

/// A node whose stores are in Redis.
async fn node(redis: &str) -> TestNode {
    let store = |name| format!("[kv.{name}]\nbackend = \"redis\"\n");
    let stores = format!("[redis]\n{redis}\n{}{}", store("shared"), store("own"));
    let node = TestNode::start(&sites(&stores, "kv-calls")).await;
    usable(&node).await;
    node
}

async fn usable(node: &TestNode) {
    eventually("the store can be used", async || {
        call(node, "a", "/shared/exists/x").await == "false"
    })
    .await;
}

fn patient(redis: &Redis) -> String {
    format!("url = \"{}\"\ntimeout = \"5s\"", redis.url())
}

#[tokio::test]
async fn nodes_share_a_store_with_all_its_operations() {
    let redis = Redis::start().await;
    let (here, there) = (node(&patient(&redis)).await, node(&patient(&redis)).await);
    for (step, (path, expected)) in CONVERSATION.iter().enumerate() {
        let node = if step % 2 == 0 { &here } else { &there };
        let answer = call(node, "a", &format!("/shared/{path}")).await;
        if path.starts_with("set/") && expected.is_empty() {
            assert!(
                answer.parse::<u64>().is_ok(),
                "step {step}: {path}: {answer}"
            );
        } else {
            assert_eq!(without_versions(&answer), *expected, "step {step}: {path}");
        }
    }
    assert_eq!(
        call(&there, "c", "/own/list/").await,
        " end",
        "the other store is apart"
    );
}

#[tokio::test]
async fn two_nodes_at_once_lose_nothing() {
    let redis = Redis::start().await;
    let (here, there) = (node(&patient(&redis)).await, node(&patient(&redis)).await);
    let callers: Vec<_> = [&here, &there, &here, &there]
        .map(|node| {
            let address = node.http();
            tokio::spawn(async move {
                let mut client = Client::http1(address).await;
                client.set_authority("a.example");
                for _ in 0..15 {
                    client.get("/shared/increment/sum").await;
                    client.get("/shared/add/swapped").await;
                }
            })
        })
        .into();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(call(&here, "b", "/shared/increment/sum?by=0").await, "60");
    assert_eq!(
        without_versions(&call(&there, "b", "/shared/get/swapped").await),
        "60"
    );
}

#[tokio::test]
async fn redis_ends_entries_and_nothing_of_them_stays() {
    let redis = Redis::start().await;
    let node = node(&patient(&redis)).await;
    call(&node, "a", "/shared/set/long?value=v&ttl=3600000").await;
    let left = redis.ask(&["PTTL", "verge:kv:{shared}:e:long"]);
    let left: u64 = left.parse().unwrap();
    assert!((3_000_000..=3_600_000).contains(&left), "{left}");
    call(&node, "a", "/shared/set/for-ever?value=v").await;
    assert_eq!(redis.ask(&["PTTL", "verge:kv:{shared}:e:for-ever"]), "-1");
    call(&node, "a", "/shared/set/long?value=v").await;
    assert_eq!(redis.ask(&["PTTL", "verge:kv:{shared}:e:long"]), "-1");
    for number in 0..20 {
        call(&node, "a", &format!("/shared/set/s{number}?value=v&ttl=1")).await;
    }
    eventually("they have ended", async || {
        call(&node, "a", "/shared/list/s").await == " end"
    })
    .await;
    assert_eq!(call(&node, "a", "/shared/list/").await, "for-ever,long end");
    assert_eq!(redis.ask(&["ZCARD", "verge:kv:{shared}:o"]), "2");
    // Without lists, writes forget what has ended.
    for number in 0..20 {
        call(&node, "a", &format!("/shared/set/t{number}?value=v&ttl=1")).await;
    }
    eventually("they are forgotten", async || {
        call(&node, "a", "/shared/set/long?value=v").await;
        redis.ask(&["ZCARD", "verge:kv:{shared}:o"]) == "2"
            && redis.ask(&["ZCARD", "verge:kv:{shared}:t"]) == "0"
    })
    .await;
}

#[tokio::test]
async fn a_dead_redis_is_an_error_at_once_and_comes_back() {
    let redis = Redis::start().await;
    let keys = format!(
        "url = \"{}\"\ntimeout = \"5s\"\nbreaker_open = \"100ms\"",
        redis.url()
    );
    let node = node(&keys).await;
    call(&node, "a", "/shared/set/k?value=v").await;
    redis.kill();
    eventually("it is told", async || {
        call(&node, "a", "/shared/get/k").await == "Unavailable"
    })
    .await;
    for path in [
        "set/k?value=w",
        "increment/n",
        "delete/k",
        "list/",
        "exists/k",
    ] {
        let answer = call(&node, "a", &format!("/shared/{path}")).await;
        assert_eq!(answer, "Unavailable", "{path}");
    }
    let failed = node.metric(
        "verge_kv_operations_total{store=\"shared\",operation=\"get\",outcome=\"unavailable\"}",
    );
    assert!(failed.await > 0.0);
    redis.restart().await;
    eventually("it is used again", async || {
        call(&node, "a", "/shared/get/k").await == "none"
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_hangs_costs_no_more_than_its_timeout() {
    let redis = Redis::start().await;
    let keys = format!(
        "url = \"{}\"\ntimeout = \"300ms\"\nbreaker_failures = 3\nbreaker_open = \"60s\"",
        redis.url()
    );
    let node = node(&keys).await;
    redis.pause();
    let mut answers = Vec::new();
    let begun = Instant::now();
    for _ in 0..20 {
        answers.push(call(&node, "a", "/shared/get/k").await);
    }
    let took = begun.elapsed();
    redis.resume();
    assert!(
        answers.iter().any(|answer| answer == "TimedOut"),
        "{answers:?}"
    );
    // Once the breaker is open, nobody waits.
    assert_eq!(answers.last().unwrap(), "Unavailable", "{answers:?}");
    let waited = answers
        .iter()
        .filter(|answer| *answer == "TimedOut")
        .count();
    assert!(waited <= 8, "{answers:?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn a_redis_without_room_is_full() {
    let redis =
        Redis::start_with(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]).await;
    let node = node(&patient(&redis)).await;
    let mut answer = String::new();
    for number in 0..40 {
        answer = call(&node, "a", &format!("/shared/set/{number}?size=500000")).await;
        if answer.parse::<u64>().is_err() {
            break;
        }
    }
    assert_eq!(answer, "Full");
    assert_eq!(call(&node, "a", "/shared/get/0").await, "500000 bytes");
    assert_eq!(call(&node, "a", "/shared/delete/0").await, "true");
}

#[tokio::test]
async fn a_store_is_whole_in_a_cluster() {
    let cluster = RedisCluster::start().await;
    let nodes = cluster
        .masters
        .iter()
        .map(|master| format!("\"{}\"", master.url()));
    let nodes: Vec<String> = nodes.collect();
    let keys = format!(
        "nodes = [{}]\nmode = \"cluster\"\ntimeout = \"5s\"",
        nodes.join(", ")
    );
    let node = node(&keys).await;
    for (step, (path, expected)) in CONVERSATION.iter().enumerate() {
        let answer = call(&node, "b", &format!("/shared/{path}")).await;
        if !(path.starts_with("set/") && expected.is_empty()) {
            assert_eq!(without_versions(&answer), *expected, "step {step}: {path}");
        }
    }
}
