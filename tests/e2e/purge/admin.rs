//! What the admin API says to what is wrong.

use serde_json::json;
use verge_tests::{Client, TestNode};

use super::kit::{HOST, get, post, shop, store};

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place_and_the_rest_is_purged() {
    let (_origin, node) = shop().await;
    store(&node, HOST, "/red/a").await;
    let batch = json!({"purge": [
        {"url": "/red/a"},
        {"key": "red"},
        {"function": "nope"},
        {"prefix": "http://shop.example/a?b"},
        {"urls": "x"},
        {"site": "http://shop.example"},
    ]});
    let (status, told) = post(&node, "/purge", &batch).await;
    assert_eq!(status, 422);
    assert_eq!(
        (&told["purged"], &told["failed"]),
        (&json!(1), &json!(5)),
        "{told}"
    );
    let at: Vec<_> = told["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["at"].as_str())
        .collect();
    let places = [
        Some("purge[0].url"),
        None,
        Some("purge[2].function"),
        Some("purge[3].prefix"),
        Some("purge[4].urls"),
    ];
    assert_eq!(at[..5], places, "{told}");
    assert_eq!(told["items"][0]["error"], "`/red/a` has no scheme");
    assert!(
        told["items"][0]["expected"]
            .as_str()
            .unwrap()
            .contains("https://")
    );
    assert_ne!(get(&node, HOST, "/red/a").await, "hit");
}

#[tokio::test]
async fn a_batch_that_is_none_changes_nothing() {
    let (_origin, node) = shop().await;
    store(&node, HOST, "/red/a").await;
    let many = vec![json!({"all": true}); 1001];
    for (content, status) in [
        (json!([]), 400),
        (json!({}), 400),
        (json!({"purge": []}), 400),
        (json!({"purge": [{"all": true}], "soft": 1}), 400),
        (json!({"purge": [{"all": true}], "hard": true}), 400),
        (json!({"purge": many}), 400),
    ] {
        let (found, told) = post(&node, "/purge", &content).await;
        assert_eq!(found, status, "{told}");
        assert!(told["expected"].is_string(), "{told}");
    }
    assert_eq!(get(&node, HOST, "/red/a").await, "hit");
    assert_eq!(node.state().cache.stats().purges, 0);
}

#[tokio::test]
async fn nobody_purges_or_explains_without_the_token() {
    let (_origin, node) = shop().await;
    store(&node, HOST, "/red/a").await;
    for path in ["/purge", "/cache/explain"] {
        assert_eq!(without_token(&node, path).await, 401);
    }
    assert_eq!(get(&node, HOST, "/red/a").await, "hit");
}

async fn without_token(node: &TestNode, path: &str) -> u16 {
    let mut client = Client::http1(node.admin()).await;
    let content = json!({"purge": [{"all": true}]}).to_string();
    client
        .send("POST", path, &[], content)
        .await
        .status
        .as_u16()
}
