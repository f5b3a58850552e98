//! What an operator reads of the cache from a running node, and the limits of purges.

use serde_json::json;
use verge_tests::{TestNode, node};

use super::kit::{HOST, get, post, shop, store};

#[tokio::test]
async fn the_batch_of_a_purge_has_a_limit_that_is_told_and_counted() {
    let (origin, _) = shop().await;
    let toml = format!("[limits]\npurge_batch = 2\n{}", node::route_to(&origin));
    let node = TestNode::start(&toml).await;
    let keys = |count: usize| {
        let items: Vec<_> = (0..count)
            .map(|n| json!({"key": format!("k{n}")}))
            .collect();
        json!({"purge": items})
    };
    assert_eq!(post(&node, "/purge", &keys(2)).await.0, 200);
    let (status, told) = post(&node, "/purge", &keys(3)).await;
    assert_eq!((status, &told["most"]), (400, &json!(2)), "{told}");
    assert_eq!(told["expected"], "at most 2 (`limits.purge_batch`)");
    node.settles("verge_limit_hits_total{limit=\"purge-batch\"}", 1.0)
        .await;
    node.settles("verge_cache_purges_total{scope=\"key\"}", 2.0)
        .await;
}

#[tokio::test]
async fn purges_that_are_remembered_have_a_level_and_a_limit() {
    let (_origin, node) = shop().await;
    for key in ["a", "b"] {
        post(&node, "/purge", &json!({"purge": [{"key": key}]})).await;
    }
    for (name, expected) in [("in_use", 2.0), ("places", 65_536.0), ("hits_total", 0.0)] {
        let series = format!("verge_limit_{name}{{limit=\"purge-records\"}}");
        node.settles(&series, expected).await;
    }
}

#[tokio::test]
async fn what_is_told_of_the_cache_follows_the_conventions() {
    let (_origin, node) = shop().await;
    get(&node, HOST, "/red/a").await;
    store(&node, HOST, "/red/a").await;
    node.settles("verge_cache_fills_total", 1.0).await;
    let text = node.metrics().await;
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let mut families = 0;
    for (name, kind) in kinds.filter_map(|line| line.split_once(' ')) {
        families += 1;
        for unit in ["milliseconds", "_ms", "_us", "micros", "kib", "_count"] {
            assert!(!name.ends_with(unit), "{name}: seconds and bytes only");
        }
        let series = text.lines().filter(|line| line.starts_with(name));
        if kind == "counter" {
            // OpenMetrics writes the suffix with each sample.
            assert!(!name.ends_with("_total"), "{name}");
            let totals = format!("{name}_total");
            assert!(
                series
                    .clone()
                    .all(|line| line.starts_with(&totals)
                        || !line[name.len()..].starts_with(['{', ' '])),
                "{name}"
            );
        }
        if kind == "histogram" {
            // What functions observe is of a unit of their own.
            let is_theirs = name == "verge_function_histogram";
            assert!(is_theirs || name.ends_with("_seconds"), "{name}");
        }
        assert!(
            text.contains(&format!("# HELP {name} ")),
            "{name} has no help"
        );
    }
    assert!(families > 50, "{families}");
}
