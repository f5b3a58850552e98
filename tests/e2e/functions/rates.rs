//! `rate-limit`: counters of a node by its clock, and those of a region with their stated bound.

use std::time::{Duration, Instant, SystemTime};

use verge_base::Clock;
use verge_tests::guests::{function, runtime};
use verge_tests::node::Setup;
use verge_tests::redis::Redis;
use verge_tests::{TestNode, eventually};

fn config(redis: &str, scope: &str) -> String {
    let guest = function(
        "rates",
        "rate-calls",
        &format!("grants = {{ rate_limit = {scope} }}"),
    );
    format!(
        "{}{redis}{guest}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         viewer_request = [\"rates\"]\nstatic = {{ body = \"\" }}\n",
        runtime()
    )
}

/// A node that shares its counters with others.
async fn region_node(redis: &Redis, keys: &str) -> TestNode {
    let redis = format!("[redis]\nurl = \"{}\"\n{keys}\n", redis.url());
    let node = TestNode::start(&config(&redis, "\"region\"")).await;
    regional(&node).await;
    node
}

/// Waits until the region is asked.
async fn regional(node: &TestNode) {
    eventually("the region answers", async || {
        let before = answers(node, "region").await;
        call(node, "/count/warm-up?by=0").await;
        answers(node, "region").await > before
    })
    .await;
}

async fn call(node: &TestNode, path: &str) -> String {
    node.get(path).await.text()
}

async fn answers(node: &TestNode, by: &str) -> f64 {
    node.metric(&format!(
        "verge_rate_answers_total{{function=\"rates\",by=\"{by}\"}}"
    ))
    .await
}

/// How many of `tries` requests to each node may pass a limit of ten for an hour.
async fn allowed(nodes: &[&TestNode], key: &str, tries: usize) -> usize {
    let mut allowed = 0;
    for _ in 0..tries {
        for node in nodes {
            let answer = call(node, &format!("/check/{key}?limit=10&window=3600000")).await;
            allowed += usize::from(answer.starts_with("allowed"));
        }
    }
    allowed
}

const PATIENT: &str = "timeout = \"5s\"";

#[tokio::test]
async fn a_nodes_counters_go_by_its_clock() {
    let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let node = Setup::new().at(clock).start(&config("", "true")).await;
    assert_eq!(call(&node, "/count/k?by=8&window=10000").await, "8");
    assert_eq!(call(&node, "/penalize/k?for=15000").await, "in");
    assert_eq!(
        call(&node, "/check/k?limit=1&window=10000").await,
        "allowed remaining=0 retry=0"
    );
    assert_eq!(
        call(&node, "/check/k?limit=1&window=10000").await,
        "refused remaining=0 retry=10000"
    );
    handle.advance(Duration::from_secs(15));
    // Half a window, or more if the first began late, has left.
    let left: u64 = call(&node, "/count/k?by=0&window=10000")
        .await
        .parse()
        .unwrap();
    assert!(left <= 8, "{left}");
    assert_eq!(call(&node, "/penalty/k").await, "out");
    assert!(
        call(&node, "/check/k?limit=1&window=10000")
            .await
            .starts_with("allowed")
    );
    handle.advance(Duration::from_secs(20));
    assert_eq!(call(&node, "/count/k?by=0&window=10000").await, "0");
    assert!(answers(&node, "node").await >= 8.0);
    assert_eq!(answers(&node, "region").await, 0.0);
}

#[tokio::test]
async fn a_regions_counters_are_exact_over_its_nodes() {
    let redis = Redis::start().await;
    let (here, there) = (
        region_node(&redis, PATIENT).await,
        region_node(&redis, PATIENT).await,
    );
    assert_eq!(allowed(&[&here, &there], "secret-k", 12).await, 10);
    // What one node counts, the other one knows.
    assert_eq!(call(&here, "/count/secret-c?by=3").await, "3");
    assert_eq!(call(&there, "/count/secret-c?by=4").await, "7");
    assert_eq!(call(&here, "/count/secret-c?by=0").await, "7");
    assert_eq!(call(&there, "/penalty/secret-p").await, "out");
    assert_eq!(call(&here, "/penalize/secret-p?for=3600000").await, "in");
    assert!(
        call(&there, "/penalty/secret-p")
            .await
            .starts_with("in for 3")
    );
    // Keys may be secrets: none of them is in Redis.
    let keys = redis.ask(&["KEYS", "verge:rate:*"]);
    assert_eq!(keys.lines().count(), 1, "{keys}");
    let all = redis.ask(&["KEYS", "*"]);
    assert!(all.lines().count() >= 3 && !all.contains("secret"), "{all}");
}

#[tokio::test]
async fn a_regions_counter_says_when_to_return() {
    let redis = Redis::start().await;
    let node = region_node(&redis, PATIENT).await;
    for remaining in [2, 1, 0] {
        let answer = call(&node, "/check/k?limit=3&window=3600000").await;
        assert_eq!(answer, format!("allowed remaining={remaining} retry=0"));
    }
    let answer = call(&node, "/check/k?limit=3&window=3600000").await;
    let retry = answer.strip_prefix("refused remaining=0 retry=").unwrap();
    let retry: u64 = retry.parse().unwrap();
    assert!((1_100_000..=1_200_000).contains(&retry), "{retry}");
    let never = call(&node, "/check/other?limit=3&window=3600000&by=4").await;
    assert_eq!(never, "refused remaining=3 retry=4294967295");
    assert_eq!(
        call(&node, "/check/other?limit=3&window=3600000&by=3").await,
        "allowed remaining=0 retry=0"
    );
}

/// The stated bound: without Redis, N nodes let through at most N times the limit, whatever came
/// before.
#[tokio::test]
async fn without_redis_each_node_stays_within_the_limit() {
    let redis = Redis::start().await;
    let (here, there) = (
        region_node(&redis, PATIENT).await,
        region_node(&redis, PATIENT).await,
    );
    let before = allowed(&[&here, &there], "k", 2).await;
    assert_eq!(before, 4);
    redis.kill();
    let meanwhile = allowed(&[&here, &there], "k", 15).await;
    let total = before + meanwhile;
    assert!((10..=20).contains(&total), "{total} of ten, by two nodes");
    assert_eq!(meanwhile, 16, "each node knows what it let through before");
    assert!(answers(&here, "fallback").await > 0.0);
    // A penalty holds where it was given.
    assert_eq!(call(&here, "/penalize/p?for=3600000").await, "in");
    assert!(call(&here, "/penalty/p").await.starts_with("in for"));
    assert_eq!(call(&there, "/penalty/p").await, "out");
    assert_eq!(call(&here, "/count/c?by=2").await, "2");
    // A Redis that knows nothing any more does not make it worse.
    redis.restart().await;
    regional(&here).await;
    regional(&there).await;
    assert_eq!(allowed(&[&here, &there], "k", 5).await, 0);
}

/// What nobody waited for has perhaps been let through, so it counts.
#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_counted_once() {
    let redis = Redis::start().await;
    let patient = format!("[redis]\nurl = \"{}\"\n{PATIENT}\n", redis.url());
    let toml = config(&patient, "\"region\"").replace("deadline = \"15s\"", "deadline = \"500ms\"");
    let node = TestNode::start(&toml).await;
    regional(&node).await;
    let path = "/check/k?limit=3&window=3600000";
    redis.pause();
    // Its deadline ends the function while it waits.
    assert_eq!(node.get(path).await.status, 500);
    redis.resume();
    regional(&node).await;
    // Redis may have counted it as well: the first of three.
    assert_eq!(call(&node, path).await, "allowed remaining=1 retry=0");
    redis.kill();
    assert_eq!(call(&node, path).await, "allowed remaining=0 retry=0");
    assert!(call(&node, path).await.starts_with("refused"));
}

#[tokio::test]
async fn a_redis_that_hangs_delays_a_decision_by_no_more_than_its_timeout() {
    let redis = Redis::start().await;
    let keys = "timeout = \"300ms\"\nbreaker_failures = 3\nbreaker_open = \"60s\"";
    let node = region_node(&redis, keys).await;
    redis.pause();
    let begun = Instant::now();
    assert_eq!(allowed(&[&node], "k", 25).await, 10);
    let took = begun.elapsed();
    redis.resume();
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(answers(&node, "fallback").await > 0.0);
    let failed = "verge_redis_commands_total{use=\"rate\",outcome=\"timeout\"}";
    assert!(node.metric(failed).await >= 1.0);
    let refused = "verge_redis_commands_total{use=\"rate\",outcome=\"breaker-open\"}";
    assert!(node.metric(refused).await >= 1.0);
}
