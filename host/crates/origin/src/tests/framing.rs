//! Responses that are refused, repaired, or believed.

use verge_http::failure::OriginFault;
use verge_http::failure::Progress::Responding;

use super::*;

/// What becomes of a GET that is answered with `wire`, then closed.
async fn outcome(wire: &str) -> Result<(http::response::Parts, Result<String, Failure>), Failure> {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write(wire).await;
    drop(peer);
    match sending.await.expect("no panic") {
        Err(failed) => Err(failed.failure),
        Ok(got) => {
            let (parts, body) = got.response.into_parts();
            let content = body
                .collect()
                .await
                .map(|content| String::from_utf8(content.to_bytes().to_vec()).expect("text"));
            Ok((parts, content))
        }
    }
}

#[tokio::test]
async fn heads_that_cannot_be_trusted_are_refused() {
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: a\r\n".repeat(101));
    let table: [(&str, OriginFault); 10] = [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            OriginFault::ResponseMalformed,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
            OriginFault::ResponseMalformed,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\nabc",
            OriginFault::ResponseMalformed,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            OriginFault::ResponseTransferCodingUnknown,
        ),
        (
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            OriginFault::ResponseMalformed,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            OriginFault::UpgradeFailed,
        ),
        ("SSH-2.0-OpenSSH_9.0\r\n", OriginFault::ResponseMalformed),
        (
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            OriginFault::ResponseMalformed,
        ),
        (&large, OriginFault::ResponseHeadTooLarge),
        (&many, OriginFault::ResponseHeadTooLarge),
    ];
    for (wire, expected) in table {
        let wire_begins = &wire[..wire.len().min(60)];
        let failed = outcome(wire).await.expect_err(wire_begins);
        assert_eq!(parts(failed), (expected, Responding), "{wire_begins}");
    }
}

#[tokio::test]
async fn content_is_delivered_whole_or_fails() {
    type Expected = Result<&'static str, OriginFault>;
    let table: [(&str, Expected); 9] = [
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", Ok("abc")),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
            Ok("abc"),
        ),
        ("HTTP/1.1 200 OK\r\n\r\nabc", Ok("abc")),
        ("HTTP/1.0 200 OK\r\n\r\nabc", Ok("abc")),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
            Ok("a"),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
            Err(OriginFault::ResponseIncomplete),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Err(OriginFault::ResponseIncomplete),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            Err(OriginFault::ResponseMalformed),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            Err(OriginFault::ResponseMalformed),
        ),
    ];
    for (wire, expected) in table {
        let (_, content) = outcome(wire).await.expect("the head is valid");
        match expected {
            Ok(expected) => assert_eq!(content.expect(wire), expected, "{wire}"),
            Err(fault) => {
                let failed = content.expect_err(wire);
                assert_eq!(parts(failed), (fault, Responding), "{wire}");
            }
        }
    }
}

#[tokio::test]
async fn a_response_delimited_by_the_connections_end_is_not_followed_by_another() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.1 200 OK\r\n\r\nabc").await;
    let got = response(sending).await;
    drop(peer);
    assert_eq!(text(got.response.into_body()).await, "abc");
    until("the connection is gone", || open(&origin) == 0).await;
    assert_eq!(origin.stats().addresses[0].idle, 0);
}

#[tokio::test]
async fn a_connection_that_speaks_an_older_version_is_not_used_again() {
    let server = Server::start().await;
    let origin = server.origin();
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    peer.head().await;
    peer.write("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi")
        .await;
    assert_eq!(
        text(response(sending).await.response.into_body()).await,
        "hi"
    );
    peer.closed().await;
}

#[tokio::test]
async fn responses_without_content_leave_the_connection_usable() {
    let server = Server::start().await;
    let origin = server.origin();
    let table = [
        (Method::HEAD, "200 OK\r\ncontent-length: 100", Some("100")),
        (
            Method::GET,
            "304 Not Modified\r\ncontent-length: 7",
            Some("7"),
        ),
        (Method::GET, "204 No Content", None),
        (Method::GET, "200 OK\r\ncontent-length: 0", Some("0")),
    ];
    let mut peer = None;
    for (method, head, length) in table {
        let sending = send(&origin, request(method, Body::Empty));
        let peer = match &mut peer {
            Some(peer) => peer,
            empty => empty.insert(server.accept().await),
        };
        peer.head().await;
        peer.write(&format!("HTTP/1.1 {head}\r\n\r\n")).await;
        let got = response(sending).await.response;
        assert!(matches!(got.body(), Body::Empty), "{head}");
        let field = got.headers().get("content-length");
        assert_eq!(field.map(|v| v.to_str().expect("ASCII")), length, "{head}");
        until("the connection is unused", || idle(&origin) == 1).await;
    }
    assert_eq!(origin.stats().addresses[0].opened, 1);
}

#[tokio::test]
async fn connection_specific_fields_of_the_origin_end_here() {
    let wire = "HTTP/1.1 200 OK\r\nconnection: x-inner\r\nx-inner: 1\r\nkeep-alive: timeout=5\r\n\
                proxy-connection: close\r\ntransfer-encoding: chunked\r\nx-outer: 2\r\n\r\n0\r\n\r\n";
    let (head, content) = outcome(wire).await.expect("a valid head");
    assert_eq!(content, Ok(String::new()));
    let names: Vec<_> = head.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["x-outer"]);
}

#[tokio::test]
async fn the_configured_authority_is_written_instead_of_the_requests() {
    let server = Server::start().await;
    let mut settings = server.settings();
    settings.host_authority = Some("inner.example:8080".into());
    let origin = origin(settings);
    let sending = send(&origin, get());
    let mut peer = server.accept().await;
    let head = peer.answer("").await;
    assert!(head.contains("\r\nhost: inner.example:8080\r\n"), "{head}");
    response(sending).await;
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    let server = Server::start().await;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("site.example:443")
        .body(Body::Empty)
        .expect("a valid request");
    let failed = failure(send(&server.origin(), request)).await;
    assert_eq!(failed.failure.status(), 501);
}
