//! `transform` at origin-response: text and links in content, substituted as it streams into the
//! store.

use bytes::Bytes;
use http::Method;
use verge_http::range::{RangeSelection, content_range, select_ranges};
use verge_tests::guests::{function, runtime};
use verge_tests::origin::{OriginResponse, respond, respond_in_steps};
use verge_tests::{Origin, Recorded, TestNode};

const RULES: &str = "config = { replace = \"Acme => Emca\", links = \"http://old.example => https://www.example\" }";

async fn start(origin: &Origin, keys: &str) -> TestNode {
    start_with(
        origin,
        keys,
        "origin_request = [\"rewrite\"]\norigin_response = [\"rewrite\"]\n",
    )
    .await
}

/// The same with other keys of its route.
async fn start_with(origin: &Origin, keys: &str, route: &str) -> TestNode {
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n{route}",
        runtime(),
        function("rewrite", "transform", keys),
        origin.address,
    );
    TestNode::start(&toml).await
}

const PAGE: &str = "<title>Acme</title><p>Acme of <a href=http://old.example/a>Acme</a></p>";
const CHANGED: &str =
    "<title>Emca</title><p>Emca of <a href=\"https://www.example/a\">Emca</a></p>";

#[tokio::test]
async fn html_is_rewritten_before_it_is_stored() {
    let fields = &[
        ("cache-control", "max-age=60"),
        ("content-type", "text/html; charset=utf-8"),
        ("etag", "\"v1\""),
        ("content-md5", "sum"),
    ];
    let origin = Origin::start(move |_| async move { respond(200, fields, PAGE) }).await;
    let node = start(&origin, RULES).await;
    let mut client = node.client().await;
    for outcome in ["fwd=uri-miss", "hit"] {
        let reply = client.get_with("/", &[("accept-encoding", "br")]).await;
        assert_eq!(reply.text(), CHANGED);
        let status = reply.cache_status();
        assert!(status.contains(outcome), "{status}");
        // The origin's validator was that of other bytes (RFC 9110 8.8.1).
        assert_eq!(reply.field("etag"), "W/\"v1\"");
        assert_eq!(reply.field("content-md5"), "");
    }
    let part = client.get_with("/", &[("range", "bytes=7-10")]).await;
    assert_eq!((part.status.as_u16(), part.text()), (206, "Emca".into()));
    let whole = format!("bytes 7-10/{}", CHANGED.len());
    assert_eq!(part.field("content-range"), whole);
    assert_eq!(origin.count(), 1);
    let asked = origin.requests()[0]
        .field("accept-encoding")
        .map(str::to_owned);
    assert_eq!(asked.as_deref(), Some("identity"));
}

/// `PAGE`, or the part of it that is asked for.
fn page_or_part(request: &Recorded) -> OriginResponse {
    let mut fields = vec![
        ("cache-control", "max-age=60"),
        ("content-type", "text/html"),
        ("etag", "\"v1\""),
    ];
    let total = PAGE.len() as u64;
    match select_ranges(&Method::GET, &request.fields, true, total) {
        RangeSelection::Single(part) => {
            let range = content_range(part, total);
            fields.push(("content-range", range.to_str().unwrap()));
            let part = &PAGE[part.first as usize..=part.last as usize];
            respond(206, &fields, part)
        }
        _ => respond(200, &fields, PAGE),
    }
}

/// Who asks for a part decides for nobody what is substituted: neither by the function's own
/// request for the whole, nor, where only the response is its own, by the node's.
#[tokio::test]
async fn client_that_asks_for_a_part_switches_no_substitution_off() {
    let all = format!("bytes=0-{}", PAGE.len() - 1);
    let response = "origin_response = [\"rewrite\"]\n";
    let both = "origin_request = [\"rewrite\"]\norigin_response = [\"rewrite\"]\n";
    for (route, is_stored) in [
        (response.to_owned(), true),
        (format!("{response}cache = \"off\"\n"), false),
        (format!("{both}ranges = \"pieces\"\n"), true),
        (format!("{both}ranges = \"slices\"\n"), true),
        (format!("{both}ranges = \"pass\"\n"), true),
    ] {
        let origin = Origin::start(async |request| page_or_part(&request)).await;
        let node = start_with(&origin, RULES, &route).await;
        let mut client = node.client().await;
        for range in [&*all, "bytes=0-12", "bytes=7-10"] {
            let part = client.get_with("/", &[("range", range)]).await;
            assert!(!part.text().contains("Acme"), "{route}: {}", part.text());
        }
        let whole = client.get("/").await;
        assert_eq!(whole.text(), CHANGED, "{route}");
        assert_eq!(whole.field("etag"), "W/\"v1\"", "{route}");
        if is_stored {
            let part = client.get_with("/", &[("range", "bytes=7-10")]).await;
            assert_eq!(part.text(), "Emca", "{route}");
        }
        for asked in origin.requests() {
            assert_eq!(asked.field("range"), None, "{route}");
        }
    }
}

#[tokio::test]
async fn text_that_the_origin_cuts_anywhere_is_found() {
    for cut in 1..PAGE.len() {
        if !PAGE[..cut].ends_with(['A', 'c', 'm', 't', 'd', '=']) {
            continue;
        }
        let origin = Origin::start(move |_| async move {
            let fields = [("content-type", "text/html")];
            let (pieces, response) = respond_in_steps(200, &fields);
            let (first, second) = PAGE.split_at(cut);
            for piece in [first, second] {
                pieces
                    .send(Some(Bytes::from_static(piece.as_bytes())))
                    .unwrap();
            }
            pieces.send(None).unwrap();
            response
        })
        .await;
        let node = start(&origin, RULES).await;
        assert_eq!(node.get("/").await.text(), CHANGED, "cut at {cut}");
    }
}

#[tokio::test]
async fn content_streams_through_before_it_has_ended() {
    let (told, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let origin = Origin::start(move |_| {
        let told = told.clone();
        async move {
            let fields = [("content-type", "text/event-stream")];
            let (pieces, response) = respond_in_steps(200, &fields);
            pieces
                .send(Some(Bytes::from_static(b"data: Acme\n\n")))
                .unwrap();
            told.send(pieces).unwrap();
            response
        }
    })
    .await;
    let node = start(&origin, RULES).await;
    let mut client = node.client().await;
    let reply = client.begin("GET", "/", &[], verge_tests::client::empty());
    let mut body = reply.await.unwrap().into_body();
    let pieces = asked.recv().await.unwrap();
    let next = async |body: &mut hyper::body::Incoming| {
        use http_body_util::BodyExt as _;
        let frame = body.frame().await.unwrap().unwrap();
        frame.into_data().unwrap()
    };
    // The origin has not ended, and the client has it.
    assert_eq!(next(&mut body).await, "data: Emca\n\n");
    pieces.send(Some(Bytes::from_static(b"data: Ac"))).unwrap();
    assert_eq!(next(&mut body).await, "data: ");
    pieces.send(Some(Bytes::from_static(b"me\n\n"))).unwrap();
    assert_eq!(next(&mut body).await, "Emca\n\n");
}

#[tokio::test]
async fn large_content_goes_through_in_the_memory_of_a_piece() {
    // Far more than the instance may have.
    let line = "Acme and so on, for a line of sixty-four bytes and one more.....\n";
    let content = line.repeat((16 << 20) / line.len());
    let expected = content.replace("Acme", "Emca");
    let content = Bytes::from(content);
    let origin = Origin::start(move |_| {
        let content = content.clone();
        async move { respond(200, &[("content-type", "text/plain")], content) }
    })
    .await;
    let node = start(
        &origin,
        &format!("memory = \"2MiB\"\nbody = \"64MiB\"\n{RULES}"),
    )
    .await;
    let reply = node.get("/").await;
    assert!(reply.text() == expected, "{} bytes", reply.body.len());
}

#[tokio::test]
async fn what_cannot_be_read_is_left_alone() {
    let cases: [&[(&str, &str)]; 3] = [
        &[
            ("content-type", "text/html"),
            ("content-encoding", "gzip"),
            ("etag", "\"v1\""),
        ],
        &[("content-type", "image/png"), ("etag", "\"v1\"")],
        &[
            ("content-type", "text/html"),
            ("cache-control", "no-transform"),
            ("etag", "\"v1\""),
        ],
    ];
    for fields in cases {
        let origin = Origin::start(move |_| async move { respond(200, fields, PAGE) }).await;
        let node = start(&origin, RULES).await;
        let mut client = node.client().await;
        let reply = client.get_with("/", &[("accept-encoding", "gzip")]).await;
        assert_eq!(reply.text(), PAGE, "{fields:?}");
        assert_eq!(reply.field("etag"), "\"v1\"", "{fields:?}");
    }
}

/// Content that is not substituted in goes past the function: 64 MiB through a limit of 64 KiB, at
/// no more CPU time than a small one. Prints how fast, with `--nocapture`.
#[tokio::test]
async fn content_that_is_left_alone_never_enters_the_function() {
    let content = Bytes::from(vec![b'x'; 64 << 20]);
    let given = content.clone();
    let origin = Origin::start(move |_| {
        let content = given.clone();
        async move { respond(200, &[("content-type", "image/png")], content) }
    })
    .await;
    let node = start(&origin, &format!("body = \"64KiB\"\n{RULES}")).await;
    let mut client = node.client().await;
    let begun = std::time::Instant::now();
    let reply = client.get("/").await;
    let took = begun.elapsed();
    assert!(reply.body == content, "{} bytes", reply.body.len());
    let receipt = node.receipt(&reply.field("x-request-id")).await;
    let call = &receipt["functions"][1];
    assert_eq!(call["trigger"], "origin-response", "{receipt}");
    let spent = call["cpu_us"].as_f64().unwrap();
    assert!(spent < 10_000.0, "{spent} us of CPU time");
    let rate = content.len() as f64 / took.as_secs_f64() / 1e9;
    println!(
        "{rate:.2} GB/s from a scripted origin to a client, {spent} us of CPU time in the function"
    );
}

#[tokio::test]
async fn what_is_stored_changed_is_validated_as_what_it_was_made_of() {
    let origin = Origin::start(async |asked| {
        let fields = [
            ("cache-control", "no-cache"),
            ("content-type", "text/html"),
            ("etag", "\"v1\""),
        ];
        let length = PAGE.len().to_string();
        match asked.field("if-none-match") {
            Some(known) if known.contains("\"v1\"") => respond(304, &fields, ""),
            _ if asked.method == "HEAD" => {
                let length = [("content-length", length.as_str())];
                respond(200, &[&fields[..], &length[..]].concat(), "")
            }
            _ => respond(200, &fields, PAGE),
        }
    })
    .await;
    let node = start(&origin, RULES).await;
    let mut client = node.client().await;
    for asked in [1, 2, 3] {
        let reply = client.get("/").await;
        assert_eq!((reply.text().as_str(), origin.count()), (CHANGED, asked));
        assert_eq!(reply.field("etag"), "W/\"v1\"");
    }
    // What HEAD says of the origin's content is not said of what was made of it.
    let head = client.send("HEAD", "/", &[], "").await;
    assert_eq!(head.field("etag"), "W/\"v1\"");
    assert_eq!(head.field("content-length"), "");
    let reply = client.get("/").await;
    assert_eq!(reply.text(), CHANGED);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.field("if-none-match"), Some("W/\"v1\""));
}
