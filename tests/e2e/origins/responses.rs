//! What of an origin's response reaches the client, and what is taken out.

use verge_tests::origin::respond;
use verge_tests::{Client, Origin, Wire};

use super::script::{Script, gone_back, node_before};

#[tokio::test]
async fn fields_of_the_origins_connection_end_here() {
    let origin = Script::saying(
        "HTTP/1.1 200 OK\r\nConnection: close, x-mine, cache-control\r\nX-Mine: 1\r\n\
         Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
         Cache-Control: private\r\nX-End: 2\r\nServer: app\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let node = node_before(&[origin.address], "").await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        let reply = client.get("/").await;
        assert_eq!(reply.text(), "ok");
        for gone in [
            "connection",
            "x-mine",
            "keep-alive",
            "proxy-authenticate",
            "upgrade",
        ] {
            assert_eq!(reply.field(gone), "", "{gone}");
        }
        // Connection cannot take away what must reach its end (RFC 9110 7.6.1).
        assert_eq!(reply.field("cache-control"), "private");
        assert_eq!(reply.field("x-end"), "2");
        assert_eq!(reply.field("via"), "1.1 verge");
        assert!(!reply.field("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn informational_responses_come_before_the_final_one() {
    let origin = Script::saying(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let node = node_before(&[origin.address], "").await;
    assert_eq!(node.get("/").await.text(), "ok");
}

#[tokio::test]
async fn content_that_ends_with_the_connection_is_taken() {
    let origin = Script::saying("HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    let node = node_before(&[origin.address], "").await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        assert_eq!(client.get("/").await.text(), "until the end");
    }
}

#[tokio::test]
async fn a_response_to_head_has_the_length_and_no_content() {
    let origin = Script::start(|_, mut wire| async move {
        loop {
            let asked = wire.message().await;
            let content = if asked.head.starts_with("HEAD") {
                ""
            } else {
                "12345"
            };
            wire.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{content}"
            ))
            .await;
        }
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut client = node.client().await;
    for _ in 0..2 {
        let reply = client.send("HEAD", "/", &[], "").await;
        assert_eq!(
            (
                reply.field("content-length").as_str(),
                reply.text().as_str()
            ),
            ("5", "")
        );
        gone_back(&node, origin.address).await;
        assert_eq!(client.get("/").await.text(), "12345");
        gone_back(&node, origin.address).await;
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn the_origin_sees_the_configured_authority() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = node_before(&[origin.address], "host = \"app.internal:8080\"").await;
    let mut client = Client::h2c(node.http()).await;
    client.set_authority("site.example");
    client.get("/").await;
    let asked = origin.requests().pop().unwrap();
    assert_eq!(asked.field("host"), Some("app.internal:8080"));
    assert_eq!(
        asked.field("forwarded"),
        Some("for=127.0.0.1;host=site.example;proto=http")
    );
}

#[tokio::test]
async fn an_answer_before_the_content_is_complete_reaches_the_client() {
    let origin = Script::start(|_, mut wire| async move {
        wire.head().await;
        wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            .await;
        wire.rest().await;
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut wire = Wire::connect(node.http()).await;
    let answer = wire
        .ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nbegun")
        .await;
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
}
