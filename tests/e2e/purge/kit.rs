//! What the tests of purges share: an origin that counts, and the admin API.

use serde_json::{Value, json};
use verge_tests::node::ADMIN_TOKEN;
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, Reply, TestNode, eventually, node};

pub(super) const HOST: &str = "shop.example";

/// A node with one site in front of an origin whose answers are fresh for a
/// minute, stale-while-revalidate for another, and named by their path:
/// `/red/..` has the surrogate key `red`, and so on; `/group/..` the group `g`.
pub(super) async fn shop() -> (Origin, TestNode) {
    let origin = Origin::start(|request| async move {
        let path = request.path().to_owned();
        let first = path.split('/').nth(1).unwrap_or_default().to_owned();
        let groups = if first == "group" { "\"g\"" } else { "" };
        let fields = [
            ("cache-control", "max-age=60, stale-while-revalidate=60"),
            ("etag", "\"1\""),
            ("vary", "accept-language"),
            ("surrogate-key", first.as_str()),
            ("cache-groups", groups),
        ];
        if request.field("if-none-match").is_some() {
            return respond(304, &fields, "");
        }
        respond(200, &fields, path)
    })
    .await;
    let node = TestNode::start(&node::route_to(&origin)).await;
    (origin, node)
}

/// One GET, and the word of our Cache-Status: `hit` or the reason of `fwd`.
pub(super) async fn get(node: &TestNode, host: &str, path: &str) -> String {
    let mut client = Client::http1(node.http()).await;
    client.set_authority(host);
    word(&client.get(path).await)
}

pub(super) fn word(reply: &Reply) -> String {
    let status = reply.cache_status();
    let ours = status.rsplit("verge").next().unwrap_or_default().to_owned();
    let mut words = ours
        .split(';')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default();
    first.strip_prefix("fwd=").unwrap_or(first).to_owned()
}

/// Fetches `path` until it is answered from store.
pub(super) async fn store(node: &TestNode, host: &str, path: &str) {
    eventually("the response is stored", async || {
        get(node, host, path).await == "hit"
    })
    .await;
}

pub(super) async fn post(node: &TestNode, path: &str, content: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let fields = [("authorization", bearer.as_str())];
    let mut client = Client::http1(node.admin()).await;
    let reply = client
        .send("POST", path, &fields, content.to_string())
        .await;
    let told = serde_json::from_str(&reply.text()).unwrap_or_default();
    (reply.status.as_u16(), told)
}

/// Purges one scope, which must succeed.
pub(super) async fn purge(node: &TestNode, scope: Value, soft: bool) -> Value {
    let (status, told) = post(node, "/purge", &json!({ "purge": [scope], "soft": soft })).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["purged"], 1, "{told}");
    told["items"][0].clone()
}
