//! Parts of content that is just arriving. Ranges of what is stored are in the
//! table of `conformance/rfc9111.rs`.

use verge_tests::{Client, TestNode};

use super::kit::{
    SteppedOrigin, assert_cache, begin, begin_with, expect, expect_end, finish, rest, send, settled,
};

const KNOWN: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("content-length", "10"),
    ("etag", "\"a\""),
];

async fn connect(node: &TestNode) -> Client {
    let mut client = Client::h2c(node.http()).await;
    client.set_authority("shop.example");
    client
}

#[tokio::test]
async fn part_is_sent_as_soon_as_it_arrives() {
    let stepped = SteppedOrigin::start(KNOWN).await;
    let node = TestNode::before(&stepped.origin).await;
    let (mut leader, mut early, mut late) = (
        connect(&node).await,
        connect(&node).await,
        connect(&node).await,
    );
    let answered = async {
        let steps = stepped.asked().await;
        send(&steps, "01234");
        steps
    };
    let (steps, (_, whole)) = tokio::join!(answered, begin(&mut leader, "/a"));
    let (head, mut part) = begin_with(&mut early, "/a", &[("range", "bytes=1-3")]).await;
    assert_eq!(head.status, 206);
    assert_eq!(head.field("content-range"), "bytes 1-3/10");
    assert_cache(&head, "fwd=uri-miss collapsed");
    expect(&mut part, "123").await;
    expect_end(&mut part).await;
    let (head, part) = begin_with(&mut late, "/a", &[("range", "bytes=-4")]).await;
    assert_eq!(head.field("content-range"), "bytes 6-9/10");
    send(&steps, "56789");
    finish(&steps);
    assert_eq!(rest(part).await.unwrap(), "6789");
    assert_eq!(rest(whole).await.unwrap(), "0123456789");
    assert_eq!(stepped.origin.count(), 1);
}

#[tokio::test]
async fn leader_that_wanted_a_part_leaves_all_of_it_stored() {
    let stepped = SteppedOrigin::start(KNOWN).await;
    let node = TestNode::before(&stepped.origin).await;
    let mut client = connect(&node).await;
    let answered = async {
        let steps = stepped.asked().await;
        send(&steps, "01234");
        steps
    };
    let part = begin_with(&mut client, "/a", &[("range", "bytes=0-1")]);
    let (steps, (head, mut part)) = tokio::join!(answered, part);
    assert_eq!(head.status, 206);
    expect(&mut part, "01").await;
    expect_end(&mut part).await;
    send(&steps, "56789");
    finish(&steps);
    settled(&node).await;
    let reply = client.get("/a").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.text(), "0123456789");
    assert_eq!(stepped.origin.requests()[0].field("range"), None);
}

#[tokio::test]
async fn content_of_unknown_length_is_sent_whole() {
    let stepped = SteppedOrigin::start(super::kit::MINUTE).await;
    let node = TestNode::before(&stepped.origin).await;
    let mut client = connect(&node).await;
    let answered = async {
        let steps = stepped.asked().await;
        send(&steps, "0123456789");
        finish(&steps);
    };
    let part = begin_with(&mut client, "/a", &[("range", "bytes=0-1")]);
    let ((), (head, body)) = tokio::join!(answered, part);
    assert_eq!(head.status, 200);
    assert_eq!(rest(body).await.unwrap(), "0123456789");
    settled(&node).await;
    let reply = client.get_with("/a", &[("range", "bytes=0-1")]).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (206, "01".to_owned())
    );
}
