//! One line for each request, whatever became of it.

use serde_json::Value;
use verge_tests::client::{Client, connect, empty, raw};
use verge_tests::guests::{function, runtime};
use verge_tests::node::{Setup, route_to};
use verge_tests::origin::{respond, respond_in_steps};
use verge_tests::{Origin, TestNode, eventually};

async fn cacheable() -> Origin {
    Origin::start(async |_| respond(200, &[("cache-control", "max-age=60")], "content")).await
}

/// Every line has these, of these kinds.
fn check_common(line: &Value) {
    let time = line["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() >= 20, "{line}");
    assert_eq!(line["id"].as_str().unwrap().len(), 32, "{line}");
    assert_eq!(line["client"], "127.0.0.1", "{line}");
    assert!(line["total_us"].as_f64().unwrap() > 0.0, "{line}");
    assert!(
        line["first_byte_us"].as_f64() <= line["total_us"].as_f64(),
        "{line}"
    );
    assert!(
        line["status"].is_u64() && line["sent_bytes"].is_u64(),
        "{line}"
    );
}

#[tokio::test]
async fn miss_and_hit_say_what_the_cache_and_the_origin_did() {
    let origin = cacheable().await;
    let node = TestNode::before(&origin).await;
    let mut client = node.client().await;
    let fields = [("user-agent", "test \"quoted\"")];
    let miss = client.get_with("/a%20b?q=1", &fields).await;
    let hit = client.get_with("/a%20b?q=1", &fields).await;
    let miss = node.receipt(&miss.field("x-request-id")).await;
    let hit = node.receipt(&hit.field("x-request-id")).await;
    for line in [&miss, &hit] {
        check_common(line);
        for (name, value) in [
            ("site", "*"),
            ("route", "/{*rest}"),
            ("protocol", "HTTP/1.1"),
            ("method", "GET"),
            ("path", "/a%20b"),
            ("query", "q=1"),
            ("user_agent", "test \"quoted\""),
        ] {
            assert_eq!(line[name], value, "{line}");
        }
        assert_eq!(line["status"], 200);
        assert_eq!(line["sent_bytes"], 7);
        assert_eq!(line["received_bytes"], 0);
        assert_eq!(line.get("failure"), None);
        assert_eq!(line.get("aborted"), None);
        assert_eq!(line.get("functions"), None);
    }
    let cache = &miss["cache"];
    assert_eq!(
        (&cache["outcome"], &cache["stored"]),
        (&"uri-miss".into(), &true.into())
    );
    assert_eq!(cache["fwd_status"], 200);
    let sent = &miss["origin"];
    assert_eq!(
        (&sent["name"], &sent["reused"]),
        (&"app".into(), &false.into())
    );
    assert_eq!(sent["address"], origin.address.to_string());
    assert_eq!(
        (&sent["status"], &sent["retries"]),
        (&200.into(), &0.into())
    );
    assert!(sent["connect_us"].as_f64().unwrap() > 0.0);
    assert!(sent["first_byte_us"].as_f64().unwrap() > 0.0);
    assert_eq!(hit["cache"]["outcome"], "hit");
    assert!((1..=60).contains(&hit["cache"]["ttl"].as_i64().unwrap()));
    assert_eq!(hit.get("origin"), None, "a hit asks nobody");
}

#[tokio::test]
async fn http2_over_tls_says_so() {
    let origin = cacheable().await;
    let node = Setup::new()
        .with_tls(&[&["shop.example"]])
        .start(&route_to(&origin))
        .await;
    let roots = node.authority.as_ref().unwrap().roots();
    let mut client = Client::https2(node.https(), "shop.example", roots).await;
    let reply = client.get("/a").await;
    let line = node.receipt(&reply.field("x-request-id")).await;
    check_common(&line);
    assert_eq!(line["protocol"], "HTTP/2");
    assert_eq!(
        (&line["scheme"], &line["authority"]),
        (&"https".into(), &"shop.example".into())
    );
    assert_eq!(line["tls"]["version"], "tls1.3");
    assert_eq!(line["tls"]["resumed"], false);
    assert!(line["tls"]["handshake_us"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn each_function_is_listed_with_what_it_cost() {
    let origin = cacheable().await;
    let toml = format!(
        "{}{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n\
         origin_request = [\"around\"]\norigin_response = [\"around\"]\nviewer_response = [\"security\"]\n",
        runtime(),
        function("around", "origin-triggers", ""),
        function("security", "transform", "config = {}"),
        origin.address,
    );
    let node = TestNode::start(&toml).await;
    let mut client = node.client().await;
    let miss = client.get("/a").await;
    let hit = client.get("/a").await;
    let line = node.receipt(&miss.field("x-request-id")).await;
    let functions = line["functions"].as_array().unwrap();
    let listed: Vec<(&str, &str)> = functions
        .iter()
        .map(|f| (f["trigger"].as_str().unwrap(), f["name"].as_str().unwrap()))
        .collect();
    let expected = [
        ("origin-request", "around"),
        ("origin-response", "around"),
        ("viewer-response", "security"),
    ];
    assert_eq!(listed, expected);
    for function in functions {
        assert_eq!(function["outcome"], "continued");
        assert_eq!(function["start_class"], "fresh");
        for cost in [
            "start_us",
            "cpu_us",
            "wall_us",
            "hostcalls",
            "memory_peak_bytes",
        ] {
            assert!(function[cost].as_f64().unwrap() > 0.0, "{cost}: {function}");
        }
        assert!(
            function["digest"].as_str().unwrap().len() >= 12,
            "{function}"
        );
    }
    let line = node.receipt(&hit.field("x-request-id")).await;
    assert_eq!(
        line["functions"].as_array().unwrap().len(),
        1,
        "origin triggers belong to the fill"
    );
}

#[tokio::test]
async fn failures_name_their_kind_and_side() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let toml = format!(
        "[origin.gone]\naddresses = [\"{unused}\"]\n[[site]]\nnames = [\"shop.example\"]\n\
         [[site.route]]\npath = \"/gone\"\norigin = \"gone\"\n"
    );
    let node = TestNode::start(&toml).await;
    let host = [("host", "shop.example")];
    let mut client = node.client().await;
    let refused = client.get_with("/gone", &host).await;
    let line = node.receipt(&refused.field("x-request-id")).await;
    check_common(&line);
    assert_eq!(line["status"], refused.status.as_u16());
    assert_eq!(line["failure"], "connection-refused", "{line}");
    assert_eq!(line["origin"]["failure"], line["failure"]);
    assert_eq!(line["origin"].get("first_byte_us"), None, "there was none");
    let first_bytes = "verge_origin_first_byte_seconds_count{origin=\"gone\"}";
    node.settles(first_bytes, 0.0).await;
    let failures = "verge_origin_failures_total{origin=\"gone\",failure=\"connection-refused\"}";
    node.settles(failures, 1.0).await;
    assert_eq!(
        (&line["site"], &line["route"]),
        (&"shop.example".into(), &"/gone".into())
    );
    let unrouted = client.get_with("/nothing", &host).await;
    let line = node.receipt(&unrouted.field("x-request-id")).await;
    assert_eq!(
        (unrouted.status.as_u16(), &line["status"]),
        (404, &404.into())
    );
    assert!(line["failure"].is_string(), "{line}");
    let misdirected = client.get_with("/gone", &[("host", "other.example")]).await;
    let line = node.receipt(&misdirected.field("x-request-id")).await;
    assert_eq!(
        (misdirected.status.as_u16(), &line["status"]),
        (421, &421.into())
    );
    assert_eq!(line.get("site"), None);
}

#[tokio::test]
async fn request_that_never_reaches_the_pipeline_has_a_line_too() {
    let origin = cacheable().await;
    let node = TestNode::before(&origin).await;
    let answer = raw(node.http(), b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    eventually("its line", async || {
        node.access_log().iter().any(|line| {
            line["status"] == 400 && line["failure"].is_string() && line["client"] == "127.0.0.1"
        })
    })
    .await;
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn content_is_counted_both_ways() {
    let origin = Origin::start(async |_| respond(200, &[], "four")).await;
    let node = TestNode::before(&origin).await;
    let mut client = node.client().await;
    let reply = client.send("POST", "/a", &[], "ten bytes.").await;
    let line = node.receipt(&reply.field("x-request-id")).await;
    assert_eq!(
        (&line["received_bytes"], &line["sent_bytes"]),
        (&10.into(), &4.into()),
        "{line}"
    );
    assert_eq!(line["cache"]["outcome"], "method");
}

#[tokio::test]
async fn client_that_leaves_is_an_abort_and_no_failure() {
    let (steps, told) = tokio::sync::mpsc::unbounded_channel();
    let origin = Origin::start(move |_| {
        let (sender, response) = respond_in_steps(200, &[("cache-control", "no-store")]);
        sender
            .send(Some(bytes::Bytes::from_static(b"the beginning")))
            .unwrap();
        steps.send(sender).unwrap();
        async move { response }
    })
    .await;
    let node = TestNode::before(&origin).await;
    let mut client = node.client().await;
    let response = client.begin("GET", "/a", &[], empty()).await.unwrap();
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    drop(response);
    drop(client);
    let line = node.receipt(&id).await;
    assert_eq!(line["aborted"], true, "{line}");
    assert_eq!(line.get("failure"), None, "{line}");
    node.settles("verge_requests_aborted_total{site=\"*\"}", 1.0)
        .await;
    drop(told);
}

#[tokio::test]
async fn whatever_a_client_sends_a_line_stays_one_json_object() {
    let origin = cacheable().await;
    let node = TestNode::before(&origin).await;
    let mut connection = connect(node.http()).await;
    let request = b"GET /%0a{\"forged\":1} HTTP/1.1\r\nhost: a\r\n\
                    user-agent: \"},{\\\xff\xe2\x80\xa8\tx\r\nconnection: close\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut connection, request)
        .await
        .unwrap();
    let answer = verge_tests::client::read_to_close(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // access_log() parses every line.
    eventually("its line", async || node.access_log().len() == 1).await;
    let line = &node.access_log()[0];
    assert_eq!(line.get("forged"), None);
    assert_eq!(line["path"], "/%0a{\"forged\":1}");
    assert_eq!(line["user_agent"], "\"},{\\\u{fffd}\u{2028}\tx");
    let text = std::fs::read_to_string(node.file("access.log")).unwrap();
    // Nothing that a viewer or a terminal would obey stands in it as it is.
    assert!(
        text.trim_end()
            .chars()
            .all(|c| !c.is_control() && c != '\u{2028}')
    );
}
