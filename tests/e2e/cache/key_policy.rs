//! What of a request counts, by `[site.route.key]`: what is found, what the
//! origin sees, what a purge of a URL reaches, and what is told in the log.

use verge_tests::origin::respond;
use verge_tests::{Client, Origin, Recorded, TestNode, eventually, log, node};

use super::kit::{MINUTE, assert_cache, settled};

/// An origin that says what it saw.
async fn telling() -> Origin {
    Origin::start(async |request| {
        let cookie = request.field("cookie").unwrap_or("-").to_owned();
        let device = request.field("x-device").unwrap_or("-").to_owned();
        match request.method.as_str() {
            "GET" | "HEAD" => respond(200, MINUTE, format!("{} {cookie} {device}", request.target)),
            _ => respond(204, &[], ""),
        }
    })
    .await
}

async fn node_keyed(origin: &Origin, key: &str) -> TestNode {
    let toml = format!("{}[site.route.key]\n{key}\n", node::route_to(origin));
    TestNode::start(&toml).await
}

async fn connect(node: &TestNode) -> Client {
    let mut client = node.client().await;
    client.set_authority("shop.example");
    client
}

fn targets(origin: &Origin) -> Vec<String> {
    let requests = origin.requests();
    requests
        .into_iter()
        .map(|seen: Recorded| seen.target)
        .collect()
}

type Fields<'a> = &'a [(&'a str, &'a str)];

/// Asks for each of these and says what was found and what the content is.
async fn run(client: &mut Client, node: &TestNode, rows: &[(&str, Fields<'_>, &str, &str)]) {
    for (path, fields, outcome, content) in rows {
        let reply = client.get_with(path, fields).await;
        assert_cache(&reply, outcome);
        assert_eq!(reply.text(), *content, "{path} {fields:?}");
        settled(node).await;
    }
}

const MISS: &str = "fwd=uri-miss";

#[tokio::test]
async fn tracking_is_neither_keyed_nor_forwarded() {
    let origin = telling().await;
    let node = node_keyed(
        &origin,
        "query = \"sorted\"\ndrop_preset = \"tracking\"\ndrop = [\"debug\"]",
    )
    .await;
    let mut client = connect(&node).await;
    let rows: &[(&str, Fields<'_>, &str, &str)] = &[
        ("/a?utm_source=x&b=1&a=2", &[], MISS, "/a?a=2&b=1 - -"),
        (
            "/a?b=1&gclid=y&a=2&utm_campaign=z",
            &[],
            "hit",
            "/a?a=2&b=1 - -",
        ),
        ("/a?a=2&b=1", &[], "hit", "/a?a=2&b=1 - -"),
        ("/a?a=3&b=1", &[], MISS, "/a?a=3&b=1 - -"),
        ("/a?utm%5fsource=x", &[], MISS, "/a - -"),
        ("/a?debug", &[], "hit", "/a - -"),
        ("/a", &[], "hit", "/a - -"),
        // An empty query is another one (RFC 3986 6.2.3).
        ("/a?", &[], MISS, "/a? - -"),
    ];
    run(&mut client, &node, rows).await;
    assert_eq!(targets(&origin), ["/a?a=2&b=1", "/a?a=3&b=1", "/a", "/a?"]);
}

#[tokio::test]
async fn only_allowed_parameters_count() {
    let origin = telling().await;
    let node = node_keyed(&origin, "allow = [\"q\", \"p*\"]").await;
    let mut client = connect(&node).await;
    let rows: &[(&str, Fields<'_>, &str, &str)] = &[
        ("/a?q=1&callback=evil", &[], MISS, "/a?q=1 - -"),
        ("/a?q=1", &[], "hit", "/a?q=1 - -"),
        (
            "/a?q=1;callback=evil",
            &[],
            MISS,
            "/a?q=1;callback=evil - -",
        ),
        ("/a?page=2&q=1", &[], MISS, "/a?page=2&q=1 - -"),
        ("/a?q=1&page=2", &[], MISS, "/a?q=1&page=2 - -"),
    ];
    run(&mut client, &node, rows).await;
}

#[tokio::test]
async fn no_query_counts() {
    let origin = telling().await;
    let node = node_keyed(&origin, "query = \"none\"").await;
    let mut client = connect(&node).await;
    let rows: &[(&str, Fields<'_>, &str, &str)] = &[
        ("/a?v=1", &[], MISS, "/a - -"),
        ("/a?v=2", &[], "hit", "/a - -"),
    ];
    run(&mut client, &node, rows).await;
}

#[tokio::test]
async fn fields_and_cookies_are_parts_and_other_cookies_go_no_further() {
    let origin = telling().await;
    let node = node_keyed(&origin, "fields = [\"X-Device\"]\ncookies = [\"currency\"]").await;
    let mut client = connect(&node).await;
    let rows: &[(&str, Fields<'_>, &str, &str)] = &[
        ("/a", &[("x-device", "tv")], MISS, "/a - tv"),
        ("/a", &[("x-device", "phone")], MISS, "/a - phone"),
        (
            "/a",
            &[("x-device", "tv"), ("cookie", "session=1")],
            "hit",
            "/a - tv",
        ),
        (
            "/a",
            &[("cookie", "session=1; currency=EUR")],
            MISS,
            "/a currency=EUR -",
        ),
        (
            "/a",
            &[("cookie", "currency=EUR; session=2; id=7")],
            "hit",
            "/a currency=EUR -",
        ),
        (
            "/a",
            &[("cookie", "currency=USD")],
            MISS,
            "/a currency=USD -",
        ),
        ("/a", &[], MISS, "/a - -"),
        ("/a", &[("x-device", "")], MISS, "/a -  "),
    ];
    // An empty field is shown as nothing.
    let rows: Vec<_> = rows
        .iter()
        .map(|(path, fields, outcome, content)| {
            (*path, *fields, *outcome, content.replace("-  ", "- "))
        })
        .collect();
    for (path, fields, outcome, content) in &rows {
        run(
            &mut client,
            &node,
            &[(*path, *fields, *outcome, content.as_str())],
        )
        .await;
    }
}

#[tokio::test]
async fn vary_still_counts_beside_key_parts() {
    let origin = Origin::start(async |request| {
        let language = request.field("accept-language").unwrap_or("-").to_owned();
        let fields = [
            ("cache-control", "max-age=60"),
            ("vary", "accept-language, cookie"),
        ];
        respond(200, &fields, language)
    })
    .await;
    let node = node_keyed(&origin, "cookies = []\nquery = \"none\"").await;
    let mut client = connect(&node).await;
    let rows: &[(&str, Fields<'_>, &str, &str)] = &[
        (
            "/a?1",
            &[("accept-language", "de"), ("cookie", "a=1")],
            MISS,
            "de",
        ),
        (
            "/a?2",
            &[("accept-language", "de"), ("cookie", "a=2")],
            "hit",
            "de",
        ),
        ("/a?3", &[("accept-language", "fr")], "fwd=vary-miss", "fr"),
        ("/a?4", &[("accept-language", "de")], "hit", "de"),
    ];
    run(&mut client, &node, rows).await;
}

#[tokio::test]
async fn parts_over_their_limit_go_past_the_cache() {
    let origin = telling().await;
    let node = node_keyed(&origin, "fields = [\"x-device\"]\nmax_bytes = 64").await;
    let mut client = connect(&node).await;
    let long = "x".repeat(64);
    for _ in 0..2 {
        let reply = client.get_with("/a", &[("x-device", &long)]).await;
        assert_cache(&reply, "fwd=bypass detail=key-too-large");
        settled(&node).await;
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn head_can_be_kept_apart() {
    let origin = telling().await;
    let node = node_keyed(&origin, "method = true").await;
    let mut client = connect(&node).await;
    assert_cache(&client.get("/a").await, MISS);
    settled(&node).await;
    assert_cache(&client.get("/a").await, "hit");
    for _ in 0..2 {
        let reply = client.send("HEAD", "/a", &[], "").await;
        assert_cache(&reply, MISS);
    }
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn unsafe_methods_invalidate_what_stands_under_a_coarser_key() {
    let origin = telling().await;
    let toml = format!(
        "[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nmethods = [\"GET\"]\norigin = \"app\"\n\
         [site.route.key]\nquery = \"sorted\"\ndrop_preset = \"tracking\"\n\
         cookies = [\"currency\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        origin.address
    );
    let node = TestNode::start(&toml).await;
    let mut client = connect(&node).await;
    for method in ["POST", "DELETE"] {
        for fields in [&[][..], &[("cookie", "currency=EUR")][..]] {
            for outcome in [MISS, "hit"] {
                let reply = client.get_with("/a?b=1&a=2&utm_id=x", fields).await;
                assert_cache(&reply, outcome);
                settled(&node).await;
            }
        }
        client.send(method, "/a?a=2&gclid=y&b=1", &[], "x").await;
    }
    let reply = client.get("/a?a=2&b=1").await;
    assert_cache(&reply, MISS);
}

#[tokio::test]
async fn unkeyed_input_that_reaches_the_origin_is_told() {
    log::keep();
    let origin = telling().await;
    let toml = format!(
        "[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/told/{{*rest}}\"\norigin = \"app\"\n\
         [site.route.key]\ndrop = [\"promo\"]\ncookies = [\"currency\"]\nforward = \"as-asked\"\n",
        origin.address
    );
    let node = TestNode::start(&toml).await;
    let mut client = connect(&node).await;
    let told = || {
        let lines = log::lines_with("/told/{*rest}");
        let texts = lines.iter().map(|line| {
            line["fields"]["message"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        });
        texts.collect::<Vec<_>>()
    };
    let count = |word: &str| told().iter().filter(|text| text.contains(word)).count();
    assert_eq!(count("as-asked"), 1, "{:?}", told());
    let fields = [("cookie", "session=s3cret; currency=EUR")];
    let reply = client.get_with("/told/a?promo=x", &fields).await;
    assert_eq!(
        reply.text(),
        "/told/a?promo=x session=s3cret; currency=EUR -"
    );
    settled(&node).await;
    // The origin is not asked: nothing reaches it.
    let reply = client.get_with("/told/a?promo=y", &fields).await;
    assert_cache(&reply, "hit");
    let reply = client.get_with("/told/b?promo=z&q=1", &fields).await;
    assert_cache(&reply, MISS);
    eventually("the names are told", async || {
        count("parameter \"promo\"") == 1 && count("cookie \"session\"") == 1
    })
    .await;
    assert_eq!(count("s3cret"), 0, "no value is told");
    assert_eq!(count("currency"), 0, "what is keyed is not told");
    node.settles("verge_cache_unkeyed_requests_total", 2.0)
        .await;
}

#[tokio::test]
async fn fields_that_override_the_target_cannot_be_keyed() {
    for name in [
        "X-Forwarded-Host",
        "x-original-url",
        "host",
        "connection",
        "forwarded",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("verge.toml");
        let text = format!(
            "listen.http = \"127.0.0.1:0\"\norigin.app.addresses = [\"127.0.0.1:1\"]\n\
             [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/\"\norigin = \"app\"\n\
             [site.route.key]\nfields = [\"{name}\"]\n"
        );
        std::fs::write(&file, text).unwrap();
        let config = verge_config::Config::read(&file).unwrap();
        let error = verge::node::start(config).err().unwrap().to_string();
        assert!(error.contains("site[0].route[0].key.fields"), "{error}");
    }
}

/// RFC 9110 9.3.3 allows the response to a POST to answer a GET; another route may have another
/// origin, other functions and another policy.
#[tokio::test]
async fn the_response_to_a_post_answers_no_get_of_another_route() {
    let (reader, writer) = (telling().await, {
        let fields = &[
            ("cache-control", "max-age=60"),
            ("content-location", "/orders"),
        ];
        Origin::start(move |_| async move { respond(200, fields, "written") }).await
    });
    let toml = format!(
        "[origin.reader]\naddresses = [\"{}\"]\n[origin.writer]\naddresses = [\"{}\"]\n\
         [[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/orders\"\nmethods = [\"GET\"]\norigin = \"reader\"\n\
         [[site.route]]\npath = \"/orders\"\norigin = \"writer\"\n",
        reader.address, writer.address
    );
    let node = TestNode::start(&toml).await;
    let mut client = connect(&node).await;
    let written = client.send("POST", "/orders", &[], "order").await;
    assert_eq!(written.text(), "written");
    settled(&node).await;
    let reply = client.get("/orders").await;
    assert_cache(&reply, MISS);
    assert_eq!((reader.count(), writer.count()), (1, 1));
}
