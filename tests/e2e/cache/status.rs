//! What every answer says of what the cache did, to the client, in the log and
//! in the metrics.

use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode};

use super::kit::{MINUTE, assert_cache, settled};

#[tokio::test]
async fn route_without_cache_says_so() {
    let origin = Origin::start(async |_| respond(200, MINUTE, "content")).await;
    let toml = format!(
        "[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n[[site.route]]\n\
         path = \"/{{*rest}}\"\norigin = \"app\"\ncache = \"off\"\n",
        origin.address
    );
    let node = TestNode::start(&toml).await;
    for _ in 0..2 {
        let reply = node.get("/a").await;
        assert_cache(&reply, "fwd=bypass fwd-status=200 !stored detail=route");
        assert_eq!(reply.field("age"), "0");
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn members_of_caches_before_this_one_are_kept() {
    let origin = Origin::start(async |_| {
        let fields = [
            ("cache-control", "max-age=60"),
            ("cache-status", "inner; hit"),
            ("age", "7"),
        ];
        respond(200, &fields, "content")
    })
    .await;
    let node = TestNode::before(&origin).await;
    let mut client = node.client().await;
    for ours in ["inner; hit, verge; fwd=uri-miss", "inner; hit, verge; hit"] {
        let reply = client.get("/a").await;
        assert!(
            reply.cache_status().starts_with(ours),
            "{}",
            reply.cache_status()
        );
        let age: u64 = reply.field("age").parse().unwrap();
        assert!((7..10).contains(&age), "{age}");
        settled(&node).await;
    }
}

#[tokio::test]
async fn failure_says_what_the_cache_did_before_it() {
    // A port that nobody listens on any more.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let toml = format!(
        "[origin.app]\naddresses = [\"{address}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n"
    );
    let node = TestNode::start(&toml).await;
    let mut client = node.client().await;
    let reply = client.get("/a").await;
    assert_eq!(reply.status, 502);
    assert_cache(&reply, "fwd=uri-miss !stored");
    let reply = client.send("POST", "/a", &[], "x").await;
    assert_cache(&reply, "fwd=method !stored");
    let fields = [("cache-control", "only-if-cached")];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!(reply.status, 504);
    assert_cache(&reply, "fwd=uri-miss !stored");
}

#[tokio::test]
async fn log_and_metrics_use_the_words_of_cache_status() {
    let origin = Origin::start(async |request| match request.target.as_str() {
        "/private" => respond(200, &[("cache-control", "private")], "content"),
        _ => respond(200, MINUTE, "content"),
    })
    .await;
    let node = TestNode::before(&origin).await;
    let mut client = node.client().await;
    for path in ["/a", "/a", "/private"] {
        client.get(path).await;
        settled(&node).await;
    }
    client.send("POST", "/a", &[], "x").await;
    drop(client);
    verge_tests::eventually("the requests are logged", async || {
        node.access_log().len() == 4
    })
    .await;
    let log = node.access_log();
    let cache: Vec<String> = log.iter().map(|line| line["cache"].to_string()).collect();
    assert!(cache[0].contains("uri-miss"), "{cache:?}");
    assert!(cache[1].contains("hit"), "{cache:?}");
    assert!(
        cache[2].contains("uri-miss") && log[2].to_string().contains("private"),
        "{cache:?}"
    );
    assert!(cache[3].contains("method"), "{cache:?}");
    let metrics = node.metrics().await;
    for outcome in ["hit", "uri-miss", "method"] {
        let label = format!("cache=\"{outcome}\"");
        assert!(metrics.contains(&label), "{label}");
    }
}
