//! The metrics: valid text, the promised families, and numbers that are right.

use verge_tests::guests::{function, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually};

use super::exposition;

async fn start(origin: &Origin) -> TestNode {
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"shop.example\", \"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\nviewer_response = [\"security\"]\n",
        runtime(),
        function("security", "transform", "config = {}"),
        origin.address,
    );
    TestNode::start(&toml).await
}

#[tokio::test]
async fn metrics_are_valid_text_with_the_promised_families() {
    let origin =
        Origin::start(async |_| respond(200, &[("cache-control", "max-age=60")], "content")).await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for path in ["/a", "/a", "/b"] {
        client.get(path).await;
    }
    let reply = node.ask_admin("GET", "/metrics").await;
    let kind = reply.field("content-type");
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let families = exposition::check(&reply.text());
    for (name, kind) in [
        ("verge_build_info", "gauge"),
        ("verge_ready", "gauge"),
        ("verge_generation", "gauge"),
        ("verge_reloads", "counter"),
        ("verge_requests", "counter"),
        ("verge_request_duration_seconds", "histogram"),
        ("verge_function_start_seconds", "histogram"),
        ("verge_function_cpu_seconds", "histogram"),
        ("verge_function_outcomes", "counter"),
        ("verge_origin_requests", "counter"),
        ("verge_origin_connect_seconds", "histogram"),
        ("verge_origin_first_byte_seconds", "histogram"),
        ("verge_origin_connections", "gauge"),
        ("verge_cache_bytes", "gauge"),
        ("verge_cache_entries", "gauge"),
        ("verge_cache_fills", "counter"),
        ("verge_limit_hits", "counter"),
        ("verge_limit_in_use", "gauge"),
        ("verge_connections", "counter"),
        ("verge_open_connections", "gauge"),
        ("verge_failures", "counter"),
        ("verge_panics", "counter"),
    ] {
        assert_eq!(families.get(name).map(String::as_str), Some(kind), "{name}");
    }
}

#[tokio::test]
async fn what_happened_is_counted_where_it_belongs() {
    let origin = Origin::start(async |request| match request.path() {
        "/missing" => respond(404, &[("cache-control", "no-store")], "no"),
        _ => respond(200, &[("cache-control", "max-age=60")], "content"),
    })
    .await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    for path in ["/a", "/a", "/a", "/b", "/missing"] {
        client.get(path).await;
    }
    client.send("POST", "/post", &[], "12345").await;
    let site = "site=\"shop.example\"";
    let requests = format!("verge_requests_total{{{site}}}").replace("}", "");
    eventually("all six are counted", async || {
        node.metric(&requests).await == 6.0
    })
    .await;
    let durations =
        |cache: &str| format!("verge_request_duration_seconds_count{{{site},cache=\"{cache}\"}}");
    for (series, expected) in [
        (format!("verge_requests_total{{{site},class=\"2xx\"}}"), 5.0),
        (format!("verge_requests_total{{{site},class=\"4xx\"}}"), 1.0),
        (durations("hit"), 2.0),
        (durations("uri-miss"), 3.0),
        (durations("method"), 1.0),
        (format!("verge_received_bytes_total{{{site}}}"), 5.0),
        (format!("verge_sent_bytes_total{{{site}}}"), 5.0 * 7.0 + 2.0),
        (
            "verge_function_start_seconds_count{function=\"security\",start_class=\"fresh\"}"
                .into(),
            6.0,
        ),
        (
            "verge_function_cpu_seconds_count{function=\"security\"}".into(),
            6.0,
        ),
        (
            "verge_function_outcomes_total{function=\"security\",outcome=\"continued\"}".into(),
            6.0,
        ),
        (
            "verge_origin_requests_total{origin=\"app\",connection=\"new\"}".into(),
            1.0,
        ),
        (
            "verge_origin_requests_total{origin=\"app\",connection=\"reused\"}".into(),
            3.0,
        ),
        (
            "verge_origin_connect_seconds_count{origin=\"app\"}".into(),
            1.0,
        ),
        (
            "verge_origin_first_byte_seconds_count{origin=\"app\"}".into(),
            4.0,
        ),
        ("verge_cache_entries".into(), 2.0),
        (
            format!("verge_cache_fills_total{{{site},outcome=\"stored\"}}"),
            2.0,
        ),
        ("verge_panics_total".into(), 0.0),
        ("verge_connections_total{listener=\"http\"}".into(), 1.0),
        ("verge_open_connections{listener=\"http\"}".into(), 1.0),
    ] {
        node.settles(&series, expected).await;
    }
    assert!(node.metric("verge_cache_bytes").await > 14.0);
    exposition::check(&node.metrics().await);
}

#[tokio::test]
async fn names_that_clients_choose_make_no_series() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = start(&origin).await;
    let mut client = node.client().await;
    let before = node.metrics().await.lines().count();
    for number in 0..50 {
        let host = format!("host-{number}.example");
        let path = format!("/path-{number}");
        client.send("GET", &path, &[("host", &host)], "").await;
        client
            .send(&format!("METHOD{number}"), &path, &[("host", &host)], "")
            .await;
    }
    let text = node.metrics().await;
    assert!(!text.contains("host-") && !text.contains("path-") && !text.contains("METHOD"));
    let after = text.lines().count();
    // What was first seen now has its series: a bounded number.
    assert!(after < before + 200, "{before} lines became {after}");
}

#[tokio::test]
async fn limits_that_were_hit_are_counted_by_name() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let node = TestNode::start(&format!(
        "[limits]\nfields = 10\n{}",
        verge_tests::node::route_to(&origin)
    ))
    .await;
    let names: Vec<String> = (0..20).map(|number| format!("x-{number}")).collect();
    let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let reply = node.client().await.get_with("/", &fields).await;
    assert_eq!(reply.status, 431);
    let text = node.metrics().await;
    let counted = text.lines().any(|line| {
        (line.starts_with("verge_limit_hits_total{")
            || line.starts_with("verge_failures_total{side=\"client\""))
            && line.ends_with(" 1")
    });
    assert!(counted, "{text}");
}
