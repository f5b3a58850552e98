//! Responses in codings: what clients decode is what the origin sent, tags tell
//! representations apart, and a representation is made once.

use std::io::Read as _;
use std::process::{Command, Stdio};

use verge_tests::origin::respond;
use verge_tests::{Client, Origin, Reply, TestNode, eventually, node};

use super::kit::{assert_cache, settled, stats};

const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];

/// Text that compresses well and is not small; different for each target.
pub(super) fn content(target: &str) -> String {
    let lines = (0..400).map(|line| format!("<p>{target}: line {line} of a page</p>\n"));
    lines.collect()
}

pub(super) fn decode(reply: &Reply) -> String {
    let body = &*reply.body;
    let mut text = String::new();
    match reply.field("content-encoding").as_str() {
        "" => text = reply.text(),
        "br" => drop(
            brotli::Decompressor::new(body, 4096)
                .read_to_string(&mut text)
                .unwrap(),
        ),
        "zstd" => drop(
            zstd::stream::read::Decoder::new(body)
                .unwrap()
                .read_to_string(&mut text)
                .unwrap(),
        ),
        "gzip" => drop(
            flate2::read::GzDecoder::new(body)
                .read_to_string(&mut text)
                .unwrap(),
        ),
        other => panic!("{other}"),
    }
    text
}

pub(super) const PAGE: &[(&str, &str)] = &[
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "max-age=60"),
    ("etag", "\"abc\""),
    ("last-modified", "Tue, 01 Oct 2024 10:00:00 GMT"),
    ("vary", "Cookie"),
];

/// An origin of pages that knows its own tags only.
pub(super) async fn pages(fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::start(async move |request| {
        let known = request.field("if-none-match").unwrap_or_default();
        let matches = known.split(", ").any(|tag| tag == "\"abc\"");
        if request.method == "PUT" {
            let required = request.field("if-match").unwrap_or_default();
            let is_met = required.split(", ").any(|tag| tag == "\"abc\"");
            return respond(if is_met { 204 } else { 412 }, &[], "");
        }
        if matches {
            return respond(304, fields, "");
        }
        respond(200, fields, content(&request.target))
    })
    .await
}

pub(super) async fn compressing(origin: &Origin) -> TestNode {
    TestNode::start(&format!(
        "[compression]\non = true\n{}",
        node::route_to(origin)
    ))
    .await
}

pub(super) async fn connect(node: &TestNode) -> Client {
    let mut client = node.client().await;
    client.set_authority("shop.example");
    client
}

pub(super) async fn get(client: &mut Client, path: &str, accept: &str) -> Reply {
    client.get_with(path, &[("accept-encoding", accept)]).await
}

/// Representations that are kept, by how many were made.
pub(super) async fn kept(node: &TestNode, count: u32) {
    node.settles(
        "verge_compressions_total{outcome=\"kept\"}",
        f64::from(count),
    )
    .await;
}

#[tokio::test]
async fn what_is_decoded_is_what_the_origin_sent() {
    let origin = pages(PAGE).await;
    let node = compressing(&origin).await;
    let mut http1 = connect(&node).await;
    let mut http2 = Client::h2c(node.http()).await;
    http2.set_authority("shop.example");
    for client in [&mut http1, &mut http2] {
        for coding in CODINGS {
            let reply = get(client, "/a", coding).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.field("content-encoding"), coding);
            assert_eq!(reply.field("etag"), format!("\"abc-{coding}\""));
            assert_eq!(reply.field("vary"), "Cookie, Accept-Encoding");
            assert_eq!(reply.field("accept-ranges"), "");
            assert!(reply.body.len() < content("/a").len() / 4);
            assert_eq!(decode(&reply), content("/a"));
            settled(&node).await;
        }
        let reply = get(client, "/a", "identity").await;
        assert_eq!(reply.field("content-encoding"), "");
        assert_eq!(reply.field("etag"), "\"abc\"");
        assert_eq!(reply.field("vary"), "Cookie, Accept-Encoding");
        assert_eq!(reply.text(), content("/a"));
    }
    assert_eq!(origin.count(), 1, "all of them are one stored response");
    kept(&node, 3).await;
    for coding in CODINGS {
        let reply = get(&mut http1, "/a", coding).await;
        assert_cache(&reply, "hit");
        assert_eq!(reply.field("content-length"), reply.body.len().to_string());
        let head = http1
            .send("HEAD", "/a", &[("accept-encoding", coding)], "")
            .await;
        for name in ["content-length", "content-encoding", "etag", "vary"] {
            assert_eq!(head.field(name), reply.field(name), "{name} of HEAD");
        }
    }
    kept(&node, 3).await;
}

#[tokio::test]
async fn curl_reads_every_coding() {
    let origin = pages(PAGE).await;
    let node = compressing(&origin).await;
    for accept in ["br", "zstd", "gzip", "gzip;q=0.5, zstd;q=0.9, br;q=0"] {
        for _ in 0..2 {
            let url = format!("http://{}/a", node.http());
            let header = format!("accept-encoding: {accept}");
            let output = tokio::task::spawn_blocking(move || {
                Command::new("curl")
                    .args(["--silent", "--fail", "--compressed", "--max-time", "20"])
                    .args(["--header", &header, &url])
                    .stdin(Stdio::null())
                    .output()
            });
            let Ok(output) = output.await.unwrap() else {
                // A machine without curl: the decoders above have read the same.
                return;
            };
            assert!(output.status.success(), "{accept}: {output:?}");
            assert_eq!(String::from_utf8(output.stdout).unwrap(), content("/a"));
            settled(&node).await;
        }
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn tags_of_codings_are_validated_as_what_they_are() {
    let origin = pages(PAGE).await;
    let node = compressing(&origin).await;
    let mut client = connect(&node).await;
    let reply = get(&mut client, "/a", "gzip").await;
    assert_eq!(reply.field("etag"), "\"abc-gzip\"");
    settled(&node).await;
    // (If-None-Match, Accept-Encoding, status, ETag): RFC 9110 8.8.3.3, 13.1.2.
    for (tag, accept, status, expected) in [
        ("\"abc-gzip\"", "gzip", 304, "\"abc-gzip\""),
        ("\"x\", \"abc-gzip\"", "gzip", 304, "\"abc-gzip\""),
        ("*", "gzip", 304, "\"abc-gzip\""),
        ("\"abc-gzip\"", "br", 200, "\"abc-br\""),
        ("\"abc-gzip\"", "identity", 200, "\"abc\""),
        ("\"abc\"", "identity", 304, "\"abc\""),
        // Who has the response as it is may keep it, unless it wants none such.
        ("\"abc\"", "gzip", 304, "\"abc\""),
        ("\"abc\"", "gzip, identity;q=0", 200, "\"abc-gzip\""),
        ("\"x\"", "gzip", 200, "\"abc-gzip\""),
    ] {
        let fields = [("if-none-match", tag), ("accept-encoding", accept)];
        let reply = client.get_with("/a", &fields).await;
        assert_eq!(reply.status, status, "{tag} {accept}");
        assert_eq!(reply.field("etag"), expected, "{tag} {accept}");
        assert_eq!(
            reply.field("vary"),
            "Cookie, Accept-Encoding",
            "{tag} {accept}"
        );
        assert_cache(&reply, "hit");
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn origin_is_asked_with_its_own_tag() {
    const STALE: &[(&str, &str)] = &[
        ("content-type", "text/html"),
        ("cache-control", "max-age=0"),
        ("etag", "\"abc\""),
    ];
    let origin = pages(STALE).await;
    let node = compressing(&origin).await;
    let mut client = connect(&node).await;
    get(&mut client, "/a", "gzip").await;
    settled(&node).await;
    kept(&node, 1).await;
    let reply = get(&mut client, "/a", "gzip").await;
    assert_cache(&reply, "fwd=stale");
    assert_eq!(decode(&reply), content("/a"));
    let asked = origin.requests().pop().unwrap();
    assert_eq!(asked.field("if-none-match"), Some("\"abc\""));
    // The freshened response has the representation of the one before it.
    assert_eq!(reply.field("content-length"), reply.body.len().to_string());
    kept(&node, 1).await;
    let fields = [("if-match", "\"abc-gzip\"")];
    let reply = client.send("PUT", "/a", &fields, "new").await;
    assert_eq!(reply.status, 204, "the origin does not know our tags");
    let reply = client
        .send("PUT", "/a", &[("if-match", "\"abd-gzip\"")], "new")
        .await;
    assert_eq!(reply.status, 412);
}

#[tokio::test]
async fn what_passes_through_is_compressed_and_validated() {
    const PRIVATE: &[(&str, &str)] = &[
        ("content-type", "application/json"),
        ("cache-control", "private"),
        ("etag", "\"abc\""),
    ];
    let origin = pages(PRIVATE).await;
    let node = compressing(&origin).await;
    let mut client = connect(&node).await;
    for _ in 0..2 {
        let reply = get(&mut client, "/a", "zstd").await;
        assert_eq!(reply.field("etag"), "\"abc-zstd\"");
        assert_eq!(decode(&reply), content("/a"));
    }
    let fields = [
        ("if-none-match", "\"abc-zstd\""),
        ("accept-encoding", "zstd"),
    ];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!(reply.status, 304);
    assert_eq!(reply.field("etag"), "\"abc-zstd\"");
    let head = client
        .send("HEAD", "/a", &[("accept-encoding", "zstd")], "")
        .await;
    assert_eq!(head.field("etag"), "\"abc-zstd\"");
    assert_eq!(head.field("content-encoding"), "zstd");
    assert_eq!(head.field("content-length"), "");
    node.settles("verge_compressions_total{outcome=\"passed\"}", 2.0)
        .await;
}

#[tokio::test]
async fn what_gains_nothing_is_sent_as_it_is() {
    type Fields = &'static [(&'static str, &'static str)];
    const TEXT: (&str, &str) = ("content-type", "text/plain");
    const MINUTE: (&str, &str) = ("cache-control", "max-age=60");
    // (path, origin's fields, whether the content is long, whether the response varies)
    const ROWS: &[(&str, Fields, bool, bool)] = &[
        ("/small", &[TEXT, MINUTE], false, false),
        (
            "/image",
            &[("content-type", "image/png"), MINUTE],
            true,
            false,
        ),
        ("/untyped", &[MINUTE], true, false),
        (
            "/coded",
            &[TEXT, MINUTE, ("content-encoding", "x-own")],
            true,
            false,
        ),
        (
            "/kept",
            &[TEXT, ("cache-control", "max-age=60, no-transform")],
            true,
            false,
        ),
        (
            "/digest",
            &[TEXT, MINUTE, ("repr-digest", "sha-256=:AA==:")],
            true,
            false,
        ),
        (
            "/events",
            &[("content-type", "text/event-stream"), MINUTE],
            true,
            false,
        ),
    ];
    let origin = Origin::start(async |request| {
        let row = ROWS
            .iter()
            .find(|(path, ..)| *path == request.target)
            .unwrap();
        let body = if row.2 {
            content(row.0)
        } else {
            "small".to_owned()
        };
        respond(200, row.1, body)
    })
    .await;
    let node = compressing(&origin).await;
    let mut client = connect(&node).await;
    for outcome in ["fwd=uri-miss", "hit"] {
        for (path, fields, is_long, varies) in ROWS {
            let reply = get(&mut client, path, "br, gzip").await;
            assert_cache(&reply, outcome);
            let own = fields.iter().find(|(name, _)| *name == "content-encoding");
            assert_eq!(
                reply.field("content-encoding"),
                own.map_or("", |(_, value)| value)
            );
            assert_eq!(reply.field("vary").is_empty(), !varies, "{path}");
            assert_eq!(reply.body.len() > 100, *is_long, "{path}");
            settled(&node).await;
        }
    }
    node.settles("verge_compressions_total", 0.0).await;
}

#[tokio::test]
async fn ranges_and_no_transform_get_the_response_as_it_is() {
    let origin = pages(PAGE).await;
    let node = compressing(&origin).await;
    let mut client = connect(&node).await;
    get(&mut client, "/a", "gzip").await;
    settled(&node).await;
    let whole = content("/a");
    for (name, value, status, body, tag) in [
        ("range", "bytes=3-9", 206, &whole[3..10], "\"abc\""),
        ("cache-control", "no-transform", 200, &whole, "\"abc\""),
    ] {
        let fields = [(name, value), ("accept-encoding", "gzip")];
        let reply = client.get_with("/a", &fields).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.text(), body);
        assert_eq!(reply.field("content-encoding"), "");
        assert_eq!(reply.field("etag"), tag);
        assert_cache(&reply, "hit");
    }
    // RFC 9110 13.1.5: a part of another representation is of no use; all of it is sent.
    let fields = [
        ("range", "bytes=3-9"),
        ("if-range", "\"abc-gzip\""),
        ("accept-encoding", "gzip"),
    ];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, whole));
}

#[tokio::test]
async fn representations_go_with_what_they_are_made_of() {
    let origin = pages(PAGE).await;
    let node = compressing(&origin).await;
    let mut client = connect(&node).await;
    get(&mut client, "/a", "gzip").await;
    settled(&node).await;
    kept(&node, 1).await;
    let with_coded = stats(&node).bytes;
    assert!(with_coded > content("/a").len() as u64, "both are counted");
    client
        .send("PUT", "/a", &[("if-match", "\"abc\"")], "new")
        .await;
    eventually("all bytes are given back", async || stats(&node).bytes == 0).await;
    let reply = get(&mut client, "/a", "gzip").await;
    assert_cache(&reply, "fwd=uri-miss");
    kept(&node, 2).await;
}
