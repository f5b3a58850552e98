//! Origins that are dead, slow or wrong: the right status, the right word, and
//! nothing of the inside.

use std::time::Duration;

use verge_tests::client::{collect, empty};
use verge_tests::origin::{respond, respond_in_steps};
use verge_tests::{Origin, Reply, TestNode, Wire, eventually};

use super::script::{Script, node_before};

/// A generated 5xx names the kind of failure and the request, and no address,
/// file or library.
fn assert_discreet(reply: &Reply, status: u16, error: &str) {
    assert_eq!(reply.status, status, "{}", reply.text());
    assert_eq!(reply.field("proxy-status"), format!("verge; error={error}"));
    assert_eq!(reply.field("cache-control"), "no-store");
    let id = reply.field("x-request-id");
    assert!(!id.is_empty());
    let text = reply.text();
    let mut lines = text.lines();
    assert!(
        lines.next().unwrap().starts_with(&status.to_string()),
        "{text}"
    );
    assert_eq!(lines.next(), Some(format!("request id {id}").as_str()));
    assert_eq!(lines.next(), None);
    let all = format!("{:?}{text}", reply.fields);
    for inside in ["127.0.0.1", "hyper", "rustls", "os error", ".rs", "Errno"] {
        assert!(!all.contains(inside), "{inside}: {all}");
    }
}

#[tokio::test]
async fn an_origin_that_refuses_is_a_bad_gateway() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let node = node_before(&[address], "").await;
    let reply = node.get("/").await;
    assert_discreet(&reply, 502, "connection_refused");
    let log = node.receipts(1).await;
    assert_eq!(log[0]["failure"], "connection-refused");
    // The log names the request as its answer does.
    assert_eq!(log[0]["id"].as_str().unwrap(), reply.field("x-request-id"));
    let failures = "verge_origin_failures_total{origin=\"app\",failure=\"connection-refused\"}";
    node.settles(failures, 1.0).await;
}

#[tokio::test]
async fn an_origin_without_a_first_byte_is_a_gateway_timeout() {
    let origin = Script::start(|_, mut wire| async move {
        wire.message().await;
        wire.rest().await;
    })
    .await;
    for (timeouts, error) in [
        ("first_byte = \"100ms\"", "connection_read_timeout"),
        ("total = \"100ms\"", "http_response_timeout"),
    ] {
        let node = node_before(
            &[origin.address],
            &format!("[origin.app.timeouts]\n{timeouts}"),
        )
        .await;
        assert_discreet(&node.get("/").await, 504, error);
    }
}

#[tokio::test]
async fn an_origin_that_falls_silent_within_its_content_is_cut() {
    for timeouts in ["between_bytes = \"100ms\"", "total = \"200ms\""] {
        let origin = Script::start(|_, mut wire| async move {
            wire.message().await;
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
                .await;
            wire.rest().await;
        })
        .await;
        let node = node_before(
            &[origin.address],
            &format!("[origin.app.timeouts]\n{timeouts}"),
        )
        .await;
        let mut client = node.client().await;
        let response = client.begin("GET", "/", &[], empty()).await.unwrap();
        assert_eq!(response.status(), 200);
        collect(response).await.unwrap_err();
        eventually("the log says so", async || {
            node.access_log()
                .first()
                .is_some_and(|line| line["failure"].is_string())
        })
        .await;
        let failures = "verge_origin_failures_total{origin=\"app\"";
        node.settles(failures, 1.0).await;
    }
}

#[tokio::test]
async fn a_drip_of_bytes_does_not_pass_the_total() {
    let origin = Script::start(|_, mut wire| async move {
        wire.message().await;
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            .await;
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        while wire.try_send("x").await.is_ok() {
            pace.tick().await;
        }
    })
    .await;
    let node = node_before(
        &[origin.address],
        "[origin.app.timeouts]\nbetween_bytes = \"10s\"\ntotal = \"300ms\"",
    )
    .await;
    let mut client = node.client().await;
    let response = client.begin("GET", "/", &[], empty()).await.unwrap();
    collect(response).await.unwrap_err();
}

#[tokio::test]
async fn a_truncated_response_is_never_taken_for_a_whole_one() {
    for head in [
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\npart",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    ] {
        let origin = Script::saying(head).await;
        let node = TestNode::start(&format!(
            "[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
             [[site.route]]\npath = \"/\"\norigin = \"app\"\n",
            origin.address
        ))
        .await;
        for asked in 1..=2 {
            let mut client = node.client().await;
            if let Ok(response) = client.begin("GET", "/", &[], empty()).await {
                collect(response).await.unwrap_err();
            }
            assert_eq!(origin.connections(), asked, "nothing was stored");
        }
    }
}

#[tokio::test]
async fn an_http2_client_sees_a_reset_where_the_origin_broke_off() {
    let (steps, response) = respond_in_steps(200, &[]);
    let response = parking_lot::Mutex::new(Some(response));
    let origin = Origin::start(move |_| {
        let response = response.lock().take().unwrap();
        async move { response }
    })
    .await;
    let node = node_before(&[origin.address], "").await;
    let mut client = verge_tests::Client::h2c(node.http()).await;
    steps.send(Some("begun".into())).unwrap();
    let response = client.begin("GET", "/", &[], empty()).await.unwrap();
    drop(steps);
    collect(response).await.unwrap_err();
}

#[tokio::test]
async fn responses_that_are_not_http_are_bad_gateways() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n",
        "y".repeat(5000)
    );
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
        "X: y\r\n".repeat(30)
    );
    let cases: &[(&str, &str)] = &[
        ("SSH-2.0-OpenSSH\r\n\r\n", "http_protocol_error"),
        ("", "connection_terminated"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "http_response_incomplete"),
        // RFC 9112 6.3: perhaps response splitting.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "http_protocol_error",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            "http_protocol_error",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "http_response_transfer_coding",
        ),
        // Nobody asked for another protocol.
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "http_upgrade_failed",
        ),
        (&long, "http_response_header_section_size"),
        (&many, "http_response_header_section_size"),
    ];
    let mut wrong = Vec::new();
    for (said, error) in cases {
        let origin = Script::saying(*said).await;
        let node = node_before(&[origin.address], "head_bytes = \"4KiB\"\nfields = 20").await;
        let reply = node.get("/").await;
        let expected = format!("verge; error={error}");
        if reply.status != 502 || reply.field("proxy-status") != expected {
            let shown = &said[..said.len().min(80)];
            wrong.push(format!(
                "{shown:?}: {} {}, not 502 {expected}",
                reply.status,
                reply.field("proxy-status")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn errors_of_the_origin_itself_pass_through() {
    let origin = Origin::start(async |_| respond(503, &[("retry-after", "77")], "mine")).await;
    let node = node_before(&[origin.address], "").await;
    let reply = node.get("/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (503, "mine")
    );
    assert_eq!(reply.field("retry-after"), "77");
    assert_eq!(reply.field("proxy-status"), "");
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_slow_origin_harms_no_other() {
    let slow = Script::start(|_, mut wire| async move {
        wire.rest().await;
    })
    .await;
    let good = Origin::start(async |_| respond(200, &[], "good")).await;
    let node = TestNode::start(&format!(
        "[origin.slow]\naddresses = [\"{}\"]\nconnections = 1\nqueue = 1\n\
         [origin.good]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/slow\"\norigin = \"slow\"\ncache = \"off\"\n\
         [[site.route]]\npath = \"/good\"\norigin = \"good\"\ncache = \"off\"\n",
        slow.address, good.address
    ))
    .await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut wire = Wire::connect(node.http()).await;
        wire.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
        waiting.push(wire);
    }
    eventually("the slow origin's places are taken", async || {
        slow.connections() == 1
    })
    .await;
    for _ in 0..10 {
        assert_eq!(node.get("/good").await.status, 200);
    }
}
