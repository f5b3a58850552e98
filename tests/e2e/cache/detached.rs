//! Fetches whose clients have gone: they go on in a place of their own, or end.

use hyper::body::Incoming;
use verge_tests::{Client, Reply, TestNode, eventually};

use super::kit::{SteppedOrigin, Steps, begin_with, expect, finish, rest, send, settled, stats};

const IN_USE: &str = "verge_limit_in_use{limit=\"detached-fetches\"}";

const RELOAD: &[(&str, &str)] = &[("cache-control", "no-cache")];

/// A node with so many places in front of an origin that answers in steps.
async fn start(places: usize) -> (SteppedOrigin, TestNode) {
    let stepped = SteppedOrigin::start(&[("cache-control", "max-age=60")]).await;
    let limits = format!("[limits]\ndetached_fetches = {places}\n");
    let toml = format!("{limits}{}", verge_tests::node::route_to(&stepped.origin));
    let node = TestNode::start(&toml).await;
    (stepped, node)
}

/// A client that has got the beginning of its response, and what sends the rest.
struct Begun {
    client: Client,
    body: Incoming,
    steps: Steps,
}

impl Begun {
    async fn with(
        stepped: &SteppedOrigin,
        node: &TestNode,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Self {
        let mut client = node.client().await;
        client.set_authority("shop.example");
        let asked = async {
            let steps = stepped.asked().await;
            send(&steps, "one");
            steps
        };
        let answered = begin_with(&mut client, path, fields);
        let (steps, (_, mut body)): (_, (Reply, _)) = tokio::join!(asked, answered);
        expect(&mut body, "one").await;
        Self {
            client,
            body,
            steps,
        }
    }

    /// The client goes away.
    fn leave(self) -> Steps {
        drop((self.client, self.body));
        self.steps
    }
}

async fn get(node: &TestNode, path: &str) -> Reply {
    let mut client = node.client().await;
    client.set_authority("shop.example");
    client.get(path).await
}

async fn ends(steps: &Steps) {
    eventually("the fetch ends", async || steps.is_closed()).await;
}

#[tokio::test]
async fn a_fetch_with_a_place_goes_on_without_its_client() {
    let (stepped, node) = start(1).await;
    let steps = Begun::with(&stepped, &node, "/a", &[]).await.leave();
    send(&steps, "two");
    finish(&steps);
    settled(&node).await;
    assert_eq!(get(&node, "/a").await.text(), "onetwo");
    assert_eq!(stepped.origin.count(), 1);
    node.settles(IN_USE, 0.0).await;
}

#[tokio::test]
async fn a_fetch_without_a_place_of_its_own_ends_with_its_client() {
    let (stepped, node) = start(1).await;
    let first = Begun::with(&stepped, &node, "/one", &[]).await;
    let second = Begun::with(&stepped, &node, "/two", &[]).await;
    node.settles("verge_limit_hits_total{limit=\"detached-fetches\"}", 1.0)
        .await;
    ends(&second.leave()).await;
    // With its client it is like any other.
    let third = Begun::with(&stepped, &node, "/three", &[]).await;
    finish(&third.steps);
    assert_eq!(rest(third.body).await.unwrap(), "");
    finish(&first.leave());
    settled(&node).await;
    assert_eq!(stats(&node).entries, 2);
    for path in ["/one", "/three"] {
        assert_eq!(get(&node, path).await.text(), "one");
    }
    node.settles(IN_USE, 0.0).await;
}

#[tokio::test]
async fn fetches_alone_go_on_as_far_as_there_are_places() {
    let (stepped, node) = start(2).await;
    let first = Begun::with(&stepped, &node, "/a", &[]).await;
    let mut left = Vec::new();
    for _ in 0..3 {
        let alone = Begun::with(&stepped, &node, "/a", RELOAD).await;
        left.push(alone.leave());
        if left.len() == 1 {
            node.settles(IN_USE, 2.0).await;
        }
    }
    ends(&left[1]).await;
    ends(&left[2]).await;
    assert!(!left[0].is_closed() && !first.steps.is_closed());
    assert_eq!(stats(&node).fills_in_progress, 2);
    for steps in [&left[0], &first.steps] {
        finish(steps);
    }
    settled(&node).await;
    node.settles(IN_USE, 0.0).await;
    drop(first);
}
