//! Requests that go on while Redis is stopped, cut off, garbled, killed, full
//! and emptied: none of them fails, and none gets a wrong answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use verge_tests::redis::{Passing, Proxy, Redis};
use verge_tests::{Client, TestNode, eventually};

use super::kit::{Versions, ready, region_node};

/// Clients that ask without a pause, each for keys of its own and of all.
struct Load {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    async fn start(nodes: &[&TestNode]) -> Self {
        let (is_over, answered) = (Arc::default(), Arc::default());
        let mut clients = Vec::new();
        for (index, node) in nodes.iter().cycle().take(4).enumerate() {
            let mut client = Client::http1(node.http()).await;
            client.set_authority("shop.example");
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            clients.push(tokio::spawn(ask(client, index, is_over, answered)));
        }
        Self {
            is_over,
            answered,
            clients,
        }
    }

    /// Waits until so many more requests have been answered.
    async fn goes_on(&self, requests: usize) {
        let goal = self.answered.load(Ordering::SeqCst) + requests;
        eventually("requests are answered", async || {
            self.answered.load(Ordering::SeqCst) >= goal
                || self
                    .clients
                    .iter()
                    .any(tokio::task::JoinHandle::is_finished)
        })
        .await;
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

async fn ask(
    mut client: Client,
    index: usize,
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) {
    let mut turn = 0;
    while !is_over.load(Ordering::SeqCst) {
        turn += 1;
        // Most are misses: those are what Redis is asked about.
        let path = match turn % 3 {
            0 => format!("/all/{}", turn / 30),
            _ => format!("/of-{index}/{turn}"),
        };
        let reply = client.get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.text(), format!("{path} v1"));
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn no_request_fails_whatever_becomes_of_redis() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let proxy = Proxy::start(redis.address()).await;
    let keys = format!("url = \"{}\"\nbreaker_open = \"50ms\"", proxy.url());
    let here = region_node(&versions, &keys).await;
    let there = region_node(&versions, &keys).await;
    let load = Load::start(&[&here, &there]).await;
    load.goes_on(50).await;
    for passing in [Passing::Cut, Passing::Stalled, Passing::Garbled] {
        proxy.set(passing);
        load.goes_on(50).await;
        proxy.set(Passing::All);
        load.goes_on(50).await;
    }
    redis.pause();
    load.goes_on(50).await;
    redis.resume();
    load.goes_on(50).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    load.goes_on(50).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.ask(&["FLUSHALL"]);
    load.goes_on(50).await;
    redis.kill();
    load.goes_on(50).await;
    redis.restart().await;
    load.goes_on(50).await;
    load.end().await;
    ready(&here).await;
    ready(&there).await;
    // Admin and health never needed it.
    redis.kill();
    assert_eq!(here.ask_admin("GET", "/healthz").await.status, 200);
    assert!(here.metrics().await.contains("verge_redis_breaker"));
}
