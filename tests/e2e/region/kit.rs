//! What the tests of a region share: an origin whose answers change when the
//! test says so, and nodes on one Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use verge_cache::{Hardness, PurgeScope, PurgeTarget, Target};
use verge_http::Scheme;
use verge_tests::origin::respond;
use verge_tests::{Origin, Reply, TestNode, eventually, node};

/// An origin that tells its version and what it was asked for.
pub(super) struct Versions {
    pub(super) origin: Origin,
    version: Arc<AtomicUsize>,
}

impl Versions {
    pub(super) async fn start() -> Self {
        Self::with(&[("cache-control", "max-age=600")]).await
    }

    pub(super) async fn with(fields: &'static [(&'static str, &'static str)]) -> Self {
        let version = Arc::new(AtomicUsize::new(1));
        let told = Arc::clone(&version);
        let origin = Origin::start(move |request| {
            let body = format!("{} v{}", request.target, told.load(Ordering::SeqCst));
            async move { respond(200, fields, body) }
        })
        .await;
        Self { origin, version }
    }

    /// The version that the origin answers with.
    pub(super) fn number(&self) -> usize {
        self.version.load(Ordering::SeqCst)
    }

    /// From now on the origin answers with another version.
    pub(super) fn advance(&self) {
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

/// A node that goes by the Redis at `url`, patient enough for a busy machine.
pub(super) async fn patient_node(versions: &Versions, url: &str) -> TestNode {
    region_node(versions, &format!("url = \"{url}\"\ntimeout = \"2s\"")).await
}

/// A node with these keys in `[redis]`.
pub(super) async fn region_node(versions: &Versions, redis: &str) -> TestNode {
    let toml = format!("[redis]\n{redis}\n{}", node::route_to(&versions.origin));
    let node = TestNode::start(&toml).await;
    ready(&node).await;
    node
}

/// Waits until the node has read the stream and every use has its connection.
pub(super) async fn ready(node: &TestNode) {
    eventually("the node shares", async || {
        let sample = node.state().shared.as_ref().unwrap().sample();
        sample.stream.is_trusted && sample.links.iter().all(|link| link.is_connected)
    })
    .await;
}

/// A GET of `path` on the one host of these tests.
pub(super) async fn get(node: &TestNode, path: &str) -> Reply {
    let mut client = node.client().await;
    client.set_authority("shop.example");
    client.get(path).await
}

/// Purges one URI on this node, as its admin API does.
pub(super) fn purge(node: &TestNode, path: &str) {
    let target = PurgeTarget::new(Target {
        scheme: Scheme::Http,
        authority: "shop.example",
        path,
        query: None,
    });
    let scope = PurgeScope::Uri(target.unwrap());
    node.state().cache.purge(scope, Hardness::Hard);
}

/// Waits until the node answers so, and then asks some more: it stays so.
pub(super) async fn comes_to(node: &TestNode, path: &str, body: &str) {
    eventually(&format!("{path} is {body:?}"), async || {
        get(node, path).await.text() == body
    })
    .await;
    for _ in 0..10 {
        assert_eq!(get(node, path).await.text(), body);
    }
}
