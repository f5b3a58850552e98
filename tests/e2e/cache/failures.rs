//! Origins that fail before or amid a response that others wait for.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use verge_tests::client::Client;
use verge_tests::{Origin, TestNode};

use super::kit::{
    Gate, MINUTE, SteppedOrigin, ask_all, assert_cache, begin, clients, expect, expect_failure,
    finish, following, rest, send, settled, stats,
};

/// With Content-Length and without.
const TRUNCATED: [&[(&str, &str)]; 2] = [
    MINUTE,
    &[("cache-control", "max-age=60"), ("content-length", "6")],
];

#[tokio::test]
async fn truncated_content_is_a_failure_for_all_and_is_not_stored() {
    for fields in TRUNCATED {
        for protocol in ["HTTP/1.1", "HTTP/2"] {
            let stepped = SteppedOrigin::start(fields).await;
            let node = TestNode::before(&stepped.origin).await;
            let connect = async || {
                let mut client = match protocol {
                    "HTTP/2" => Client::h2c(node.http()).await,
                    _ => Client::http1(node.http()).await,
                };
                client.set_authority("shop.example");
                client
            };
            let (mut leader, mut follower) = (connect().await, connect().await);
            let answered = async {
                let steps = stepped.asked().await;
                send(&steps, "one");
                steps
            };
            let (steps, (_, mut led)) = tokio::join!(answered, begin(&mut leader, "/a"));
            let (head, mut followed) = begin(&mut follower, "/a").await;
            assert_cache(&head, "collapsed");
            expect(&mut led, "one").await;
            expect(&mut followed, "one").await;
            drop(steps);
            expect_failure(&mut led).await;
            expect_failure(&mut followed).await;
            settled(&node).await;
            assert_eq!(stats(&node).entries, 0);
            let mut again = connect().await;
            let answered = async {
                let steps = stepped.asked().await;
                send(&steps, "onetwo");
                finish(&steps);
            };
            let ((), (head, body)) = tokio::join!(answered, begin(&mut again, "/a"));
            assert_cache(&head, "fwd=uri-miss !collapsed");
            assert_eq!(rest(body).await.unwrap(), "onetwo", "{protocol} {fields:?}");
        }
    }
}

#[tokio::test]
async fn failed_fetch_fails_all_that_wait_and_the_next_request_leads() {
    let gate = Gate::closed();
    let held = gate.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, mut asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (held, told) = (held.clone(), told.clone());
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                told.send(()).unwrap();
                held.pass().await;
            });
        }
    });
    let toml = format!(
        "[origin.app]\naddresses = [\"{address}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n"
    );
    let node = TestNode::start(&toml).await;
    let replies = ask_all(clients(&node, 6).await, "/a");
    following(&node, 5).await;
    gate.open();
    for reply in replies.await.unwrap() {
        assert_eq!(reply.status, 502);
        assert_cache(&reply, "fwd=uri-miss !stored");
        assert!(!reply.field("proxy-status").is_empty());
        assert_eq!(reply.field("cache-control"), "no-store");
    }
    asked.recv().await.unwrap();
    assert!(asked.try_recv().is_err(), "one request for all of them");
    let reply = clients(&node, 1).await.remove(0).get("/a").await;
    assert_eq!(reply.status, 502);
    assert_cache(&reply, "fwd=uri-miss !collapsed");
}

#[tokio::test]
async fn what_is_stored_stays_when_its_validation_fails() {
    let origin = Origin::start(async |request| {
        if request.field("if-none-match").is_some() {
            // Cut before the head: no response at all.
            std::future::pending::<()>().await;
        }
        let fields = [
            ("cache-control", "max-age=60"),
            ("etag", "\"a\""),
            ("age", "50"),
        ];
        verge_tests::origin::respond(200, &fields, "content")
    })
    .await;
    let toml = format!(
        "[origin.app]\naddresses = [\"{}\"]\ntimeouts = {{ first_byte = \"50ms\" }}\nretries = 0\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        origin.address
    );
    let node = TestNode::start(&toml).await;
    let mut client = node.client().await;
    client.get("/a").await;
    settled(&node).await;
    let reply = client
        .get_with("/a", &[("cache-control", "no-cache")])
        .await;
    assert_eq!(reply.status, 504);
    assert_cache(&reply, "fwd=request detail=request-no-cache");
    let reply = client.get("/a").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.text(), "content");
}
