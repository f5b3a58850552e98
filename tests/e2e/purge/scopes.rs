//! Every scope, hard and soft: what it names is gone or stale, all else stays.

use serde_json::{Value, json};
use verge_tests::{Origin, TestNode, eventually, node};

use super::kit::{HOST, get, post, purge, shop, store};

/// Host and path of what every test stores.
const STORED: [(&str, &str); 6] = [
    (HOST, "/red/a?x=1"),
    (HOST, "/red/a"),
    (HOST, "/red/ab"),
    (HOST, "/group/c"),
    (HOST, "/blue"),
    ("other.example", "/red/a"),
];

/// A scope, and which of [`STORED`] it names.
fn scopes() -> Vec<(Value, &'static [usize])> {
    vec![
        (json!({"url": "http://shop.example/red/a"}), &[1]),
        (json!({"url": "http://SHOP.example:80/red/%61?x=1"}), &[0]),
        (json!({"prefix": "http://shop.example/red/a"}), &[0, 1]),
        (json!({"prefix": "http://shop.example/red/"}), &[0, 1, 2]),
        (json!({"prefix": "http://shop.example/"}), &[0, 1, 2, 3, 4]),
        (json!({"key": "red"}), &[0, 1, 2, 5]),
        (json!({"key": "g"}), &[3]),
        (json!({"group": "g", "origin": "http://shop.example"}), &[3]),
        (json!({"group": "g", "origin": "http://other.example"}), &[]),
        (json!({"site": "*"}), &[0, 1, 2, 3, 4, 5]),
        (json!({"all": true}), &[0, 1, 2, 3, 4, 5]),
    ]
}

async fn check(soft: bool) {
    let (_origin, node) = shop().await;
    for (scope, named) in scopes() {
        for (host, path) in STORED {
            store(&node, host, path).await;
        }
        purge(&node, scope.clone(), soft).await;
        for (place, (host, path)) in STORED.into_iter().enumerate() {
            let word = get(&node, host, path).await;
            let is_hit = word == "hit";
            // What is purged softly is stale, and answers once more while it is validated.
            let expected = soft || !named.contains(&place);
            assert_eq!(is_hit, expected, "{scope} {host}{path}: {word}");
        }
    }
}

#[tokio::test]
async fn a_hard_purge_takes_what_it_names_and_nothing_else() {
    check(false).await;
}

#[tokio::test]
async fn what_was_purged_softly_answers_stale_where_that_is_allowed() {
    check(true).await;
}

#[tokio::test]
async fn a_soft_purge_has_the_stored_response_validated() {
    let (origin, node) = shop().await;
    for (scope, named) in scopes() {
        for (host, path) in STORED {
            store(&node, host, path).await;
        }
        let before = origin.count();
        purge(&node, scope.clone(), true).await;
        for (host, path) in STORED {
            get(&node, host, path).await;
        }
        eventually("what was purged is validated", async || {
            origin.count() == before + named.len()
        })
        .await;
        let asked = origin.requests().split_off(before);
        for request in asked {
            assert!(request.field("if-none-match").is_some(), "{scope}");
        }
    }
}

#[tokio::test]
async fn all_variants_of_a_url_go_together() {
    let (_origin, node) = shop().await;
    let mut client = node.client().await;
    client.set_authority(HOST);
    let languages = ["de", "en", "fr"];
    for language in languages {
        let fields = [("accept-language", language)];
        eventually("the variant is stored", async || {
            super::kit::word(&client.get_with("/a", &fields).await) == "hit"
        })
        .await;
    }
    purge(&node, json!({"url": "http://shop.example/a"}), false).await;
    for language in languages {
        let reply = client
            .get_with("/a", &[("accept-language", language)])
            .await;
        assert_ne!(super::kit::word(&reply), "hit", "{language}");
    }
}

#[tokio::test]
async fn a_purge_by_url_reaches_what_a_key_policy_stored() {
    let origin = Origin::start(|_| async {
        verge_tests::origin::respond(200, &[("cache-control", "max-age=60")], "")
    })
    .await;
    let config = format!(
        "{}[site.route.key]\ndrop = [\"utm_*\"]\nquery = \"sorted\"\n",
        node::route_to(&origin)
    );
    let node = TestNode::start(&config).await;
    store(&node, HOST, "/a?b=1&a=2").await;
    assert_eq!(get(&node, HOST, "/a?a=2&utm_x=9&b=1").await, "hit");
    let url = json!({"url": "http://shop.example/a?utm_y=1&b=1&a=2"});
    purge(&node, url, false).await;
    assert_ne!(get(&node, HOST, "/a?b=1&a=2").await, "hit");
}

#[tokio::test]
async fn purged_responses_are_freed_without_being_asked_for() {
    let (_origin, node) = shop().await;
    for n in 0..20 {
        store(&node, HOST, &format!("/red/{n}")).await;
    }
    store(&node, HOST, "/blue").await;
    assert_eq!(node.state().cache.stats().entries, 21);
    purge(&node, json!({"key": "red"}), false).await;
    eventually("the purged responses are freed", async || {
        node.state().cache.stats().entries == 1
    })
    .await;
    assert_eq!(get(&node, HOST, "/blue").await, "hit");
    node.settles("verge_cache_purges_total{scope=\"key\"}", 1.0)
        .await;
    node.settles(
        "verge_cache_purged_responses_total{hardness=\"hard\"}",
        20.0,
    )
    .await;
}

#[tokio::test]
async fn a_batch_takes_all_that_it_names() {
    let (_origin, node) = shop().await;
    for (host, path) in STORED {
        store(&node, host, path).await;
    }
    let batch = json!({"purge": [
        {"url": "http://shop.example/red/a"},
        {"key": "g"},
        {"prefix": "http://shop.example/blue", "soft": true},
    ]});
    let (status, told) = post(&node, "/purge", &batch).await;
    assert_eq!((status, &told["purged"]), (200, &json!(3)), "{told}");
    let sequences: Vec<_> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["sequence"].as_u64())
        .collect();
    assert_eq!(sequences, [Some(1), Some(2), Some(3)]);
    assert_eq!(told["items"][2]["hardness"], "soft");
    let mut words = Vec::new();
    for (host, path) in STORED {
        words.push(get(&node, host, path).await == "hit");
    }
    assert_eq!(words, [true, false, true, false, true, true]);
}
