//! Requests that functions send: whom they reach, what is stored of them, what they may come to.

use std::sync::Arc;

use tokio::sync::Notify;
use verge_tests::guests::{function, function_with_limits, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, Recorded, TestNode, log};

/// A function `sender` in front of everything, with an origin `api` that it may be granted. What
/// it lets pass goes to `api`, too.
async fn start(api: &Origin, keys: &str) -> TestNode {
    start_with(api, &function("sender", "fetches", keys)).await
}

async fn start_with(api: &Origin, sender: &str) -> TestNode {
    log::keep();
    let toml = format!(
        "{}{sender}[origin.api]\naddresses = [\"{}\"]\nhost = \"api.example\"\n\
         [origin.other]\naddresses = [\"127.0.0.1:9\"]\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"api\"\n\
         viewer_request = [\"sender\"]\n",
        runtime(),
        api.address,
    );
    TestNode::start(&toml).await
}

async fn echo() -> Origin {
    Origin::start(|asked: Recorded| async move {
        let pass = asked.field("x-pass").unwrap_or("-").to_owned();
        let text = format!("{} {} {pass}", asked.method, asked.target);
        let fields = [("cache-control", "max-age=60"), ("x-origin", "api")];
        respond(200, &fields, text + &String::from_utf8_lossy(&asked.body))
    })
    .await
}

async fn fetches(node: &TestNode, outcome: &str, expected: f64) {
    let series =
        format!("verge_function_fetches_total{{function=\"sender\",outcome=\"{outcome}\"}}");
    node.settles(&series, expected).await;
}

#[tokio::test]
async fn granted_origin_is_reached_by_its_name_and_by_its_authorities() {
    let api = echo().await;
    let node = start(&api, "grants = { fetch = [\"api\"] }").await;
    let address = api.address.to_string();
    for authority in ["api", "api.example", &address] {
        let reply = node.get(&format!("/one?http://{authority}/a?b=c")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text()),
            (200, "GET /a?b=c -".into())
        );
        assert_eq!(reply.field("x-fetched-x-origin"), "api");
        // The connection goes back to the pool when the response has ended there, too.
        let pool = "verge_origin_connections{origin=\"api\"";
        let idle = format!("{pool},address=\"{address}\",state=\"idle\"}}");
        node.settles(&idle, 1.0).await;
    }
    for asked in api.requests() {
        assert_eq!(asked.field("host"), Some("api.example"));
        assert!(asked.field("via").unwrap().contains("verge"));
        assert_eq!(asked.field("cdn-loop"), Some("verge"));
    }
    // One pool for functions and for routes.
    assert!(api.requests().iter().all(|asked| asked.connection == 0));
    fetches(&node, "answered", 3.0).await;
}

#[tokio::test]
async fn receipt_tells_number_and_time_of_requests() {
    let api = echo().await;
    let node = start(&api, "grants = { fetch = [\"api\"] }").await;
    let id = node.get("/one?http://api/a").await.field("x-request-id");
    assert_eq!(api.requests()[0].field("x-request-id"), Some(id.as_str()));
    let receipt = node.receipt(&id).await;
    let trigger = &receipt["functions"][0];
    assert_eq!(trigger["fetches"], 1, "{trigger}");
    assert!(trigger["fetch_us"].as_f64().unwrap() > 0.0, "{trigger}");
}

#[tokio::test]
async fn what_was_not_granted_is_denied_and_the_log_names_the_grant() {
    let api = echo().await;
    let node = start(&api, "grants = { fetch = [\"api\"] }").await;
    for (uri, said) in [
        (
            "http://other/",
            "`function.sender.grants.fetch = [\\\"other\\\"]`",
        ),
        ("http://127.0.0.1:9/", "origin `other`"),
        (
            "http://site.example/",
            "`function.sender.grants.fetch_site = true`",
        ),
    ] {
        let mut client = node.client().await;
        client.set_authority("site.example");
        let reply = client.get(&format!("/one?{uri}")).await;
        assert_eq!(reply.status, 502);
        assert_eq!(
            reply.text(),
            "the request is for no origin that was granted"
        );
        let lines = log::lines_with(&reply.field("x-request-id"));
        let told = lines
            .iter()
            .map(|line| line["fields"]["message"].to_string());
        let told: Vec<String> = told.collect();
        assert!(
            told.iter().any(|line| line.contains(said)),
            "{said}: {told:?}"
        );
    }
    assert_eq!(api.count(), 0);
    fetches(&node, "denied", 3.0).await;
}

#[tokio::test]
async fn denials_have_a_bounded_number_of_lines() {
    let api = echo().await;
    let node = start(&api, "grants = { fetch = [\"api\"] }").await;
    for _ in 0..30 {
        let reply = node.get("/one?http://flooded.example/").await;
        assert_eq!(reply.status, 502);
    }
    fetches(&node, "denied", 30.0).await;
    assert_eq!(log::lines_with("flooded.example").len(), 10);
}

#[tokio::test]
async fn content_of_requests_counts_when_they_are_sent() {
    // Nobody reads what they send.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toml = format!(
        "{}{}[origin.api]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\nstatic = {{ body = \"\" }}\n\
         viewer_request = [\"sender\"]\n",
        runtime(),
        function(
            "sender",
            "fetches",
            "grants = { fetch = [\"api\"] }\nfetch = { bytes = \"5MiB\" }"
        ),
        silent.local_addr().unwrap(),
    );
    let node = TestNode::start(&toml).await;
    // Four of 1 MiB fit, and the fifth is one byte too long.
    let text = node.get("/heavy?http://api/").await.text();
    assert_eq!(text, "sent,sent,sent,sent,too much content");
    // What is longer than all that it may send is refused like that, and does not end it.
    let text = node.get("/heaviest?http://api/").await.text();
    assert_eq!(text, "too much content");
}

#[tokio::test]
async fn who_the_client_is_no_function_says() {
    let api = echo().await;
    for keys in ["", "fetch = { cache = true }\n"] {
        let node = start(&api, &format!("{keys}grants = {{ fetch = [\"api\"] }}")).await;
        let refused = node.get("/claim?http://api/claims").await;
        assert_eq!(refused.status, 502);
        assert_eq!(refused.text(), "the request is not valid");
        assert_eq!(node.get("/one?http://api/one").await.status, 200);
        let asked = api.requests().pop().unwrap();
        // The node's own word.
        assert_eq!(
            asked.field("x-forwarded-for"),
            Some("127.0.0.1"),
            "{asked:?}"
        );
        let via: Vec<_> = asked.fields.get_all("via").iter().collect();
        assert_eq!(via.len(), 1, "{asked:?}");
    }
}

#[tokio::test]
async fn requests_of_a_call_are_bounded_in_all_and_at_once() {
    let api = echo().await;
    let keys = "grants = { fetch = [\"api\"] }\nfetch = { requests = 15, concurrent = 4 }";
    let node = start(&api, keys).await;
    let text = node.get("/many?http://api/a").await.text();
    let expected = [
        ["200"; 4].join(","),
        ["too many requests at once"; 6].join(","),
    ]
    .join(",");
    let (at_once, serial) = text.split_once('\n').unwrap();
    assert_eq!(at_once, expected);
    let expected = [["200"; 5].join(","), ["too many requests"; 5].join(",")].join(",");
    assert_eq!(serial, expected);
    assert_eq!(api.count(), 9);
    fetches(&node, "answered", 9.0).await;
    fetches(&node, "too-many", 5.0).await;
    fetches(&node, "too-many-at-once", 6.0).await;
}

#[tokio::test]
async fn content_of_all_requests_is_bounded() {
    let api = Origin::start(|_| async { respond(200, &[], vec![b'x'; 20 << 10]) }).await;
    let keys = "grants = { fetch = [\"api\"] }\nfetch = { bytes = \"30KiB\" }";
    let node = start(&api, keys).await;
    assert_eq!(node.get("/one?http://api/a").await.body.len(), 20 << 10);
    let mut client = node.client().await;
    let upload = vec![b'y'; 15 << 10];
    let reply = client
        .send("POST", "/upload?http://api/b", &[], upload)
        .await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (502, "the content ended early".into())
    );
    fetches(&node, "too-large", 1.0).await;
}

#[tokio::test]
async fn content_is_passed_on_without_the_function() {
    let api = echo().await;
    // The function itself may read next to nothing.
    let keys = "body = \"1KiB\"\ngrants = { fetch = [\"api\"] }";
    let node = start(&api, keys).await;
    let mut client = node.client().await;
    let content = vec![b'z'; 100 << 10];
    client
        .send("POST", "/upload?http://api/b", &[], content.clone())
        .await;
    let asked = &api.requests()[0];
    assert_eq!(
        (asked.method.as_str(), asked.body.len()),
        ("POST", content.len())
    );
}

#[tokio::test]
async fn requests_go_through_the_cache_where_it_is_set_so() {
    let api = echo().await;
    let keys = "grants = { fetch = [\"api\"] }\nfetch = { cache = true }";
    let node = start(&api, keys).await;
    let first = node.get("/one?http://api/a").await;
    let status = first.field("x-fetched-cache-status");
    let begins = "verge; fwd=uri-miss; fwd-status=200; ttl=";
    assert!(status.starts_with(begins), "{status}");
    assert!(status.ends_with("; stored"), "{status}");
    let second = node.get("/one?http://api/a").await;
    assert!(
        second
            .field("x-fetched-cache-status")
            .starts_with("verge; hit")
    );
    assert!(second.field("x-fetched-age").parse::<u64>().is_ok());
    assert_eq!((second.text(), api.count()), ("GET /a -".into(), 1));
    // What the function wrote is a part of the key.
    let mut client = node.client().await;
    let path = "/one?http://api/a";
    for (user, count) in [("ada", 2), ("bob", 3), ("ada", 3)] {
        let reply = client.get_with(path, &[("x-pass", user)]).await;
        assert_eq!(
            (reply.text(), api.count()),
            (format!("GET /a {user}"), count)
        );
    }
    // And clients find none of it, whatever they call the origin.
    client.set_authority("api.example");
    let reply = client.get("/a").await;
    assert!(
        reply.cache_status().contains("fwd=uri-miss"),
        "{}",
        reply.cache_status()
    );
    assert_eq!(api.count(), 4);
}

#[tokio::test]
async fn routes_of_the_site_are_fetched_behind_viewer_request() {
    let api = echo().await;
    let node = start(&api, "grants = { fetch_site = true }").await;
    let mut client = node.client().await;
    client.set_authority("site.example");
    let reply = client.get("/one?http://site.example/one").await;
    // Otherwise the function would have met itself.
    assert_eq!(reply.text(), "GET /one -");
    assert!(
        reply
            .field("x-fetched-cache-status")
            .contains("fwd=uri-miss")
    );
    assert_eq!(api.requests()[0].field("host"), Some("api.example"));
    // Stored as for clients, where the function wrote no fields.
    assert!(
        client
            .get("/one?http://site.example/one")
            .await
            .field("x-fetched-cache-status")
            .contains("hit")
    );
    let reply = client.get("/one?http://elsewhere.example:81/").await;
    assert_eq!(reply.text(), "GET / -", "the site has all names");
}

#[tokio::test]
async fn waiting_takes_of_the_deadline_and_not_of_the_cpu_budget() {
    let release = Arc::new(Notify::new());
    let waits = Arc::clone(&release);
    let api = Origin::start(move |asked: Recorded| {
        let waits = Arc::clone(&waits);
        async move {
            match asked.path() {
                "/never" => std::future::pending().await,
                _ => waits.notified().await,
            }
            respond(200, &[], "late")
        }
    })
    .await;
    let keys = "cpu = \"100ms\"\ndeadline = \"1s\"\ngrants = { fetch = [\"api\"] }";
    let node = start_with(&api, &function_with_limits("sender", "fetches", keys)).await;
    let late = async {
        // For longer than it may compute.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        release.notify_one();
    };
    let (reply, ()) = tokio::join!(node.get("/one?http://api/late"), late);
    assert_eq!(reply.text(), "late");
    assert_eq!(
        node.get("/hasty?http://api/never").await.text(),
        "there was no response in time"
    );
    let reply = node.get("/one?http://api/never").await;
    assert_eq!(reply.status, 500);
    let receipt = node.receipt(&reply.field("x-request-id")).await;
    assert_eq!(receipt["functions"][0]["outcome"], "deadline-exceeded");
    fetches(&node, "abandoned", 1.0).await;
}
