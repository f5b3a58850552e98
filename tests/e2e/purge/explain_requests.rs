//! What `/cache/explain` makes of requests that differ: past the cache, with a reduced key, for
//! parts, with preconditions, in codings, on a route with functions, on no site.

use serde_json::{Value, json};
use verge_tests::guests::{function, runtime};
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, eventually, node};

use super::explain::{explain, next};
use super::kit::{HOST, post, purge, shop, store};

async fn origin_with(fields: &'static [(&'static str, &'static str)]) -> Origin {
    let text = "some text that compresses ".repeat(100);
    Origin::start(move |request| {
        let text = text.clone();
        let range = request.field("range").map(str::to_owned);
        async move {
            match range.as_deref() {
                Some("bytes=0-9") => {
                    let mut all = fields.to_vec();
                    all.push(("content-range", "bytes 0-9/2600"));
                    respond(206, &all, text[..10].to_owned())
                }
                _ => respond(200, fields, text),
            }
        }
    })
    .await
}

const FRESH: &[(&str, &str)] = &[
    ("cache-control", "max-age=60"),
    ("content-type", "text/plain"),
    ("etag", "\"1\""),
];

#[tokio::test]
async fn rules_of_the_route_are_told() {
    let origin = origin_with(FRESH).await;
    let toml = format!(
        "{}[site.route.policy]\nbypass = [{{ field = \"x-preview\" }}, {{ cookie = \"session\" }}]\n\
         [site.route.key]\ndrop = [\"utm_*\"]\n",
        node::route_to(&origin)
    );
    let node = TestNode::start(&toml).await;
    let told = explain(&node, "/a?q=1&utm_source=x", json!([])).await;
    assert_eq!(told["key"]["text"], "http://shop.example/a?q=1");
    assert_eq!(told["key"]["dropped"], json!(["utm_source"]));
    assert_eq!(told["bypass"], json!(["field x-preview", "cookie session"]));
    store(&node, HOST, "/a?q=1").await;
    let told = explain(&node, "/a?utm_medium=y&q=1", json!([])).await;
    assert_eq!(next(&told), ["hit", "fresh", "RFC 9111 4.2"]);
    for (field, reason, rule) in [
        (["x-preview", "1"], "route-field", "field x-preview"),
        (
            ["cookie", "a=b; session=1"],
            "route-cookie",
            "cookie session",
        ),
    ] {
        let told = explain(&node, "/a?q=1", json!([field])).await;
        assert_eq!(next(&told), ["bypass", reason, ""]);
        let what = told["next"]["what"].as_str().unwrap();
        assert!(what.contains(rule), "{what}");
        assert_eq!(told["stored"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_request_goes_past_the_cache_by_a_cookie_that_its_key_leaves_out() {
    let origin = origin_with(FRESH).await;
    let toml = format!(
        "{}[site.route.policy]\nbypass = [{{ cookie = \"session\" }}]\n\
         [site.route.key]\ncookies = [\"currency\"]\n",
        node::route_to(&origin)
    );
    let node = TestNode::start(&toml).await;
    store(&node, HOST, "/a").await;
    let told = explain(&node, "/a", json!([["cookie", "session=1"]])).await;
    assert_eq!(next(&told), ["bypass", "route-cookie", ""]);
    let what = told["next"]["what"].as_str().unwrap();
    assert!(what.contains("cookie session"), "{what}");
}

#[tokio::test]
async fn a_request_without_a_key_goes_past_the_cache_by_the_rule_that_comes_first() {
    let origin = origin_with(FRESH).await;
    let toml = format!(
        "{}[site.route.policy]\nbypass = [{{ field = \"x-preview\" }}]\n\
         [site.route.key]\nfields = [\"x-device\"]\nmax_bytes = \"64B\"\n",
        node::route_to(&origin)
    );
    let node = TestNode::start(&toml).await;
    let device = "d".repeat(200);
    let long = ["x-device", device.as_str()];
    let rows = [
        (json!([long]), "key-too-large"),
        (json!([long, ["x-preview", "1"]]), "route-field"),
        (json!([["x-preview", "1"]]), "route-field"),
    ];
    for (fields, reason) in rows {
        let told = explain(&node, "/a", fields.clone()).await;
        assert_eq!(next(&told)[..2], ["bypass", reason], "{fields}");
        let fields = fields.as_array().unwrap().iter();
        let fields: Vec<(&str, &str)> = fields
            .map(|field| (field[0].as_str().unwrap(), field[1].as_str().unwrap()))
            .collect();
        let mut client = Client::http1(node.http()).await;
        client.set_authority(HOST);
        let status = client.get_with("/a", &fields).await.cache_status();
        assert!(status.contains(&format!("detail={reason}")), "{status}");
    }
}

#[tokio::test]
async fn what_the_client_gets_is_told() {
    let origin = origin_with(FRESH).await;
    let toml = format!(
        "{}[compression]\non = true\nmin_size = \"1KiB\"\n",
        node::route_to(&origin)
    );
    let node = TestNode::start(&toml).await;
    store(&node, HOST, "/a").await;
    let rows = [
        (json!([]), 200, "none", json!("not-accepted")),
        (
            json!([["accept-encoding", "gzip"]]),
            200,
            "gzip",
            Value::Null,
        ),
        (
            json!([["if-none-match", "\"1\""]]),
            304,
            "none",
            json!("not-accepted"),
        ),
        (
            json!([["range", "bytes=0-9"]]),
            206,
            "none",
            json!("request-range"),
        ),
        (
            json!([["range", "bytes=9999-"]]),
            416,
            "none",
            json!("request-range"),
        ),
    ];
    for (fields, status, coding, reason) in rows {
        let told = explain(&node, "/a", fields.clone()).await;
        assert_eq!(next(&told)[0], "hit", "{fields}");
        assert_eq!(told["next"]["tier"], "memory");
        assert_eq!(told["next"]["status"], status, "{fields}");
        assert_eq!(told["coding"]["coding"], coding, "{fields}");
        assert_eq!(told["coding"]["reason"], reason, "{fields}");
    }
    let told = explain(&node, "/a", json!([["if-match", "\"2\""]])).await;
    assert_eq!(
        next(&told)[0],
        "hit",
        "what is stored is checked first: {told}"
    );
}

#[tokio::test]
async fn stored_parts_are_told() {
    let origin = origin_with(FRESH).await;
    let node = TestNode::start(&node::route_to(&origin)).await;
    let mut client = Client::http1(node.http()).await;
    client.set_authority(HOST);
    let told = explain(&node, "/a", json!([["range", "bytes=0-9"]])).await;
    assert_eq!(next(&told), ["miss", "uri-miss", "RFC 9111 3.3"]);
    let reply = client.get_with("/a", &[("range", "bytes=0-9")]).await;
    assert_eq!(reply.status, 206);
    let mut told = Value::Null;
    eventually("the part is stored", async || {
        told = explain(&node, "/a", json!([["range", "bytes=2-4"]])).await;
        told["parts"]
            .as_array()
            .is_some_and(|parts| !parts.is_empty())
    })
    .await;
    assert_eq!(next(&told), ["hit", "fresh", "RFC 9111 3.3"]);
    assert_eq!(told["next"]["status"], 206);
    assert_eq!(told["stored"], json!([]));
    assert_eq!(
        told["parts"][0],
        json!({
            "sort": "pieces", "state": "fresh", "ranges": ["0-9"], "total_bytes": 2600,
            "content_bytes": 10, "etag": "\"1\"",
        })
    );
    let told = explain(&node, "/a", json!([["range", "bytes=5-15"]])).await;
    assert_eq!(next(&told)[0], "miss");
}

#[tokio::test]
async fn purges_of_a_url_are_told() {
    let (_origin, node) = shop().await;
    store(&node, HOST, "/red/a").await;
    purge(&node, json!({"key": "red"}), true).await;
    purge(&node, json!({"url": format!("http://{HOST}/red/a")}), false).await;
    let told = explain(&node, "/red/a", json!([])).await;
    assert_eq!(next(&told)[0], "miss");
    let purged = &told["purges"][0];
    assert_eq!(
        (&purged["scope"], &purged["hardness"]),
        (&json!("url"), &json!("hard"))
    );
    assert!(purged["seconds_ago"].as_u64().unwrap() < 20);
    // A surrogate key is known of what is stored only.
    store(&node, HOST, "/red/a").await;
    let told = explain(&node, "/red/a", json!([])).await;
    let scopes: Vec<_> = told["purges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["scope"])
        .collect();
    assert_eq!(scopes, ["url", "key"]);
    assert_eq!(next(&told)[0], "hit");
}

#[tokio::test]
async fn a_host_that_no_site_serves_is_told_with_those_that_are() {
    let origin = origin_with(FRESH).await;
    let toml = node::route_to(&origin).replace("\"*\"", "\"shop.example\", \"*.shop.example\"");
    let node = TestNode::start(&toml).await;
    let request = json!({"url": "http://other.example/a"});
    let (status, told) = post(&node, "/cache/explain", &request).await;
    assert_eq!(status, 422, "{told}");
    let error = told["error"].as_str().unwrap();
    assert!(
        error.starts_with("no site serves `other.example`"),
        "{error}"
    );
    let expected = told["expected"].as_str().unwrap();
    assert!(expected.contains("shop.example"), "{expected}");
}

#[tokio::test]
async fn functions_in_front_of_the_cache_are_run_if_that_is_asked_for() {
    let origin = origin_with(FRESH).await;
    let config = "config = { audience = \"shop\", public = \"/login\" }\ngrants = { secret = [\"jwt-key\"], fetch = [], cache = true }";
    let setup = verge_tests::node::Setup::new();
    setup.write("jwt-key", "0123456789abcdef0123456789abcdef");
    let toml = format!(
        "{}{}[secret.jwt-key]\nfile = \"jwt-key\"\n{}viewer_request = [\"auth\"]\n",
        runtime(),
        function("auth", "auth", config),
        node::route_to(&origin)
    );
    let node = setup.start(&toml).await;
    let ask = async |path: &str, run: bool| {
        let request = json!({"url": format!("http://{HOST}{path}"), "run_functions": run});
        let (status, told) = post(&node, "/cache/explain", &request).await;
        assert_eq!(status, 200, "{told}");
        told
    };
    let told = ask("/account", false).await;
    assert_eq!(next(&told), ["miss", "uri-miss", "RFC 9111 4"]);
    assert_eq!(
        (&told["functions"], &told["run"]),
        (&json!(["auth"]), &Value::Null)
    );
    let told = ask("/account", true).await;
    assert_eq!(next(&told), ["answered", "viewer-request", ""]);
    assert_eq!(
        (&told["run"]["outcome"], &told["run"]["status"]),
        (&json!("answered"), &json!(401))
    );
    assert_eq!(told["key"], Value::Null);
    let told = ask("/login", true).await;
    assert_eq!(told["run"]["outcome"], "continued");
    assert_eq!(next(&told)[0], "miss");
    assert!(told["key"]["text"].is_string());
    assert_eq!(origin.count(), 0, "no origin is asked");
}
