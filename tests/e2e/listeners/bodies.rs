//! Request content: its limits, its pace, and what becomes of it where nobody
//! wants it.

use bytes::Bytes;
use verge_tests::node::route_to;
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, Wire, eventually};

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

async fn origin() -> Origin {
    Origin::start(async |_| respond(200, &[("cache-control", "max-age=60")], "content")).await
}

#[tokio::test]
async fn content_over_the_limit_is_refused_whether_declared_or_not() {
    let origin = origin().await;
    let node = TestNode::start(&format!(
        "[limits]\nrequest_body = \"1KiB\"\n{}",
        route_to(&origin)
    ))
    .await;
    let mut wire = Wire::connect(node.http()).await;
    let answer = wire
        .ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n")
        .await;
    assert_eq!(answer.status(), 413);
    assert!(answer.says_close());

    let mut wire = Wire::connect(node.http()).await;
    let chunk = format!("800\r\n{}\r\n0\r\n\r\n", "x".repeat(0x800));
    wire.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
    ))
    .await;
    assert_eq!(wire.message().await.status(), 413);

    let mut client = Client::h2c(node.http()).await;
    let reply = client.send("POST", "/", &[], vec![b'x'; 2000]).await;
    assert_eq!(reply.status, 413);
    assert!(
        reply
            .text()
            .contains("the request body is larger than allowed")
    );
    assert_eq!(
        client.send("POST", "/", &[], vec![b'x'; 1024]).await.status,
        200
    );

    let series = "verge_failures_total{side=\"client\",failure=\"content-too-large\"}";
    node.settles(series, 3.0).await;
    // No part of it looks like a whole request.
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn content_that_nobody_reads_is_thrown_away_or_ends_the_connection() {
    let origin = origin().await;
    let node = TestNode::start(&format!(
        "[limits]\ndrain_body = \"1KiB\"\n{}[[site.route]]\npath = \"/static\"\n\
         static = {{ body = \"here\" }}\n[[site.route]]\npath = \"/post\"\nmethods = [\"POST\"]\n\
         origin = \"app\"\n",
        route_to(&origin)
    ))
    .await;
    let mut wire = Wire::connect(node.http()).await;
    assert_eq!(wire.ask(NEXT).await.status(), 200);
    // A fixed answer, a hit, a refusal: none of them reads the content, which
    // looks like a request here.
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len();
    for (path, field, status) in [
        ("/static", "X: y", 200),
        ("/next", "X: y", 200),
        ("/static", "Via: 1.1 verge", 502),
    ] {
        let answer = wire
            .ask(format!(
                "GET {path} HTTP/1.1\r\nHost: a\r\n{field}\r\nContent-Length: {length}\r\n\r\n{smuggled}"
            ))
            .await;
        assert_eq!(answer.status(), status, "{path} {field}");
        assert_eq!(wire.ask(NEXT).await.status(), 200, "after {path} {field}");
    }
    // Too much of it: the connection ends.
    let mut wire = Wire::connect(node.http()).await;
    let many = smuggled.repeat(100);
    wire.send(format!(
        "POST /static HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{many}",
        many.len()
    ))
    .await;
    let answer = wire.message().await;
    assert_eq!(answer.status(), 200);
    assert!(answer.says_close());
    assert!(wire.is_closed().await);
    assert!(
        origin
            .requests()
            .iter()
            .all(|asked| asked.path() != "/smuggled")
    );
    let series = "verge_limit_hits_total{limit=\"unread-body\"}";
    eventually("the limit is counted", async || {
        node.metric(series).await == 1.0
    })
    .await;
}

#[tokio::test]
async fn content_that_comes_too_slowly_is_answered_408() {
    let origin = origin().await;
    let node = TestNode::start(&format!(
        "[limits]\nbody_rate_grace = \"100ms\"\n{}",
        route_to(&origin)
    ))
    .await;
    let mut wire = Wire::connect(node.http()).await;
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    let answer = wire.message().await;
    assert_eq!(answer.status(), 408, "{answer:?}");
    assert!(answer.says_close());
    let hits = "verge_limit_hits_total{limit=\"receive-floor\"}";
    eventually("the limit is counted", async || {
        node.metric(hits).await == 1.0
    })
    .await;
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn content_that_ends_early_never_looks_whole_to_the_origin() {
    let origin = origin().await;
    let node = TestNode::before(&origin).await;
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut wire = Wire::connect(node.http()).await;
        wire.send(request).await;
        drop(wire.into_inner());
    }
    eventually("both are noticed", async || node.access_log().len() == 2).await;
    assert_eq!(origin.count(), 0);
    assert_eq!(node.get("/").await.status, 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(async |asked| respond(200, &[], asked.target)).await;
    let node = TestNode::before(&origin).await;
    let mut wire = Wire::connect(node.http()).await;
    let request =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    wire.send(format!(
        "{}{}{}",
        request("/1"),
        request("/2"),
        request("/3")
    ))
    .await;
    for path in ["/1", "/2", "/3"] {
        assert_eq!(wire.message().await.text(), path);
    }
}

#[tokio::test]
async fn content_and_its_trailers_reach_the_origin() {
    let origin = origin().await;
    let node = TestNode::before(&origin).await;
    let mut wire = Wire::connect(node.http()).await;
    let answer = wire
        .ask(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
             3;note=this\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n",
        )
        .await;
    assert_eq!(answer.status(), 200);
    let asked = origin.requests().pop().unwrap();
    assert_eq!(asked.body, Bytes::from_static(b"abcde"));
    let trailers = asked.trailers.unwrap();
    assert_eq!(trailers.get("x-sum").unwrap(), "5");
}
