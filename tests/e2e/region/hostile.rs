//! A Redis that is no Redis, keys that are not ours, and nodes that go away while
//! they hold what others wait for: every request is answered, rightly and in time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use verge_tests::origin::respond;
use verge_tests::redis::{Passing, Proxy, Redis};
use verge_tests::{Origin, TestNode, eventually, node};

use super::kit::{Versions, get, ready};

/// How long an answer may take on a busy machine, where Redis costs at most fractions of it.
const IN_TIME: Duration = Duration::from_secs(20);

/// What a server says that is none.
#[derive(Clone, Copy, Debug)]
enum Babble {
    /// Bytes of any value, without an end.
    Noise,
    /// A reply of Redis that says that it is very long.
    Huge,
    /// Arrays in arrays in arrays.
    Nested,
    /// A reply for nothing that was asked, again and again.
    Unasked,
    /// Nothing at all.
    Silence,
    /// It closes each connection at once.
    Closing,
}

/// A server that says so to everybody.
async fn babbler(babble: Babble) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let piece: Vec<u8> = match babble {
                Babble::Noise => (0..4096_u32).map(|n| (n * n / 7 % 256) as u8).collect(),
                Babble::Huge => b"$9223372036854775807\r\nabc".to_vec(),
                Babble::Nested => b"*1\r\n".repeat(10_000),
                Babble::Unasked => b"+OK\r\n:7\r\n$-1\r\n".repeat(50),
                Babble::Silence => {
                    silent.push(stream);
                    continue;
                }
                Babble::Closing => continue,
            };
            tokio::spawn(async move {
                // Until the other side has had enough; a bound for one that never has.
                for _ in 0..2000 {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn server_that_is_no_redis_costs_no_request() {
    let versions = Versions::start().await;
    for babble in [
        Babble::Noise,
        Babble::Huge,
        Babble::Nested,
        Babble::Unasked,
        Babble::Silence,
        Babble::Closing,
    ] {
        let address = babbler(babble).await;
        let toml = format!(
            "[redis]\nurl = \"redis://{address}\"\n{}",
            node::route_to(&versions.origin)
        );
        let node = TestNode::start(&toml).await;
        let before = versions.origin.count();
        for number in 0..10 {
            let path = format!("/{number}");
            for _ in 0..2 {
                let reply = tokio::time::timeout(IN_TIME, get(&node, &path)).await;
                let reply = reply.unwrap_or_else(|_| panic!("{babble:?}: late"));
                assert_eq!(reply.status, 200, "{babble:?}");
                assert_eq!(reply.text(), format!("{path} v1"), "{babble:?}");
            }
        }
        // It does without Redis, and with its own memory.
        assert!(versions.origin.count() - before <= 20, "{babble:?}");
        assert_eq!(node.ask_admin("GET", "/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn keys_of_another_type_are_worth_nothing_and_harm_nobody() {
    let (redis, versions) = (Redis::start().await, Versions::start().await);
    let toml = format!(
        "[redis]\nurl = \"{}\"\ntimeout = \"2s\"\n{}",
        redis.url(),
        node::route_to(&versions.origin)
    );
    let here = TestNode::start(&toml).await;
    ready(&here).await;
    get(&here, "/a").await;
    eventually("it is in Redis", async || {
        !redis.ask(&["KEYS", "verge:r:*"]).trim().is_empty()
    })
    .await;
    // Everything that is there becomes something else: stored responses, the stream, its parts.
    for key in redis.ask(&["KEYS", "verge*"]).lines() {
        redis.ask(&["DEL", key]);
        redis.ask(&["RPUSH", key, "of", "another", "type"]);
    }
    let there = TestNode::start(&toml).await;
    for node in [&here, &there] {
        for path in ["/a", "/b"] {
            let reply = tokio::time::timeout(IN_TIME, get(node, path))
                .await
                .unwrap();
            assert_eq!(reply.status, 200);
            assert_eq!(reply.text(), format!("{path} v1"));
        }
    }
}

/// An origin that holds its first request until the gate opens, and answers others at once.
async fn held_origin(gate: &Arc<Semaphore>) -> Origin {
    let gate = Arc::clone(gate);
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    Origin::start(move |_| {
        let gate = Arc::clone(&gate);
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            if number == 0 {
                gate.acquire().await.unwrap().forget();
            }
            respond(200, &[("cache-control", "max-age=600")], "content")
        }
    })
    .await
}

#[tokio::test]
async fn lease_of_a_node_that_is_cut_off_ends_by_itself() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let gate = Arc::new(Semaphore::new(0));
    let origin = held_origin(&gate).await;
    let toml = |url: String| {
        let route = node::route_to(&origin);
        format!(
            "[redis]\nurl = \"{url}\"\ntimeout = \"1s\"\nlease = \"500ms\"\nlease_wait = \"1m\"\n{route}"
        )
    };
    let here = TestNode::start(&toml(proxy.url())).await;
    let there = TestNode::start(&toml(redis.url())).await;
    ready(&here).await;
    ready(&there).await;
    let mut client = here.client().await;
    client.set_authority("shop.example");
    let leading = tokio::spawn(async move { client.get("/a").await });
    eventually("one node leads", async || origin.count() == 1).await;
    // The holder is heard of no more; whoever waits goes on when the lease has ended.
    proxy.set(Passing::Stalled);
    let reply = tokio::time::timeout(IN_TIME, get(&there, "/a"))
        .await
        .unwrap();
    assert_eq!(reply.text(), "content");
    assert_eq!(origin.count(), 2);
    // The one that was cut off answers its own client, too.
    gate.add_permits(1);
    assert_eq!(leading.await.unwrap().text(), "content");
    proxy.set(Passing::All);
}

#[tokio::test]
async fn holder_of_a_lease_that_hangs_is_not_waited_for_longer_than_allowed() {
    let redis = Redis::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let origin = held_origin(&gate).await;
    let toml = format!(
        "[redis]\nurl = \"{}\"\ntimeout = \"1s\"\nlease = \"1m\"\nlease_wait = \"300ms\"\n{}",
        redis.url(),
        node::route_to(&origin)
    );
    let (here, there) = (TestNode::start(&toml).await, TestNode::start(&toml).await);
    ready(&here).await;
    ready(&there).await;
    let mut client = here.client().await;
    client.set_authority("shop.example");
    let leading = tokio::spawn(async move { client.get("/a").await });
    eventually("one node leads", async || origin.count() == 1).await;
    let reply = tokio::time::timeout(IN_TIME, get(&there, "/a"))
        .await
        .unwrap();
    assert_eq!(reply.text(), "content");
    gate.add_permits(1);
    assert_eq!(leading.await.unwrap().text(), "content");
}
