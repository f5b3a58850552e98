//! One origin request for all that ask for the same at the same time.

use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, node};

use super::kit::{
    Gate, MINUTE, SteppedOrigin, ask_all, asked, assert_cache, begin, clients, expect, finish,
    following, gated, node_with, rest, send, settled, stats,
};

#[tokio::test]
async fn concurrent_requests_are_one_origin_request() {
    const CLIENTS: usize = 24;
    let (gate, origin) = gated(|_| true).await;
    let node = TestNode::before(&origin).await;
    let replies = ask_all(clients(&node, CLIENTS).await, "/a");
    following(&node, CLIENTS as u64 - 1).await;
    gate.open();
    let replies = replies.await.unwrap();
    assert!(replies.iter().all(|reply| reply.text() == "content"));
    let (led, followed): (Vec<_>, Vec<_>) = replies
        .iter()
        .partition(|reply| !reply.cache_status().contains("collapsed"));
    assert_eq!((led.len(), followed.len()), (1, CLIENTS - 1));
    assert_cache(led[0], "fwd=uri-miss fwd-status=200 stored");
    for reply in followed {
        assert_cache(reply, "fwd=uri-miss collapsed !fwd-status=200");
    }
    assert_eq!(origin.count(), 1);
    settled(&node).await;
    for mut client in clients(&node, 2).await {
        assert_cache(&client.get("/a").await, "hit");
    }
}

#[tokio::test]
async fn requests_for_different_uris_do_not_wait_for_each_other() {
    let (gate, origin) = gated(|request| request.target == "/slow").await;
    let node = TestNode::before(&origin).await;
    let slow = ask_all(clients(&node, 2).await, "/slow");
    following(&node, 1).await;
    assert_eq!(node.get("/quick").await.text(), "content");
    gate.open();
    assert_eq!(slow.await.unwrap().len(), 2);
}

#[tokio::test]
async fn leader_that_goes_away_before_the_head_leaves_the_fill_to_others() {
    let (gate, origin) = gated(|_| true).await;
    let node = TestNode::before(&origin).await;
    let leader = ask_all(clients(&node, 1).await, "/a");
    asked(&origin, 1).await;
    let follower = ask_all(clients(&node, 1).await, "/a");
    following(&node, 1).await;
    let connections = &node.state().connections;
    assert_eq!(connections.in_use(), 2);
    leader.abort();
    verge_tests::eventually("the leader is gone", async || connections.in_use() == 1).await;
    gate.open();
    let replies = follower.await.unwrap();
    assert_eq!(replies[0].text(), "content");
    assert_cache(&replies[0], "fwd=uri-miss collapsed");
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn leader_that_goes_away_amid_the_content_leaves_the_fill_to_others() {
    for protocol in ["HTTP/1.1", "HTTP/2"] {
        let stepped = SteppedOrigin::start(MINUTE).await;
        let node = TestNode::before(&stepped.origin).await;
        let connect = async || match protocol {
            "HTTP/2" => Client::h2c(node.http()).await,
            _ => Client::http1(node.http()).await,
        };
        let mut leader = connect().await;
        leader.set_authority("shop.example");
        let (_, mut led) = begin_after(&stepped, &mut leader).await;
        let mut follower = connect().await;
        follower.set_authority("shop.example");
        let (head, mut followed) = begin(&mut follower, "/a").await;
        assert_cache(&head, "fwd=uri-miss collapsed");
        expect(&mut led.1, "one").await;
        drop((led.1, leader));
        let connections = &node.state().connections;
        verge_tests::eventually("the leader is gone", async || connections.in_use() == 1).await;
        expect(&mut followed, "one").await;
        send(&led.0, "two");
        finish(&led.0);
        assert_eq!(rest(followed).await.unwrap(), "two", "{protocol}");
        settled(&node).await;
        let (head, body) = begin(&mut follower, "/a").await;
        assert_cache(&head, "hit");
        assert_eq!(rest(body).await.unwrap(), "onetwo");
        assert_eq!(stepped.origin.count(), 1);
    }
}

/// Begins a GET of `/a` whose content begins with "one".
async fn begin_after(
    stepped: &SteppedOrigin,
    client: &mut Client,
) -> (
    verge_tests::Reply,
    (super::kit::Steps, hyper::body::Incoming),
) {
    let answered = async {
        let steps = stepped.asked().await;
        send(&steps, "one");
        steps
    };
    let (steps, (head, body)) = tokio::join!(answered, begin(client, "/a"));
    (head, (steps, body))
}

#[tokio::test]
async fn fill_that_nobody_waits_for_any_more_is_stored() {
    let stepped = SteppedOrigin::start(MINUTE).await;
    let node = TestNode::before(&stepped.origin).await;
    let mut client = Client::http1(node.http()).await;
    client.set_authority("shop.example");
    let (_, (steps, mut body)) = begin_after(&stepped, &mut client).await;
    expect(&mut body, "one").await;
    drop((body, client));
    let connections = &node.state().connections;
    verge_tests::eventually("the client is gone", async || connections.in_use() == 0).await;
    send(&steps, "two");
    finish(&steps);
    settled(&node).await;
    let mut client = Client::http1(node.http()).await;
    client.set_authority("shop.example");
    let reply = client.get("/a").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.text(), "onetwo");
}

#[tokio::test]
async fn follower_waits_no_longer_than_it_may() {
    let (gate, origin) = gated(|request| request.field("x-first").is_some()).await;
    let node = node_with(&origin, "collapse_wait = \"50ms\"").await;
    let mut leader = node.client().await;
    let led = tokio::spawn(async move { leader.get_with("/a", &[("x-first", "1")]).await });
    asked(&origin, 1).await;
    let reply = node.get("/a").await;
    assert_cache(
        &reply,
        "fwd=uri-miss fwd-status=200 stored detail=collapse-wait",
    );
    assert_eq!(origin.count(), 2);
    gate.open();
    assert_eq!(led.await.unwrap().text(), "content");
}

#[tokio::test]
async fn request_that_insists_on_the_origin_does_not_follow() {
    let (gate, origin) = gated(|request| request.field("cache-control").is_none()).await;
    let node = TestNode::before(&origin).await;
    let leader = ask_all(clients(&node, 1).await, "/a");
    asked(&origin, 1).await;
    let mut client = clients(&node, 1).await.remove(0);
    let fields = [("cache-control", "no-cache")];
    let reply = client.get_with("/a", &fields).await;
    assert_cache(&reply, "fwd=uri-miss !collapsed");
    assert_eq!(origin.count(), 2);
    gate.open();
    leader.await.unwrap();
}

#[tokio::test]
async fn follower_of_another_variant_asks_for_its_own() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| {
        let held = held.clone();
        async move {
            let language = request.field("accept-language").unwrap().to_owned();
            if language == "en" {
                held.pass().await;
            }
            let fields = [("cache-control", "max-age=60"), ("vary", "accept-language")];
            respond(200, &fields, language)
        }
    })
    .await;
    let node = TestNode::before(&origin).await;
    let ask = async |mut client: Client, language: &'static str| {
        let fields = [("accept-language", language)];
        client.get_with("/a", &fields).await
    };
    let mut connections = clients(&node, 5).await.into_iter();
    let mut connect = || connections.next().unwrap();
    let en = ask(connect(), "en");
    let others = async {
        asked(&origin, 1).await;
        let (de, also_en) = (ask(connect(), "de"), ask(connect(), "en"));
        let opened = async {
            following(&node, 2).await;
            gate.open();
        };
        tokio::join!(de, also_en, opened)
    };
    let (en, (de, also_en, ())) = tokio::join!(en, others);
    assert_eq!(
        [en.text(), de.text(), also_en.text()],
        ["en", "de", "en"].map(str::to_owned)
    );
    assert_eq!(origin.count(), 2);
    settled(&node).await;
    for language in ["en", "de"] {
        assert_cache(&ask(connect(), language).await, "hit");
    }
}

#[tokio::test]
async fn validation_is_collapsed() {
    const CLIENTS: usize = 8;
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| {
        let held = held.clone();
        async move {
            if request.field("if-none-match").is_none() {
                let fields = [
                    ("cache-control", "max-age=60"),
                    ("age", "100"),
                    ("etag", "\"a\""),
                ];
                return respond(200, &fields, "content");
            }
            held.pass().await;
            respond(304, MINUTE, "")
        }
    })
    .await;
    // Without a marker: what is stale when it comes leaves one.
    let node = node_with(&origin, "uncollapsible_for = \"0s\"").await;
    clients(&node, 1).await.remove(0).get("/a").await;
    settled(&node).await;
    let replies = ask_all(clients(&node, CLIENTS).await, "/a");
    following(&node, CLIENTS as u64 - 1).await;
    gate.open();
    let replies = replies.await.unwrap();
    assert!(replies.iter().all(|reply| reply.text() == "content"));
    for reply in &replies {
        assert_cache(reply, "fwd=stale");
    }
    let validated = |reply: &&verge_tests::Reply| reply.cache_status().contains("fwd-status=304");
    assert_eq!(replies.iter().filter(validated).count(), 1);
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn fill_that_is_invalidated_is_neither_stored_nor_followed() {
    let (told, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let origin = Origin::start(move |request| {
        let told = told.clone();
        async move {
            if request.method == "POST" {
                return respond(204, &[], "");
            }
            let (steps, response) = verge_tests::origin::respond_in_steps(200, MINUTE);
            told.send(steps).unwrap();
            response
        }
    })
    .await;
    let node = TestNode::start(&node::route_to(&origin)).await;
    let mut connections = clients(&node, 3).await.into_iter();
    let (mut first, mut writer, mut second) = (
        connections.next().unwrap(),
        connections.next().unwrap(),
        connections.next().unwrap(),
    );
    let answered = async {
        let steps = asked.recv().await.unwrap();
        send(&steps, "old");
        steps
    };
    let (old, (_, mut body)) = tokio::join!(answered, begin(&mut first, "/a"));
    expect(&mut body, "old").await;
    assert_eq!(writer.send("POST", "/a", &[], "x").await.status, 204);
    let answered = async {
        let steps = asked.recv().await.unwrap();
        send(&steps, "new");
        finish(&steps);
    };
    let ((), reply) = tokio::join!(answered, second.get("/a"));
    assert_eq!(reply.text(), "new");
    assert_cache(&reply, "fwd=uri-miss !collapsed");
    finish(&old);
    assert_eq!(rest(body).await.unwrap(), "");
    settled(&node).await;
    let reply = second.get("/a").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.text(), "new");
    assert_eq!(stats(&node).entries, 1);
}
