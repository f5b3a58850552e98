//! What several `wasi:http` 0.3 middleware, one inside another, may not do to each other, to the
//! cache and to content.

use verge_tests::guests::{function, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

const PLACES: [&str; 2] = ["viewer_middleware", "origin_middleware"];

/// A node whose route to `origin` has `keys`, and the guest as these functions, with these keys.
async fn start(origin: &Origin, keys: &str, functions: &[(&str, &str)]) -> TestNode {
    let mut toml = format!(
        "{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n{keys}\n",
        runtime(),
        origin.address,
    );
    for (name, keys) in functions {
        toml += &function(name, "middleware", keys);
    }
    TestNode::start(&toml).await
}

/// An origin that gives content back as it came.
async fn echo() -> Origin {
    Origin::start(async |asked| respond(200, &[], asked.body)).await
}

#[tokio::test]
async fn what_an_outer_one_derives_is_not_shared_when_the_inner_one_answers() {
    let origin = echo().await;
    let keys = "origin_middleware = [\"outer\", \"inner\"]";
    let node = start(&origin, keys, &[("outer", ""), ("inner", "")]).await;
    for who in ["ada", "bob"] {
        let mut client = node.client().await;
        let reply = client.get_with("/tell/a", &[("cookie", who)]).await;
        assert_eq!(reply.text(), who, "{reply:?}");
    }
    // What it says does not depend on the client is shared, by the Vary of its answer.
    let unkeyed = "unkeyed = [\"X-Tier\"]";
    let node = start(&origin, keys, &[("outer", unkeyed), ("inner", "")]).await;
    assert_eq!(node.get("/tell/a").await.status, 200);
    let reply = node.get("/tell/a").await;
    assert!(reply.cache_status().contains("hit"), "{reply:?}");
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn content_survives_a_middleware_that_is_left_out_unrun() {
    let origin = echo().await;
    let keys = "on_failure = \"open\"\n[function.middleware.quarantine]\nfailures = 1\n\
                backoff = \"1h\"\nbackoff_max = \"1h\"\n";
    for place in PLACES {
        let route = format!("{place} = [\"middleware\"]");
        let node = start(&origin, &route, &[("middleware", keys)]).await;
        let mut client = node.client().await;
        assert_eq!(client.get("/trap/a").await.status, 200);
        for path in ["/plain/a", "/a", "/upload/a"] {
            let reply = client.send("POST", path, &[], "content").await;
            let came = (reply.status.as_u16(), reply.text());
            assert_eq!(came, (200, "content".to_owned()), "{place} {path}");
        }
        let out = "verge_function_outcomes_total{function=\"middleware\",outcome=\"quarantined\"}";
        node.settles(out, 3.0).await;
    }
}

#[tokio::test]
async fn content_that_was_read_in_part_is_not_handed_on_as_if_it_were_all() {
    let origin = Origin::start(async |asked| match asked.method.as_str() {
        "POST" => respond(200, &[], asked.body),
        _ => respond(200, &[("cache-control", "max-age=60")], "abcdef"),
    })
    .await;
    for place in PLACES {
        let route = format!("{place} = [\"middleware\"]");
        let node = start(&origin, &route, &[("middleware", "")]).await;
        assert_eq!(node.get("/skip/a").await.status, 500, "{place}");
        let invalid =
            "verge_function_outcomes_total{function=\"middleware\",outcome=\"response-invalid\"}";
        node.settles(invalid, 1.0).await;
        let before = origin.count();
        let mut client = node.client().await;
        let reply = client.send("POST", "/skip-upload", &[], "abcdef").await;
        assert_eq!(reply.status, 500, "{place}: {}", reply.text());
        assert_eq!(origin.count(), before, "{place}");
    }
}

#[tokio::test]
async fn the_next_one_sees_the_length_of_what_it_is_given() {
    let origin = echo().await;
    for place in PLACES {
        let toml = format!(
            "{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
             function = \"service\"\n{place} = [\"middleware\"]\n{}{}",
            runtime(),
            function("service", "service", ""),
            function("middleware", "middleware", ""),
        );
        let node = TestNode::start(&toml).await;
        let mut client = node.client().await;
        let reply = client.send("POST", "/double", &[], "content").await;
        assert_eq!(reply.text(), "none", "{place}");
    }
    let keys = "viewer_middleware = [\"middleware\"]";
    let node = start(&origin, keys, &[("middleware", "")]).await;
    let mut client = node.client().await;
    let reply = client.send("POST", "/double", &[], "content").await;
    assert_eq!(reply.text(), "contentcontent");
}

#[tokio::test]
async fn a_change_is_one_whatever_becomes_of_the_response() {
    let origin =
        Origin::start(async |_| respond(200, &[("cache-control", "max-age=60")], "content")).await;
    for (number, place) in ["origin_middleware", "viewer_middleware"]
        .into_iter()
        .enumerate()
    {
        let keys = format!(
            "methods = [\"POST\"]\n{place} = [\"middleware\"]\n\
             [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n"
        );
        let node = start(&origin, &keys, &[("middleware", "")]).await;
        let mut client = node.client().await;
        for expected in ["fwd=uri-miss", "hit"] {
            let reply = client.get("/trap-after/a").await;
            assert!(reply.cache_status().contains(expected), "{reply:?}");
        }
        let reply = client.send("POST", "/trap-after/a", &[], "x").await;
        assert_eq!(reply.status, 500);
        let reply = client.get("/trap-after/a").await;
        assert!(reply.cache_status().contains("fwd="), "{place}: {reply:?}");
        assert_eq!(origin.count(), 3 * (number + 1));
    }
}

#[tokio::test]
async fn a_chain_does_not_multiply_what_each_may_send() {
    let origin = Origin::start(async |_| respond(200, &[], "")).await;
    for place in PLACES {
        let before = origin.count();
        let route = format!("{place} = [\"outer\", \"inner\"]");
        let few = |name| format!("[function.{name}.fetch]\nrequests = 5");
        let functions = [("outer", few("outer")), ("inner", few("inner"))];
        let functions = functions
            .each_ref()
            .map(|(name, keys)| (*name, keys.as_str()));
        let node = start(&origin, &route, &functions).await;
        assert_eq!(node.get("/flood").await.text(), "sent 5");
        assert_eq!(origin.count() - before, 5, "{place}");
    }
}

#[tokio::test]
async fn responses_that_a_middleware_has_at_once_are_bounded() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let keys = "[function.middleware.fetch]\nconcurrent = 3";
    for place in PLACES {
        let route = format!("{place} = [\"middleware\"]");
        let node = start(&origin, &route, &[("middleware", keys)]).await;
        assert_eq!(node.get("/hold").await.text(), "held 3", "{place}");
    }
}
