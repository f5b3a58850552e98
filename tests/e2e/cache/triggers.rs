//! Functions around the origin and the cache: what they see decides what may
//! be stored.

use verge_tests::guests::{function, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

use super::kit::{MINUTE, assert_cache, settled};

/// `origin-triggers` around the cache, and `keyed-field` before it where the path says so.
async fn start(origin: &Origin) -> TestNode {
    let origins = "origin_request = [\"origin\"]\norigin_response = [\"origin\"]\n";
    let toml = format!(
        "{}{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n{origins}\n\
         viewer_response = [\"origin\"]\n",
        runtime(),
        function("origin", "origin-triggers", ""),
        function("derive", "keyed-field", ""),
        origin.address
    );
    TestNode::start(&toml).await
}

async fn echo(fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::start(async move |request| {
        let cookie = request.field("x-cookie").unwrap_or("none");
        respond(200, fields, format!("cookie {cookie}"))
    })
    .await
}

#[tokio::test]
async fn response_made_from_unkeyed_input_is_not_stored() {
    let origin = echo(MINUTE).await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for user in ["ada", "bob", "ada"] {
        let reply = client.get_with("/cookie", &[("cookie", user)]).await;
        assert_eq!(reply.text(), format!("cookie {user}"));
        assert_cache(
            &reply,
            "fwd=uri-miss fwd-status=200 !stored detail=unkeyed-input",
        );
    }
    // Without a cookie the function looked for one all the same.
    let reply = client.get("/cookie").await;
    assert_cache(&reply, "!stored detail=unkeyed-input");
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn response_that_varies_by_what_was_seen_is_stored_for_it() {
    let origin = echo(&[("cache-control", "max-age=60"), ("vary", "cookie")]).await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for (user, outcome) in [
        ("ada", "fwd=uri-miss stored"),
        ("bob", "fwd=vary-miss stored"),
        ("ada", "hit"),
        ("bob", "hit"),
    ] {
        let reply = client.get_with("/cookie", &[("cookie", user)]).await;
        assert_eq!(reply.text(), format!("cookie {user}"));
        assert_cache(&reply, outcome);
        settled(&node).await;
    }
}

#[tokio::test]
async fn response_made_from_keyed_input_is_stored_as_origin_response_made_it() {
    let origin = echo(MINUTE).await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for outcome in ["fwd=uri-miss stored", "hit"] {
        let reply = client.get_with("/plain", &[("cookie", "ada")]).await;
        assert_eq!(reply.text(), "cookie none");
        assert_cache(&reply, outcome);
        // origin-response once, into the store; viewer-response for each answer.
        assert_eq!(reply.field("x-origin-response"), "seen");
        assert_eq!(reply.field("x-viewer-response"), "seen");
        settled(&node).await;
    }
    assert_eq!(origin.requests()[0].field("x-origin-request"), Some("seen"));
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn answer_in_the_origins_place_is_stored_likewise() {
    let origin = echo(MINUTE).await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for outcome in ["fwd=uri-miss stored", "hit"] {
        let reply = client.get("/answered").await;
        assert_eq!(reply.text(), "in the origin's place\n");
        assert_cache(&reply, outcome);
        settled(&node).await;
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn content_put_in_place_of_a_hit_is_not_stored_and_has_no_ranges() {
    let origin = echo(&[("cache-control", "max-age=60"), ("etag", "\"a\"")]).await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for outcome in ["fwd=uri-miss stored", "hit"] {
        let reply = client
            .get_with("/replaced", &[("range", "bytes=0-1")])
            .await;
        assert_eq!(reply.status, 418);
        assert_eq!(reply.text(), "replaced\n");
        assert_eq!(reply.field("accept-ranges"), "");
        assert_cache(&reply, outcome);
        settled(&node).await;
    }
    assert_eq!(origin.count(), 1);
}
