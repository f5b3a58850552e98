//! `wasi:http` 0.3 middleware, in front of the cache and behind it.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::Notify;
use tokio::time::timeout;
use verge_tests::client::{Client, empty};
use verge_tests::guests::{function, function_with_limits, runtime};
use verge_tests::origin::{respond, respond_in_steps};
use verge_tests::{Origin, PATIENCE, TestNode, eventually};

const FRONT: &str = "viewer_middleware";
const BEHIND: &str = "origin_middleware";

fn site(origin: &Origin, keys: &str) -> String {
    format!(
        "{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n{keys}\n",
        runtime(),
        origin.address,
    )
}

/// A node whose one route has the middleware at `place`; `keys` are the function's.
async fn start(origin: &Origin, place: &str, keys: &str) -> TestNode {
    let toml = site(origin, &format!("{place} = [\"middleware\"]"));
    TestNode::start(&(toml + &function("middleware", "middleware", keys))).await
}

/// An origin whose responses are fresh for a minute and say what was asked.
async fn telling() -> Origin {
    Origin::start(async |asked| {
        let field = |name| asked.field(name).unwrap_or("-").to_owned();
        let text = format!(
            "{} {} tier={} fixed={} {}",
            asked.method,
            asked.target,
            field("x-tier"),
            field("x-fixed"),
            String::from_utf8_lossy(&asked.body),
        );
        respond(
            200,
            &[("cache-control", "max-age=60"), ("etag", "\"one\"")],
            text,
        )
    })
    .await
}

async fn ends(node: &TestNode, outcome: &str, count: f64) {
    let series = "verge_function_outcomes_total{function=\"middleware\",outcome=\"";
    node.settles(&format!("{series}{outcome}\"}}"), count).await;
}

#[tokio::test]
async fn middleware_in_front_of_the_cache_sees_every_request() {
    let origin = telling().await;
    let node = start(&origin, FRONT, "").await;
    for mut client in [
        Client::http1(node.http()).await,
        Client::h2c(node.http()).await,
    ] {
        for (path, has_field) in [("/a", true), ("/plain/a", false)] {
            let reply = client.get(path).await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.text(), format!("GET {path} tier=- fixed=- "));
            assert_eq!(reply.fields.contains_key("x-middleware"), has_field);
            assert_eq!(reply.field("etag"), "\"one\"");
            assert_eq!(reply.fields.get_all("cache-status").iter().count(), 1);
            assert_eq!(reply.fields.get_all("via").iter().count(), 1);
        }
    }
    let reply = node.get("/a").await;
    assert!(reply.cache_status().contains("hit"), "{reply:?}");
    assert_eq!(reply.field("age"), "0");
    assert_eq!(reply.field("x-middleware"), "was here");
    assert_eq!(origin.count(), 2);
    let receipt = node.receipt(&reply.field("x-request-id")).await;
    assert_eq!(receipt["functions"][0]["trigger"], "viewer-middleware");
    assert_eq!(receipt["functions"][0]["outcome"], "continued");
    assert_eq!(receipt["cache"]["outcome"], "hit");
    ends(&node, "continued", 5.0).await;
}

#[tokio::test]
async fn what_middleware_behind_the_cache_makes_is_stored() {
    let origin = telling().await;
    let node = start(&origin, BEHIND, "").await;
    for round in ["fwd=uri-miss", "hit"] {
        let reply = node.get("/shout/a").await;
        assert_eq!(reply.text(), "GET /SHOUT/A TIER=- FIXED=- ");
        assert!(reply.cache_status().contains(round), "{reply:?}");
        // The content is no longer what the origin's strong validator was for.
        assert_eq!(reply.field("etag"), "W/\"one\"");
        let reply = node.get("/b").await;
        assert_eq!(reply.field("x-middleware"), "was here");
        assert_eq!(reply.field("etag"), "\"one\"");
        assert!(reply.cache_status().contains(round), "{reply:?}");
    }
    assert_eq!(origin.count(), 2);
    ends(&node, "continued", 2.0).await;
}

#[tokio::test]
async fn untouched_content_passes_the_guest_and_its_limit() {
    let content = Bytes::from((0..3_000_000_u32).map(|at| at as u8).collect::<Vec<_>>());
    let sent = content.clone();
    let origin = Origin::start(move |asked| {
        let sent = sent.clone();
        async move {
            match asked.method.as_str() {
                "POST" => respond(200, &[], asked.body),
                _ => respond(200, &[("cache-control", "max-age=60")], sent),
            }
        }
    })
    .await;
    for place in [FRONT, BEHIND] {
        let node = start(&origin, place, "body = \"1KiB\"").await;
        for path in ["/plain/a", "/a"] {
            let mut client = node.client().await;
            for _ in 0..2 {
                let reply = client.get(path).await;
                assert!(reply.body == content, "{place} {path}");
                assert_eq!(reply.field("content-length"), "3000000");
            }
            let reply = client.send("POST", path, &[], content.clone()).await;
            assert!(reply.body == content, "{place} {path}");
        }
        // What it reads is bounded.
        let mut client = node.client().await;
        let refused = client.try_send("GET", "/shout/a", &[], empty()).await;
        assert!(
            refused.is_err() || refused.unwrap().status == 500,
            "{place}"
        );
    }
}

#[tokio::test]
async fn passing_content_needs_no_instance() {
    let pieces = Arc::new(parking_lot::Mutex::new(None));
    let keep = Arc::clone(&pieces);
    let origin = Origin::start(move |_| {
        let (sender, response) = respond_in_steps(200, &[]);
        *keep.lock() = Some(sender);
        async move { response }
    })
    .await;
    let node = start(&origin, FRONT, "").await;
    let mut client = node.client().await;
    let response = client.begin("GET", "/a", &[], empty());
    let mut content = response.await.unwrap().into_body();
    eventually("the guest to be gone", async || {
        node.state().foundation.engine.slots().in_use() == 0
    })
    .await;
    let sender = pieces.lock().take().unwrap();
    for piece in ["one", "two"] {
        sender.send(Some(Bytes::from(piece))).unwrap();
        let frame = timeout(PATIENCE, content.frame()).await.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), piece);
    }
    sender.send(None).unwrap();
    assert!(timeout(PATIENCE, content.frame()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_middleware_in_front_derives_is_a_part_of_the_key() {
    let origin = telling().await;
    let node = start(&origin, FRONT, "unkeyed = [\"X-Fixed\"]").await;
    for round in ["fwd=uri-miss", "hit"] {
        for who in ["ada", "bob"] {
            let mut client = node.client().await;
            let reply = client.get_with("/tier/a", &[("cookie", who)]).await;
            assert!(reply.text().contains(&format!("tier={who}")), "{reply:?}");
            assert!(reply.cache_status().contains(round), "{reply:?}");
        }
    }
    assert_eq!(origin.count(), 2);
    let reply = node.get("/move/a").await;
    assert_eq!(reply.text(), "GET /moved tier=- fixed=- ");
    let reply = node.get("/move/b?c").await;
    assert!(reply.cache_status().contains("hit"), "{reply:?}");
    let reply = node.get("/fixed/a").await;
    assert!(reply.text().contains("fixed=always"), "{reply:?}");
    let keys = node
        .ask_admin("GET", "/cache/explain?url=http%3A%2F%2Fa%2Ffixed%2Fa")
        .await;
    assert!(!keys.text().contains("x-fixed"), "{}", keys.text());
}

#[tokio::test]
async fn what_middleware_behind_derives_is_not_shared() {
    let origin = telling().await;
    let node = start(&origin, BEHIND, "unkeyed = [\"X-Fixed\"]").await;
    for (path, is_stored) in [("/tier/a", false), ("/move/a", false), ("/fixed/a", true)] {
        let before = origin.count();
        for who in ["ada", "bob"] {
            let mut client = node.client().await;
            let reply = client.get_with(path, &[("cookie", who)]).await;
            if path == "/tier/a" {
                assert!(reply.text().contains(&format!("tier={who}")), "{reply:?}");
            }
        }
        let asked = origin.count() - before;
        assert_eq!(asked, if is_stored { 1 } else { 2 }, "{path}");
    }
}

#[tokio::test]
async fn middleware_may_answer_by_itself() {
    let origin = telling().await;
    for place in [FRONT, BEHIND] {
        let node = start(&origin, place, "").await;
        let reply = node.get("/answer").await;
        assert_eq!(reply.status, 403);
        assert_eq!(reply.text(), "the middleware answers");
        let asks_cache = place == BEHIND;
        assert_eq!(reply.fields.contains_key("cache-status"), asks_cache);
        ends(&node, "responded", 1.0).await;
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn failing_middleware_closes_its_route_or_is_skipped() {
    let origin = telling().await;
    for place in [FRONT, BEHIND] {
        for path in ["/trap/a", "/trap-after/a"] {
            let node = start(&origin, place, "").await;
            let reply = node.get(path).await;
            assert_eq!(reply.status, 500, "{place} {path}");
            let receipt = node.receipt(&reply.field("x-request-id")).await;
            assert_eq!(receipt["functions"][0]["outcome"], "trapped");
            let node = start(&origin, place, "on_failure = \"open\"").await;
            let reply = node.get(path).await;
            assert_eq!(reply.text(), format!("GET {path} tier=- fixed=- "));
            // What it left out is not stored for others.
            let again = node.get(path).await;
            let is_hit = again.cache_status().contains("hit");
            assert_eq!(
                is_hit,
                place == FRONT && path == "/trap-after/a",
                "{place} {path}"
            );
            // Nothing of the content is gone, and nothing is sent twice.
            let before = origin.count();
            let mut client = node.client().await;
            let reply = client.send("POST", path, &[], "content").await;
            assert_eq!(reply.text(), format!("POST {path} tier=- fixed=- content"));
            assert_eq!(origin.count(), before + 1, "{place} {path}");
            ends(&node, "trapped", 3.0).await;
        }
    }
}

#[tokio::test]
async fn only_its_own_time_counts_to_a_deadline() {
    let (asked, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&asked), Arc::clone(&release));
    let origin = Origin::start(move |_| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            tell.notify_one();
            wait.notified().await;
            respond(200, &[], "at last")
        }
    })
    .await;
    for place in [FRONT, BEHIND] {
        let keys = "cpu = \"10s\"\ndeadline = \"300ms\"\n";
        let toml = site(&origin, &format!("{place} = [\"middleware\"]"));
        let limited = function_with_limits("middleware", "middleware", keys);
        let node = TestNode::start(&(toml + &limited)).await;
        let mut client = node.client().await;
        let slow = tokio::spawn(async move { client.get("/a").await });
        timeout(PATIENCE, asked.notified()).await.unwrap();
        // This one has the same deadline, and passes it.
        let reply = node.get("/hang").await;
        assert_eq!(reply.status, 500);
        let receipt = node.receipt(&reply.field("x-request-id")).await;
        assert_eq!(receipt["functions"][0]["outcome"], "deadline-exceeded");
        release.notify_one();
        let reply = timeout(PATIENCE, slow).await.unwrap().unwrap();
        assert_eq!(reply.text(), "at last", "{place}");
    }
}

#[tokio::test]
async fn what_is_behind_may_take_so_long_and_no_longer() {
    let origin = Origin::start(|_| std::future::pending()).await;
    let keys = "cpu = \"10s\"\ndeadline = \"100ms\"\npeer_wait = \"100ms\"\n";
    let toml = site(&origin, "viewer_middleware = [\"middleware\"]");
    let limited = function_with_limits("middleware", "middleware", keys);
    let node = TestNode::start(&(toml + &limited)).await;
    assert_eq!(node.get("/a").await.status, 500);
    ends(&node, "deadline-exceeded", 1.0).await;
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let origin = Origin::start(|asked| async move {
        let mut trailers = HeaderMap::new();
        let sum = asked.trailers.map(|sent| sent["x-sum"].clone());
        trailers.insert("x-back", sum.unwrap());
        let frames = [Frame::data(asked.body), Frame::trailers(trailers)];
        let frames = futures_util::stream::iter(frames.map(Ok));
        let response = http::Response::builder().header("trailer", "x-back");
        response
            .body(StreamBody::new(frames).boxed_unsync())
            .unwrap()
    })
    .await;
    for place in [FRONT, BEHIND] {
        let node = start(&origin, place, "").await;
        for path in ["/plain", "/a", "/shout", "/upload"] {
            let mut sums = HeaderMap::new();
            sums.insert("x-sum", "7".parse().unwrap());
            let frames = [
                Frame::data(Bytes::from_static(b"content")),
                Frame::trailers(sums),
            ];
            let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok)));
            let fields = [("te", "trailers"), ("trailer", "x-sum")];
            let mut client = node.client().await;
            let response = client.begin("POST", path, &fields, body.boxed_unsync());
            let response = response.await.unwrap();
            let content = timeout(PATIENCE, response.into_body().collect()).await;
            let content = content.unwrap().unwrap();
            let trailers = content.trailers().expect(path).clone();
            assert_eq!(trailers["x-back"], "7", "{place} {path}");
            let expected = match path {
                "/shout" | "/upload" => "CONTENT",
                _ => "content",
            };
            assert_eq!(content.to_bytes(), expected, "{place} {path}");
        }
    }
}

#[tokio::test]
async fn several_middleware_run_one_inside_another() {
    let origin = telling().await;
    let keys = "viewer_middleware = [\"outer\", \"inner\"]\norigin_middleware = [\"outer\"]\n";
    let toml = site(&origin, keys)
        + &function("outer", "middleware", "")
        + &function("inner", "middleware", "");
    let node = TestNode::start(&toml).await;
    for ran in [vec!["outer", "inner", "outer"], vec!["outer", "inner"]] {
        let reply = node.get("/a").await;
        assert_eq!(reply.fields.get_all("x-middleware").iter().count(), 3);
        let receipt = node.receipt(&reply.field("x-request-id")).await;
        let functions = receipt["functions"].as_array().unwrap().iter();
        let names: Vec<_> = functions.map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ran);
    }
    assert_eq!(origin.count(), 1);
    let reply = node.get("/tier/a").await;
    assert_eq!(reply.text(), "GET /tier/a tier=nobody fixed=- ");
    let told = node
        .ask_admin("GET", "/cache/explain?url=http%3A%2F%2Fa%2Fa")
        .await;
    let told: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(told["middleware"], serde_json::json!(["outer", "inner"]));
}

#[tokio::test]
async fn requests_to_what_is_behind_are_bounded() {
    let origin = Origin::start(async |_| respond(200, &[], "")).await;
    let node = start(&origin, FRONT, "[function.middleware.fetch]\nrequests = 5").await;
    assert_eq!(node.get("/flood").await.text(), "sent 5");
    assert_eq!(origin.count(), 5);
}

#[tokio::test]
async fn failure_behind_middleware_stays_what_it_is() {
    let origin = Origin::start(async |_| verge_tests::origin::hang_up()).await;
    for place in [FRONT, BEHIND] {
        let node = start(&origin, place, "").await;
        for path in ["/a", "/plain"] {
            let reply = node.get(path).await;
            assert_eq!(reply.status, 502, "{place} {path}");
            assert!(
                reply
                    .field("proxy-status")
                    .contains("connection_terminated"),
                "{reply:?}"
            );
        }
        // It is not the function's fault.
        ends(&node, "continued", 2.0).await;
    }
}

#[tokio::test]
async fn head_and_ranges_are_those_of_what_is_behind() {
    let origin = telling().await;
    for place in [FRONT, BEHIND] {
        let node = start(&origin, place, "").await;
        let mut client = node.client().await;
        let whole = client.get("/a").await;
        for path in ["/a", "/plain"] {
            let head = client.send("HEAD", path, &[], "").await;
            assert_eq!(head.status, 200, "{place} {path}");
            assert!(head.body.is_empty());
        }
        let head = client.send("HEAD", "/a", &[], "").await;
        assert_eq!(head.field("content-length"), whole.body.len().to_string());
        let part = client.get_with("/a", &[("range", "bytes=4-5")]).await;
        assert_eq!((part.status.as_u16(), part.text()), (206, "/a".to_owned()));
        let known = client.get_with("/a", &[("if-none-match", "\"one\"")]).await;
        assert_eq!(known.status, 304, "{place}");
    }
    // A part of other content is no part of this.
    let node = start(&origin, FRONT, "").await;
    let mut client = node.client().await;
    assert_eq!(client.get("/shout/a").await.status, 200);
    let part = client.get_with("/shout/a", &[("range", "bytes=4-5")]).await;
    assert_eq!(part.status, 500);
}

#[tokio::test]
async fn another_site_is_out_of_reach() {
    let origin = telling().await;
    let toml = site(&origin, "viewer_middleware = [\"middleware\"]")
        + "[[site]]\nnames = [\"elsewhere.example\"]\n[[site.route]]\npath = \"/{*rest}\"\n\
           static = { body = \"not for you\" }\n"
        + &function("middleware", "middleware", "");
    let node = TestNode::start(&toml).await;
    assert_eq!(node.get("/elsewhere").await.status, 500);
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn middleware_works_on_after_its_response() {
    verge_tests::log::keep();
    let origin = telling().await;
    let node = start(&origin, FRONT, "").await;
    let reply = node.get("/after").await;
    assert_eq!(reply.status, 200);
    let id = reply.field("x-request-id");
    eventually("its line in the log", async || {
        let lines = verge_tests::log::lines_with(&id);
        lines
            .iter()
            .any(|line| line.to_string().contains("works on"))
    })
    .await;
}
