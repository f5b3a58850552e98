//! Content from Redis that clients do not read, and that memory has no room for.

use verge_tests::redis::Redis;
use verge_tests::streams::StreamClient;
use verge_tests::{Origin, TestNode, eventually, node, origin};

use super::kit::ready;
use super::responses::saved;

/// Nine tenths of what a node may load from Redis at once.
const CONTENT: usize = 900_000;

/// How many lookups ended so.
fn lookups(node: &TestNode, outcome: &str) -> u64 {
    let lookups = node.state().shared.as_ref().unwrap().sample().l2.lookups;
    let counts = lookups.iter().filter(|(label, _)| *label == outcome);
    counts.map(|(_, count)| count).sum()
}

/// A node with these sections, and these keys in `[redis]`.
async fn node_with(origin: &Origin, redis: &Redis, sections: &str, keys: &str) -> TestNode {
    let toml = format!(
        "{sections}\n[redis]\nurl = \"{}\"\ntimeout = \"5s\"\n{keys}\n{}",
        redis.url(),
        node::route_to(origin)
    );
    let node = TestNode::start(&toml).await;
    ready(&node).await;
    node
}

#[tokio::test]
async fn content_that_memory_has_no_room_for_is_bounded_while_clients_hold_it() {
    let redis = Redis::start().await;
    let origin = Origin::start(async |_| {
        let fields = [("cache-control", "max-age=600")];
        origin::respond(200, &fields, vec![b'x'; CONTENT])
    })
    .await;
    let there = node_with(&origin, &redis, "", "").await;
    let cache = "[cache]\nmemory = \"2MiB\"\nmax_object = \"1MiB\"";
    let here = node_with(&origin, &redis, cache, "loads = \"1MiB\"").await;
    let mut client = there.client().await;
    client.set_authority(&here.http().to_string());
    for number in 1..=8 {
        let reply = client.get(&format!("/{number}")).await;
        assert_eq!(reply.body.len(), CONTENT);
        saved(&there, number).await;
    }
    // Two are in memory, held by clients that read nothing; the third only passes through.
    let mut held = Vec::new();
    for number in 1..=3 {
        let mut stream = StreamClient::connect(here.http()).await;
        let mut awaited = stream.get(&format!("/{number}")).await;
        assert!(awaited.early().await.is_none());
        held.push((stream, awaited));
        eventually("it is on its way", async || {
            lookups(&here, "hit") == number && here.state().cache.stats().fills_in_progress <= 1
        })
        .await;
    }
    eventually("there is no room for it", async || {
        here.state().cache.stats().fills_given_up == 1
    })
    .await;
    let mut client = here.client().await;
    assert_eq!(client.get("/4").await.body.len(), CONTENT);
    assert_eq!((lookups(&here, "busy"), origin.count()), (1, 9));
    // What nobody holds any more leaves room for others.
    drop(held);
    let mut others = 5..=8;
    eventually("one comes from Redis", async || {
        let number = others.next().unwrap();
        let reply = client.get(&format!("/{number}")).await;
        assert_eq!(reply.body.len(), CONTENT);
        reply.cache_status().contains("detail=l2")
    })
    .await;
}
