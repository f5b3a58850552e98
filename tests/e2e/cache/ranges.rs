//! Parts of content that is just arriving, and several parts at once. Ranges of
//! what is stored are in the tables of `conformance/rfc9111.rs`, pieces that are
//! put together in `pieces.rs`, slices in `slices.rs`.

use bytes::Bytes;
use parking_lot::Mutex;
use verge_tests::origin::{respond, respond_in_steps};
use verge_tests::{Client, Origin, Reply, TestNode};

use super::kit::{
    SteppedOrigin, assert_cache, begin, begin_with, clients, expect, expect_end, finish, rest,
    send, settled, stats,
};

const KNOWN: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("content-length", "10"),
    ("etag", "\"a\""),
];

pub(super) async fn connect(node: &TestNode) -> Client {
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
    let asked = stepped.origin.requests();
    assert_eq!(asked[0].field("range"), Some("bytes=0-1"));
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

/// The parts of a `multipart/byteranges` answer, each with its head (RFC 9110 14.6).
fn parts(reply: &Reply) -> Vec<(String, String)> {
    assert_eq!(reply.status, 206);
    let media_type = reply.field("content-type");
    let boundary = media_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    assert!(!reply.fields.contains_key("content-range"));
    let text = reply.text();
    let framed = text.strip_prefix(&format!("--{boundary}\r\n")).unwrap();
    let framed = framed.strip_suffix(&format!("\r\n--{boundary}--\r\n"));
    framed
        .unwrap()
        .split(&format!("\r\n--{boundary}\r\n"))
        .map(|part| {
            let (head, content) = part.split_once("\r\n\r\n").unwrap();
            (head.to_owned(), content.to_owned())
        })
        .collect()
}

fn part(range: &str, content: &str) -> (String, String) {
    let head = format!("Content-Type: text/x\r\nContent-Range: bytes {range}/10");
    (head, content.to_owned())
}

pub(super) const TYPED: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("content-length", "10"),
    ("content-type", "text/x"),
    ("etag", "\"a\""),
];

#[tokio::test]
async fn several_parts_of_what_is_stored_come_in_their_order() {
    let origin = Origin::start(async |_| respond(200, TYPED, "0123456789")).await;
    let node = TestNode::before(&origin).await;
    for mut client in clients(&node, 2).await {
        client.get("/a").await;
        settled(&node).await;
        let reply = client.get_with("/a", &[("range", "bytes=8-,0-1")]).await;
        assert_cache(&reply, "hit");
        assert_eq!(reply.field("etag"), "\"a\"");
        let length: usize = reply.field("content-length").parse().unwrap();
        assert_eq!(length, reply.body.len());
        assert_eq!(parts(&reply), [part("8-9", "89"), part("0-1", "01")]);
        let reply = client
            .get_with("/a", &[("range", "bytes=0-1,-3,4-5")])
            .await;
        assert_eq!(
            parts(&reply),
            [part("0-1", "01"), part("7-9", "789"), part("4-5", "45")]
        );
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn several_parts_are_sent_while_they_arrive() {
    let stepped = SteppedOrigin::start(TYPED).await;
    let node = TestNode::before(&stepped.origin).await;
    let (mut leader, mut ordered, mut backwards) = (
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
    let asked = [("range", "bytes=1-2,6-7")];
    let (mut head, body) = begin_with(&mut ordered, "/a", &asked).await;
    let asked = [("range", "bytes=6-7,1-2")];
    let (other, all) = begin_with(&mut backwards, "/a", &asked).await;
    assert_eq!(other.status, 200, "what has passed is not kept for this");
    send(&steps, "56789");
    finish(&steps);
    head.body = rest(body).await.unwrap();
    assert_eq!(parts(&head), [part("1-2", "12"), part("6-7", "67")]);
    assert_eq!(rest(all).await.unwrap(), "0123456789");
    assert_eq!(rest(whole).await.unwrap(), "0123456789");
    assert_eq!(stepped.origin.count(), 1);
}

#[tokio::test]
async fn part_far_behind_what_has_arrived_is_not_held_up() {
    const LENGTH: &[(&str, &str)] = &[
        ("cache-control", "max-age=60"),
        ("content-length", "30000000"),
        ("etag", "\"a\""),
    ];
    let held = std::sync::Arc::new(Mutex::new(Vec::new()));
    let steps = std::sync::Arc::clone(&held);
    let origin = Origin::start(move |request| {
        let steps = std::sync::Arc::clone(&steps);
        async move {
            if request.field("range").is_some() {
                let fields = [
                    ("cache-control", "max-age=60"),
                    ("content-range", "bytes 20000000-20000004/30000000"),
                    ("etag", "\"a\""),
                ];
                return respond(206, &fields, "01234");
            }
            let (sender, response) = respond_in_steps(200, LENGTH);
            sender.send(Some(Bytes::from_static(b"abc"))).unwrap();
            steps.lock().push(sender);
            response
        }
    })
    .await;
    let node = TestNode::before(&origin).await;
    let (mut leader, mut far) = (connect(&node).await, connect(&node).await);
    let (_, mut whole) = begin(&mut leader, "/a").await;
    expect(&mut whole, "abc").await;
    let asked = [("range", "bytes=20000000-20000004")];
    let reply = far.get_with("/a", &asked).await;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (206, "01234")
    );
    assert!(stats(&node).bytes_peak < 256 * 1024, "nothing waits for it");
    verge_tests::eventually("the part is stored", async || {
        let reply = far.get_with("/a", &asked).await;
        reply.cache_status().contains("; hit")
    })
    .await;
    assert_eq!(origin.count(), 2);
    drop(whole);
}
