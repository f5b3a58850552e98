//! What a route says about storing: lifetimes, statuses, directives, cookies,
//! requests that go past the cache.

use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode};

use super::kit::{assert_cache, settled};

/// A node whose one route has this policy, and an origin that answers with this.
async fn with_policy(
    policy: &'static str,
    status: u16,
    fields: &'static [(&'static str, &'static str)],
) -> (TestNode, Origin, Client) {
    with_cache("", policy, status, fields).await
}

async fn with_cache(
    cache: &str,
    policy: &str,
    status: u16,
    fields: &'static [(&'static str, &'static str)],
) -> (TestNode, Origin, Client) {
    let origin = Origin::start(move |_| async move { respond(status, fields, "content") }).await;
    let toml = format!(
        "[cache]\n{cache}\n[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n[site.route.policy]\n{policy}\n",
        origin.address
    );
    let node = TestNode::start(&toml).await;
    let client = node.client().await;
    (node, origin, client)
}

/// Asks twice; the words of the first and of the second answer.
async fn twice(node: &TestNode, client: &mut Client, first: &str, second: &str) {
    for words in [first, second] {
        let reply = client.get("/a").await;
        assert_cache(&reply, words);
        settled(node).await;
    }
}

/// The ttl that Cache-Status of a stored answer names.
async fn ttl(client: &mut Client, path: &str) -> i64 {
    let status = client.get(path).await.cache_status();
    let ttl = status.split("ttl=").nth(1).unwrap_or_default();
    let ttl: String = ttl
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '-')
        .collect();
    ttl.parse().unwrap_or_else(|_| panic!("no ttl in {status}"))
}

const STORED: &str = "fwd=uri-miss stored";
const REFUSED: &str = "fwd=uri-miss !stored";

#[tokio::test]
async fn statuses_have_lifetimes_where_the_origin_names_none() {
    let policy = "statuses = { \"404\" = \"1h\", \"5xx\" = \"30m\" }";
    for (status, least) in [(404, 3_500), (503, 1_700), (599, 1_700)] {
        let (node, origin, mut client) = with_policy(policy, status, &[]).await;
        twice(&node, &mut client, STORED, "hit").await;
        let ttl = ttl(&mut client, "/a").await;
        assert!((least..least + 101).contains(&ttl), "{status}: {ttl}");
        assert_eq!(origin.count(), 1);
    }
    let explicit = &[("cache-control", "max-age=60")];
    let (node, _origin, mut client) = with_policy(policy, 404, explicit).await;
    twice(&node, &mut client, STORED, "hit").await;
    assert!(ttl(&mut client, "/a").await <= 60);
    let (node, _origin, mut client) = with_policy(policy, 403, &[]).await;
    twice(&node, &mut client, REFUSED, REFUSED).await;
    let said_no = &[("cache-control", "no-store")];
    let (node, _origin, mut client) = with_policy(policy, 404, said_no).await;
    twice(&node, &mut client, REFUSED, REFUSED).await;
}

#[tokio::test]
async fn lifetimes_are_bounded_and_shortened() {
    let hours = &[("cache-control", "max-age=36000")];
    let (node, _origin, mut client) = with_policy("max_ttl = \"1h\"", 200, hours).await;
    twice(&node, &mut client, STORED, "hit").await;
    let bounded = ttl(&mut client, "/a").await;
    assert!((3_500..=3_600).contains(&bounded), "{bounded}");

    let (node, _origin, mut client) = with_policy("jitter = \"50%\"", 200, hours).await;
    let mut lifetimes = Vec::new();
    for index in 0..8 {
        lifetimes.push(ttl(&mut client, &format!("/{index}")).await);
    }
    settled(&node).await;
    assert!(lifetimes.iter().all(|ttl| (17_900..=36_000).contains(ttl)));
    lifetimes.dedup();
    assert!(lifetimes.len() > 1, "{lifetimes:?}");
}

#[tokio::test]
async fn a_default_lifetime_takes_the_place_of_the_heuristic() {
    let modified = &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")];
    let (node, _origin, mut client) = with_policy("", 200, modified).await;
    twice(&node, &mut client, STORED, "hit").await;
    let day = ttl(&mut client, "/a").await;
    assert!((86_300..=86_400).contains(&day), "{day}");

    let policy = "default_ttl = \"1m\"";
    let (node, _origin, mut client) = with_policy(policy, 200, modified).await;
    twice(&node, &mut client, STORED, "hit").await;
    assert!(ttl(&mut client, "/a").await <= 60);

    let (node, _origin, mut client) = with_policy("heuristic = false", 200, modified).await;
    twice(&node, &mut client, STORED, "fwd=stale").await;

    // What a route does not say is said in [cache].
    let (node, _origin, mut client) = with_cache("heuristic_max = \"1h\"", "", 200, modified).await;
    twice(&node, &mut client, STORED, "hit").await;
    assert!(ttl(&mut client, "/a").await <= 3_600);
}

#[tokio::test]
async fn origin_directives_are_followed_overridden_or_ignored() {
    const TTL: &str = "default_ttl = \"1h\"\norigin_directives =";
    type Fields = &'static [(&'static str, &'static str)];
    let rows: [(&str, Fields, &str); 12] = [
        ("override", &[("cache-control", "max-age=0")], "hit"),
        ("override", &[("expires", "0")], "hit"),
        ("override", &[("cache-control", "no-store")], REFUSED),
        (
            "override",
            &[("cache-control", "private, max-age=5")],
            REFUSED,
        ),
        ("override", &[("cache-control", "no-cache")], REFUSED),
        ("ignore", &[("cache-control", "max-age=0, no-cache")], "hit"),
        ("ignore", &[("cdn-cache-control", "max-age=0")], "hit"),
        ("ignore", &[("cache-control", "no-store")], REFUSED),
        ("ignore", &[("cache-control", "private")], REFUSED),
        ("ignore", &[("set-cookie", "a=b")], REFUSED),
        (
            "ignore-all",
            &[("cache-control", "no-store, private")],
            "hit",
        ),
        ("follow", &[("cache-control", "max-age=0")], REFUSED),
    ];
    for (directives, fields, second) in rows {
        let policy = format!("{TTL} \"{directives}\"");
        let (node, _origin, mut client) = with_cache("", &policy, 200, fields).await;
        let first = if second == "hit" { STORED } else { REFUSED };
        twice(&node, &mut client, first, second).await;
        if second == "hit" {
            assert!(
                ttl(&mut client, "/a").await > 3_500,
                "{directives} {fields:?}"
            );
        }
    }
}

#[tokio::test]
async fn cookies_are_refused_where_the_route_says_so() {
    let fields = &[("cache-control", "max-age=60"), ("set-cookie", "a=b")];
    let (node, _origin, mut client) = with_policy("", 200, fields).await;
    twice(&node, &mut client, STORED, "hit").await;
    assert_eq!(client.get("/a").await.field("set-cookie"), "a=b");
    let policy = "set_cookie = \"refuse\"";
    let (node, _origin, mut client) = with_policy(policy, 200, fields).await;
    let refused = "fwd=uri-miss !stored detail=set-cookie";
    twice(&node, &mut client, refused, refused).await;
}

#[tokio::test]
async fn bypass_rules_send_requests_past_the_cache() {
    let policy = "bypass = [{ field = \"X-Preview\" }, { cookie = \"session\" }]";
    let fields = &[("cache-control", "max-age=60")];
    let (node, origin, mut client) = with_policy(policy, 200, fields).await;
    for (field, words) in [
        (("x-preview", "1"), "fwd=bypass !stored detail=route-field"),
        (
            ("cookie", "a=1; session=x"),
            "fwd=bypass !stored detail=route-cookie",
        ),
        (("cookie", "sessions=x"), STORED),
        (
            ("cookie", "session=x"),
            "fwd=bypass !stored detail=route-cookie",
        ),
        (("x-other", "1"), "hit"),
    ] {
        let reply = client.get_with("/a", &[field]).await;
        assert_cache(&reply, words);
        settled(&node).await;
    }
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn fields_for_caches_are_passed_on_as_configured() {
    let fields = &[
        ("cdn-cache-control", "max-age=60"),
        ("edge-control", "max-age=120"),
        ("surrogate-key", "a"),
        ("cache-tag", "b"),
    ];
    let cache = "targeted_fields = [\"Edge-Control\"]\npass_targeted_fields = false\n\
                 pass_surrogate_keys = true";
    let (node, _origin, mut client) = with_cache(cache, "", 200, fields).await;
    for words in [STORED, "hit"] {
        let reply = client.get("/a").await;
        assert_cache(&reply, words);
        assert!(!reply.fields.contains_key("edge-control"));
        for name in ["cdn-cache-control", "surrogate-key", "cache-tag"] {
            assert!(reply.fields.contains_key(name), "{name}");
        }
        settled(&node).await;
    }
    assert!(ttl(&mut client, "/a").await > 60);
}

#[tokio::test]
async fn any_three_digits_are_a_status() {
    for status in [299, 499, 599, 600, 799, 999] {
        let fields = &[("cache-control", "max-age=60")];
        let (node, origin, mut client) = with_policy("", status, fields).await;
        twice(&node, &mut client, STORED, "hit").await;
        assert_eq!(client.get("/a").await.status, status);
        let mut client = Client::h2c(node.http()).await;
        client.set_authority("shop.example");
        assert_eq!(client.get("/b").await.status, status);
        assert_eq!(origin.count(), 2);
    }
}
