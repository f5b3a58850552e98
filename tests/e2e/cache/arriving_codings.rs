//! Codings of content that is just arriving, and who gets none.

use std::io::Read as _;

use verge_tests::{Client, Origin, TestNode, eventually, node};

use super::compression::{PAGE, compressing, connect, content, decode, get, kept, pages};
use super::kit::{
    SteppedOrigin, ask_all, assert_cache, begin_with, clients, expect, finish, rest, send, settled,
    stats,
};

#[tokio::test]
async fn content_that_trickles_is_coded_as_it_comes() {
    const SLOW: &[(&str, &str)] = &[
        ("content-type", "text/plain"),
        ("cache-control", "max-age=60"),
    ];
    let stepped = SteppedOrigin::start(SLOW).await;
    let node = compressing(&stepped.origin).await;
    let mut client = connect(&node).await;
    let asking = begin_with(&mut client, "/a", &[("accept-encoding", "gzip")]);
    let answering = async {
        let steps = stepped.asked().await;
        send(&steps, "first");
        steps
    };
    let ((head, mut body), steps) = tokio::join!(asking, answering);
    assert_eq!(head.field("content-encoding"), "gzip");
    assert_eq!(head.field("content-length"), "");
    // The first piece can be decoded before the second is sent.
    let mut coded = Vec::new();
    let mut text = [0; 5];
    loop {
        use http_body_util::BodyExt as _;
        let frame = tokio::time::timeout(verge_tests::PATIENCE, body.frame()).await;
        coded.extend(frame.unwrap().unwrap().unwrap().into_data().unwrap());
        if flate2::read::GzDecoder::new(&*coded)
            .read_exact(&mut text)
            .is_ok()
        {
            break;
        }
    }
    assert_eq!(&text, b"first");
    send(&steps, "second");
    finish(&steps);
    coded.extend(rest(body).await.unwrap());
    let mut all = String::new();
    flate2::read::GzDecoder::new(&*coded)
        .read_to_string(&mut all)
        .unwrap();
    assert_eq!(all, "firstsecond");
}

#[tokio::test]
async fn content_that_is_cut_short_is_cut_short_in_any_coding() {
    const SLOW: &[(&str, &str)] = &[
        ("content-type", "text/plain"),
        ("cache-control", "max-age=60"),
    ];
    let stepped = SteppedOrigin::start(SLOW).await;
    let node = compressing(&stepped.origin).await;
    let mut client = connect(&node).await;
    let asking = begin_with(&mut client, "/a", &[("accept-encoding", "gzip")]);
    let answering = async {
        let steps = stepped.asked().await;
        send(&steps, "first");
        steps
    };
    let ((head, body), steps) = tokio::join!(asking, answering);
    assert_eq!(head.field("content-encoding"), "gzip");
    drop(steps);
    rest(body).await.expect_err("it is not complete");
    eventually("nothing is kept", async || stats(&node).bytes == 0).await;
}

#[tokio::test]
async fn small_content_of_unknown_length_is_sent_as_it_is() {
    const SLOW: &[(&str, &str)] = &[
        ("content-type", "text/plain"),
        ("cache-control", "max-age=60"),
    ];
    let origin = Origin::start(async |_| {
        let (steps, response) = verge_tests::origin::respond_in_steps(200, SLOW);
        steps
            .send(Some(bytes::Bytes::from_static(b"small")))
            .unwrap();
        steps.send(None).unwrap();
        response
    })
    .await;
    let node = compressing(&origin).await;
    let mut client = connect(&node).await;
    get(&mut client, "/warm", "identity").await;
    settled(&node).await;
    let reply = get(&mut client, "/warm", "gzip").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.field("content-encoding"), "");
    assert_eq!(reply.text(), "small");
}

#[tokio::test]
async fn switches_of_routes_go_first() {
    let origin = pages(PAGE).await;
    for (global, route, expected) in [
        ("false", "", ""),
        ("false", "compression = \"on\"\n", "gzip"),
        ("true", "compression = \"off\"\n", ""),
    ] {
        let toml = format!(
            "[compression]\non = {global}\n{}{route}",
            node::route_to(&origin)
        );
        let node = TestNode::start(&toml).await;
        let mut client = connect(&node).await;
        let reply = get(&mut client, "/a", "gzip").await;
        assert_eq!(
            reply.field("content-encoding"),
            expected,
            "{global} {route}"
        );
        let varies = reply.field("vary").contains("Encoding");
        assert_eq!(varies, !expected.is_empty());
    }
}

#[tokio::test]
async fn without_a_place_content_is_sent_as_it_is() {
    const SLOW: &[(&str, &str)] = &[
        ("content-type", "text/plain"),
        ("cache-control", "max-age=60"),
    ];
    let stepped = SteppedOrigin::start(SLOW).await;
    let toml = format!(
        "[compression]\non = true\njobs = 1\nmin_size = 1\n{}",
        node::route_to(&stepped.origin)
    );
    let node = TestNode::start(&toml).await;
    let (mut first, mut second) = (connect(&node).await, connect(&node).await);
    let ask = async |client: &mut Client, path| {
        let asking = begin_with(client, path, &[("accept-encoding", "gzip")]);
        let answering = async {
            let steps = stepped.asked().await;
            send(&steps, "first");
            steps
        };
        tokio::join!(asking, answering)
    };
    let ((head, one), one_steps) = ask(&mut first, "/a").await;
    assert_eq!(head.field("content-encoding"), "gzip");
    let ((head, mut two), two_steps) = ask(&mut second, "/b").await;
    assert_eq!(head.field("content-encoding"), "");
    assert_eq!(head.field("vary"), "Accept-Encoding");
    expect(&mut two, "first").await;
    finish(&one_steps);
    finish(&two_steps);
    assert_eq!(rest(two).await.unwrap(), "");
    assert!(!rest(one).await.unwrap().is_empty());
    node.settles("verge_limit_hits_total{limit=\"compressions\"}", 1.0)
        .await;
}

#[tokio::test]
async fn clients_that_accept_nothing_share_the_fill_with_those_that_do() {
    let origin = pages(PAGE).await;
    let node = compressing(&origin).await;
    let plain = ask_all(clients(&node, 10).await, "/a");
    let mut coded = Vec::new();
    for mut client in clients(&node, 10).await {
        coded.push(tokio::spawn(
            async move { get(&mut client, "/a", "gzip").await },
        ));
    }
    for reply in plain.await.unwrap() {
        assert_eq!(reply.text(), content("/a"));
    }
    for task in coded {
        assert_eq!(decode(&task.await.unwrap()), content("/a"));
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn many_clients_make_one_representation() {
    let origin = pages(PAGE).await;
    let node = compressing(&origin).await;
    let path = "/a";
    let asking = |count| {
        let node = &node;
        async move {
            let mut all = Vec::new();
            for mut client in clients(node, count).await {
                all.push(tokio::spawn(
                    async move { get(&mut client, path, "br").await },
                ));
            }
            let mut replies = Vec::new();
            for task in all {
                replies.push(task.await.unwrap());
            }
            replies
        }
    };
    for _ in 0..2 {
        for reply in asking(40).await {
            assert_eq!(reply.field("content-encoding"), "br");
            assert_eq!(decode(&reply), content(path));
        }
        settled(&node).await;
    }
    kept(&node, 1).await;
    node.settles("verge_compressions_total", 1.0).await;
    assert_eq!(origin.count(), 1);
    let length = content(path).len() as f64;
    node.settles("verge_compression_content_bytes_total", length)
        .await;
}
