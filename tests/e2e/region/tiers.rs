//! A disk beside what the region shares: what the disk has of old hides nothing, and takes
//! nothing away from others.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::mpsc;
use verge_tests::origin::{respond, respond_in_steps};
use verge_tests::redis::Redis;
use verge_tests::{Origin, TestNode, eventually, node};

use super::kit::{Versions, get, patient_node, purge, ready};
use super::responses::saved;

/// A node of the region with a disk.
async fn node_with_disk(origin: &Origin, redis: &Redis, path: &Path) -> TestNode {
    let path = path.display();
    let toml = format!(
        "[cache.disk]\npath = \"{path}\"\nsize = \"64MiB\"\n\
         [redis]\nurl = \"{}\"\ntimeout = \"5s\"\n{}",
        redis.url(),
        node::route_to(origin)
    );
    let node = TestNode::start(&toml).await;
    ready(&node).await;
    let disk = node.state().disk.as_ref().map(Arc::clone);
    let disk = disk.expect("a disk");
    eventually("the disk is read", async || disk.stats().is_ready).await;
    node
}

async fn written(node: &TestNode) {
    eventually("it is on disk", async || {
        let disk = node.state().disk.as_ref();
        disk.is_some_and(|disk| disk.stats().records == 1)
    })
    .await;
}

#[tokio::test]
async fn stale_response_on_disk_hides_no_fresh_one_of_the_region_rfc_9111_4() {
    let (redis, folder) = (Redis::start().await, TempDir::new().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |_| {
        let version = count.fetch_add(1, Ordering::SeqCst) + 1;
        let old = [
            ("cache-control", "max-age=60"),
            ("etag", "\"old\""),
            ("date", "Mon, 01 Jan 2024 00:00:00 GMT"),
        ];
        let new = [("cache-control", "max-age=600"), ("etag", "\"new\"")];
        async move {
            let fields = if version == 1 { &old[..] } else { &new[..] };
            respond(200, fields, format!("v{version}"))
        }
    })
    .await;
    let here = node_with_disk(&origin, &redis, folder.path()).await;
    assert_eq!(get(&here, "/a").await.text(), "v1");
    written(&here).await;
    here.stop().await;
    let toml = format!(
        "[redis]\nurl = \"{}\"\ntimeout = \"5s\"\n{}",
        redis.url(),
        node::route_to(&origin)
    );
    let there = TestNode::start(&toml).await;
    ready(&there).await;
    assert_eq!(get(&there, "/a").await.text(), "v2");
    saved(&there, 1).await;
    let here = node_with_disk(&origin, &redis, folder.path()).await;
    let reply = get(&here, "/a").await;
    assert_eq!(reply.text(), "v2", "{}", reply.cache_status());
    assert!(
        reply.cache_status().contains("detail=l2"),
        "{}",
        reply.cache_status()
    );
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn purged_response_on_disk_takes_no_later_one_of_the_region_away() {
    let (redis, folder) = (Redis::start().await, TempDir::new().unwrap());
    let versions = Versions::start().await;
    let here = node_with_disk(&versions.origin, &redis, folder.path()).await;
    let there = patient_node(&versions, &redis.url()).await;
    assert_eq!(get(&here, "/a").await.text(), "/a v1");
    written(&here).await;
    saved(&here, 1).await;
    versions.advance();
    let applied = here.metric("verge_purge_stream_applied_total").await;
    purge(&there, "/a");
    here.settles("verge_purge_stream_applied_total", applied + 1.0)
        .await;
    assert_eq!(get(&there, "/a").await.text(), "/a v2");
    saved(&there, 1).await;
    let reply = get(&here, "/a").await;
    assert_eq!(reply.text(), "/a v2");
    assert!(
        reply.cache_status().contains("detail=l2"),
        "{}",
        reply.cache_status()
    );
    let late = patient_node(&versions, &redis.url()).await;
    assert_eq!(get(&late, "/a").await.text(), "/a v2");
    assert_eq!(versions.origin.count(), 2);
}

#[tokio::test]
async fn fetch_that_turns_out_too_large_holds_up_no_other_node() {
    let redis = Redis::start().await;
    let (told, mut asked) = mpsc::unbounded_channel();
    let origin = Origin::start(move |_| {
        let (steps, response) = respond_in_steps(200, &[("cache-control", "max-age=60")]);
        told.send(steps).unwrap();
        async move { response }
    })
    .await;
    let toml = format!(
        "[cache]\nmax_object = \"256KiB\"\n\
         [redis]\nurl = \"{}\"\ntimeout = \"5s\"\nlease_wait = \"1m\"\n{}",
        redis.url(),
        node::route_to(&origin)
    );
    let (here, there) = (TestNode::start(&toml).await, TestNode::start(&toml).await);
    ready(&here).await;
    ready(&there).await;
    let asking = async {
        let (first, second) = tokio::join!(get(&here, "/a"), async {
            eventually("it is too large", async || {
                here.state().cache.stats().fills_given_up == 1
            })
            .await;
            get(&there, "/a").await
        });
        assert_eq!((first.body.len(), second.body.len()), (512 * 1024, 1));
    };
    let answering = async {
        let first = asked.recv().await.unwrap();
        for _ in 0..8 {
            let piece = Bytes::from(vec![b'x'; 64 * 1024]);
            first.send(Some(piece)).unwrap();
        }
        // The first is still under way.
        let second = tokio::time::timeout(verge_tests::PATIENCE, asked.recv()).await;
        let second = second.expect("the origin is asked").unwrap();
        second.send(Some(Bytes::from_static(b"x"))).unwrap();
        second.send(None).unwrap();
        first.send(None).unwrap();
    };
    tokio::join!(asking, answering);
}
