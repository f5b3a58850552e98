//! What an explanation says that would happen is what happens, on a node that has nothing but
//! what another one of its region stored.

use verge_cache::{Hardness, PurgeScope, PurgeTarget, Target};
use verge_http::Scheme;
use verge_tests::foretold::{HOST, all_states, assert_foretold, origin, pairs, state};
use verge_tests::redis::Redis;
use verge_tests::{Origin, TestNode, eventually, node};

use super::kit::ready;

/// Requests between waits for Redis: less than its queue takes.
const AT_ONCE: usize = 50;

async fn shared_node(origin: &Origin, redis: &Redis) -> TestNode {
    let toml = format!(
        "[redis]\nurl = \"{}\"\ntimeout = \"2s\"\n{}[site.route.policy]\n\
         bypass = [{{ field = \"x-preview\" }}, {{ cookie = \"session\" }}]\n",
        redis.url(),
        node::route_to(origin)
    );
    let node = TestNode::start(&toml).await;
    ready(&node).await;
    node
}

/// Asks `node` for all `paths`, and waits until Redis has what it takes of them.
async fn store(node: &TestNode, paths: &[&str], fields: &[(&str, &str)]) {
    let mut client = node.client().await;
    client.set_authority(HOST);
    for paths in paths.chunks(AT_ONCE) {
        for path in paths {
            client.get_with(path, fields).await;
        }
        eventually("fills have ended", async || {
            node.state().cache.stats().fills_in_progress == 0
        })
        .await;
        eventually("all is saved", async || {
            let sample = node.state().shared.as_ref().unwrap().sample();
            sample.l2.waiting == 0
        })
        .await;
    }
}

/// Purges on `here`, and waits until the node `there` has heard of it.
async fn purge(here: &TestNode, there: &TestNode, paths: &[&str]) {
    let before = there.state().cache.stats().purges;
    let mut count = 0;
    for path in paths {
        let hardness = match state(path) {
            "soft" | "soft-window" => Hardness::Soft,
            "hard" => Hardness::Hard,
            _ => continue,
        };
        let target = PurgeTarget::new(Target {
            scheme: Scheme::Http,
            authority: HOST,
            path,
            query: None,
        });
        let scope = PurgeScope::Uri(target.unwrap());
        here.state().cache.purge(scope, hardness);
        count += 1;
    }
    eventually("the other node has purged", async || {
        there.state().cache.stats().purges >= before + count
    })
    .await;
}

#[tokio::test]
async fn what_is_told_of_a_region_is_what_happens() {
    let (redis, origin) = (Redis::start().await, origin().await);
    let here = shared_node(&origin, &redis).await;
    let there = shared_node(&origin, &redis).await;
    let pairs = pairs(&all_states());
    let is_stored = |path: &&str| !matches!(state(path), "none" | "pieces" | "stale-pieces");
    let paths: Vec<&str> = pairs.iter().map(|(path, _)| path.as_str()).collect();
    let (superseded, others): (Vec<&str>, Vec<&str>) = paths
        .into_iter()
        .filter(is_stored)
        .partition(|path| state(path) == "superseded");
    store(&here, &others, &[]).await;
    // Memory has it and may not reuse it; Redis has it fresh, of the same Date.
    store(&there, &superseded, &[]).await;
    store(&here, &superseded, &[("cache-control", "no-cache")]).await;
    purge(&here, &there, &others).await;
    assert_foretold(&there, &origin, &pairs).await;
}
