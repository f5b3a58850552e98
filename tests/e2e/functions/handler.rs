//! `hello`: a standard `wasi:http` 0.2 component as a route's target.

use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::timeout;
use verge_tests::client::{Client, ClientBody};
use verge_tests::guests::{function, runtime};
use verge_tests::{PATIENCE, TestNode};

async fn start(cache: &str) -> TestNode {
    let toml = format!(
        "{cache}\n{}{}[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/hello/{{*rest}}\"\nfunction = \"hello\"\n",
        runtime(),
        function("hello", "hello", ""),
    );
    TestNode::start(&toml).await
}

/// A body that the test sends piece by piece.
fn pieces() -> (mpsc::UnboundedSender<Bytes>, ClientBody) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<Bytes>();
    let stream = futures_util::stream::poll_fn(move |context| {
        receiver
            .poll_recv(context)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    });
    (sender, StreamBody::new(stream).boxed_unsync())
}

#[tokio::test]
async fn component_answers_on_both_protocols() {
    let node = start("").await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        let reply = client.get("/hello/world?a=b").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.field("content-type"), "text/plain; charset=utf-8");
        let expected = "Hello from Verge! You asked for /hello/world?a=b with GET.\n";
        assert_eq!(reply.text(), expected);
        let echoed = client.send("POST", "/hello/echo", &[], "and back").await;
        assert!(
            echoed.text().ends_with("with POST.\nand back"),
            "{}",
            echoed.text()
        );
        let head = client.send("HEAD", "/hello/world", &[], "").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    }
    let outcome = "verge_function_outcomes_total{function=\"hello\",outcome=\"responded\"}";
    node.settles(outcome, 6.0).await;
}

#[tokio::test]
async fn content_streams_through_the_component_both_ways() {
    let node = start("").await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        let (sender, body) = pieces();
        // The answer's head, and each piece, come back before the next piece is sent.
        let response = client
            .begin("POST", "/hello/echo", &[], body)
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let mut echoed = response.into_body();
        let mut all = String::new();
        for piece in ["first,", "second,", "third"] {
            sender.send(Bytes::from_static(piece.as_bytes())).unwrap();
            while !all.ends_with(piece) {
                let frame = timeout(PATIENCE, echoed.frame()).await.unwrap();
                let data = frame.unwrap().unwrap().into_data().unwrap();
                all.push_str(std::str::from_utf8(&data).unwrap());
            }
        }
        drop(sender);
        let rest = timeout(PATIENCE, echoed.collect()).await.unwrap().unwrap();
        assert!(rest.to_bytes().is_empty());
        assert!(all.ends_with("with POST.\nfirst,second,third"), "{all}");
    }
}

#[tokio::test]
async fn large_content_comes_through_whole() {
    let node = start("").await;
    let content = Bytes::from(vec![b'x'; 512 * 1024]);
    let mut client = node.client().await;
    let reply = client
        .send("POST", "/hello/echo", &[], content.clone())
        .await;
    assert_eq!(
        reply.body.len(),
        content.len() + "Hello from Verge! You asked for /hello/echo with POST.\n".len()
    );
    assert!(reply.body.ends_with(&content));
}

#[tokio::test]
async fn answer_without_freshness_is_made_anew_and_one_with_it_is_stored() {
    let runs = "verge_function_outcomes_total{function=\"hello\",outcome=\"responded\"}";
    for (cache, made) in [("", 2.0), ("[cache]\ndefault_ttl = \"60s\"", 1.0)] {
        let node = start(cache).await;
        let mut client = node.client().await;
        let first = client.get("/hello/a").await;
        let second = client.get("/hello/a").await;
        assert_eq!(first.text(), second.text());
        assert_eq!(second.cache_status().starts_with("verge; hit"), made == 1.0);
        node.settles(runs, made).await;
    }
}
