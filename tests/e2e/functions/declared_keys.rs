//! Surrogate keys that functions declare hold for all that is stored of a response: for parts and
//! slices of it, and after it was freshened.

use bytes::Bytes;
use http::Method;
use verge_cache::{Hardness, PurgeScope};
use verge_http::range::{RangeSelection, content_range, select_ranges};
use verge_http::surrogate::SurrogateKey;
use verge_tests::guests::{function, runtime};
use verge_tests::origin::{OriginResponse, respond};
use verge_tests::{Origin, Recorded, Reply, TestNode, eventually};

const SLICE: usize = 64 * 1024;

/// `ranges` of a route behind a function that declares `KEY` for `/tag/KEY`.
async fn node(origin: &Origin, ranges: &str) -> TestNode {
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\nviewer_request = [\"f\"]\n\
         ranges = \"{ranges}\"\n{}",
        runtime(),
        function("f", "keeps-entries", "grants = { cache = true }"),
        origin.address,
        match ranges {
            "slices" => "slice = \"64KiB\"\n",
            _ => "",
        },
    );
    TestNode::start(&toml).await
}

/// What a server answers that knows ranges and one entity tag. It names a key of its own.
fn answer(request: &Recorded, content: &Bytes, cache_control: &str) -> OriginResponse {
    let fields = [
        ("cache-control", cache_control),
        ("etag", "\"a\""),
        ("surrogate-key", "named"),
    ];
    if request.field("if-none-match") == Some("\"a\"") {
        return respond(304, &fields, "");
    }
    let total = content.len() as u64;
    match select_ranges(&Method::GET, &request.fields, true, total) {
        RangeSelection::Single(part) => {
            let range = content_range(part, total);
            let mut fields = fields.to_vec();
            fields.push(("content-range", range.to_str().unwrap()));
            let part = content.slice(part.first as usize..=part.last as usize);
            respond(206, &fields, part)
        }
        _ => respond(200, &fields, content.clone()),
    }
}

async fn origin(content: Bytes, cache_control: &'static str) -> Origin {
    Origin::start(move |request| {
        let content = content.clone();
        async move { answer(&request, &content, cache_control) }
    })
    .await
}

async fn get(node: &TestNode, fields: &[(&str, &str)]) -> Reply {
    let reply = node.client().await.get_with("/tag/declared", fields).await;
    eventually("the fills have ended", async || {
        node.state().cache.stats().fills_in_progress == 0
    })
    .await;
    reply
}

fn purge(node: &TestNode, key: &str) {
    let scope = PurgeScope::SurrogateKey(SurrogateKey::new(key).unwrap());
    node.state().cache.purge(scope, Hardness::Hard);
}

#[tokio::test]
async fn slices_and_parts_are_purged_by_declared_keys() {
    let content = Bytes::from(vec![b'x'; 2 * SLICE + 10]);
    for key in ["declared", "named"] {
        for (ranges, range) in [
            ("slices", None),
            ("slices", Some("bytes=70000-70009")),
            ("pieces", Some("bytes=0-9")),
        ] {
            let origin = origin(content.clone(), "max-age=600").await;
            let node = node(&origin, ranges).await;
            let fields: Vec<_> = range.map(|range| ("range", range)).into_iter().collect();
            let first = get(&node, &fields).await;
            let asked = origin.count();
            assert_eq!(get(&node, &fields).await.body, first.body);
            assert_eq!(origin.count(), asked, "it is stored: {ranges} {range:?}");
            purge(&node, key);
            assert_eq!(get(&node, &fields).await.body, first.body);
            assert_eq!(origin.count(), 2 * asked, "{key} {ranges} {range:?}");
        }
    }
}

/// A piece brings its keys with it into what it is put together with.
#[tokio::test]
async fn parts_that_are_put_together_are_purged_by_the_keys_of_each() {
    let origin = Origin::start(async |request| {
        let second = request.field("range") == Some("bytes=5-9");
        let (range, key) = match second {
            true => ("bytes 5-9/20", "two"),
            false => ("bytes 0-4/20", "one"),
        };
        let fields = [
            ("cache-control", "max-age=600"),
            ("etag", "\"a\""),
            ("surrogate-key", key),
            ("content-range", range),
        ];
        respond(206, &fields, "01234")
    })
    .await;
    for key in ["one", "two", "declared"] {
        let node = node(&origin, "pieces").await;
        let before = origin.count();
        for range in ["bytes=0-4", "bytes=5-9", "bytes=2-7"] {
            let reply = get(&node, &[("range", range)]).await;
            assert_eq!(reply.status, 206);
        }
        assert_eq!(origin.count(), before + 2, "the two are put together");
        purge(&node, key);
        get(&node, &[("range", "bytes=0-4")]).await;
        assert_eq!(origin.count(), before + 3, "{key}");
    }
}

#[tokio::test]
async fn what_is_freshened_keeps_its_declared_keys() {
    for method in ["GET", "HEAD"] {
        for key in ["declared", "named"] {
            let origin = origin("content".into(), "max-age=0, stale-if-error=600").await;
            let node = node(&origin, "whole").await;
            get(&node, &[]).await;
            let mut client = node.client().await;
            let reply = client.send(method, "/tag/declared", &[], "").await;
            assert_eq!(reply.status, 200);
            assert_eq!(origin.count(), 2, "it is asked about");
            assert_eq!(node.state().cache.stats().entries, 1);
            purge(&node, key);
            get(&node, &[]).await;
            let last = origin.requests().pop().unwrap();
            assert_eq!(
                last.field("if-none-match"),
                None,
                "{key} after {method}: nothing is stored to be asked about"
            );
        }
    }
}
