//! Content that reaches the client and all followers while it is stored.

use http_body_util::BodyExt as _;
use verge_tests::node::Setup;
use verge_tests::{Client, TestNode, node};

use super::kit::{
    MINUTE, SteppedOrigin, assert_cache, begin, clients, expect, expect_end, finish, rest, send,
    settled, stats,
};

#[tokio::test]
async fn content_streams_to_leader_and_followers_while_it_is_stored() {
    let stepped = SteppedOrigin::start(MINUTE).await;
    let node = TestNode::before(&stepped.origin).await;
    let mut clients = clients(&node, 4).await;
    let answered = async {
        let steps = stepped.asked().await;
        send(&steps, "one ");
        steps
    };
    let (steps, (head, leader)) = tokio::join!(answered, begin(&mut clients[0], "/a"));
    assert_cache(
        &head,
        "fwd=uri-miss fwd-status=200 ttl=60 stored !collapsed",
    );
    let mut bodies = vec![leader];
    expect(&mut bodies[0], "one ").await;
    // They come one after another, each amid the content, and get it from its beginning.
    let mut so_far = String::from("one ");
    for (client, piece) in clients[1..].iter_mut().zip(["two ", "three ", "four "]) {
        let (head, mut body) = begin(client, "/a").await;
        assert_cache(&head, "fwd=uri-miss ttl=60 collapsed");
        expect(&mut body, &so_far).await;
        bodies.push(body);
        send(&steps, piece);
        so_far.push_str(piece);
        for body in &mut bodies {
            expect(body, piece).await;
        }
    }
    assert_eq!(stats(&node).entries, 0, "nothing is stored before its end");
    finish(&steps);
    for body in &mut bodies {
        expect_end(body).await;
    }
    settled(&node).await;
    let (head, body) = begin(&mut clients[3], "/a").await;
    assert_cache(&head, "hit");
    assert_eq!(head.field("content-length"), so_far.len().to_string());
    assert_eq!(rest(body).await.unwrap(), so_far);
    assert_eq!(stepped.origin.count(), 1);
}

#[tokio::test]
async fn client_that_does_not_read_does_not_hold_up_the_others() {
    const PIECE: &str = "0123456789abcdef";
    let stepped = SteppedOrigin::start(MINUTE).await;
    let node = TestNode::before(&stepped.origin).await;
    let mut clients = clients(&node, 2).await;
    let (slow, quick) = clients.split_at_mut(1);
    let answered = async {
        let steps = stepped.asked().await;
        send(&steps, PIECE);
        steps
    };
    let (steps, (_, unread)) = tokio::join!(answered, begin(&mut slow[0], "/a"));
    let (_, body) = begin(&mut quick[0], "/a").await;
    // 8 MiB: far more than the buffers of a connection hold.
    for _ in 0..512 * 1024 {
        send(&steps, PIECE);
    }
    finish(&steps);
    let length = (512 * 1024 + 1) * PIECE.len();
    assert_eq!(rest(body).await.unwrap().len(), length);
    settled(&node).await;
    assert_cache(&quick[0].get("/a").await, "hit");
    assert_eq!(rest(unread).await.unwrap().len(), length);
}

#[tokio::test]
async fn trailers_reach_those_that_read_while_it_is_stored() {
    let origin = verge_tests::Origin::start(async |_| {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        let frames = [
            Ok(http_body::Frame::data(bytes::Bytes::from_static(
                b"content",
            ))),
            Ok(http_body::Frame::trailers(trailers)),
        ];
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
        http::Response::builder()
            .header("cache-control", "max-age=60")
            .header("trailer", "x-sum")
            .body(body.boxed_unsync())
            .unwrap()
    })
    .await;
    let node = TestNode::before(&origin).await;
    let mut client = Client::h2c(node.http()).await;
    client.set_authority("shop.example");
    let fields = [("te", "trailers")];
    let first = client.get_with("/a", &fields).await;
    assert_eq!(first.text(), "content");
    assert_eq!(first.trailers.unwrap()["x-sum"], "7");
    settled(&node).await;
    let second = client.get_with("/a", &fields).await;
    assert_cache(&second, "hit");
    assert_eq!(second.text(), "content");
}

#[tokio::test]
async fn content_streams_over_every_protocol() {
    let stepped = SteppedOrigin::start(MINUTE).await;
    let setup = Setup::new().with_tls(&[&["shop.example"]]);
    let node = setup.start(&node::route_to(&stepped.origin)).await;
    let roots = || node.authority.as_ref().unwrap().roots();
    let clients = [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
        Client::https1(node.https(), "shop.example", roots()).await,
        Client::https2(node.https(), "shop.example", roots()).await,
    ];
    for (index, mut client) in clients.into_iter().enumerate() {
        client.set_authority("shop.example");
        let path = format!("/{index}");
        let answered = async {
            let steps = stepped.asked().await;
            send(&steps, "one");
            steps
        };
        let (steps, (_, mut body)) = tokio::join!(answered, begin(&mut client, &path));
        expect(&mut body, "one").await;
        send(&steps, "two");
        expect(&mut body, "two").await;
        finish(&steps);
        expect_end(&mut body).await;
        settled(&node).await;
        let reply = client.get(&path).await;
        assert_cache(&reply, "hit");
        assert_eq!(reply.text(), "onetwo");
    }
}
