//! What did not change lives on: pools, counters, stored responses, connections.

use verge_tests::certificates::Authority;
use verge_tests::client::{Client, tls};
use verge_tests::guests::{WIDE_LIMITS, component, runtime};
use verge_tests::node::{Setup, route_to};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually};

use super::kit::{edit, generation, install, static_site, status, wait_for_generation};

#[tokio::test]
async fn pool_of_an_unchanged_origin_carries_over_and_of_a_changed_one_not() {
    let origin =
        Origin::start(async |_| respond(200, &[("cache-control", "no-store")], "content")).await;
    let node = TestNode::before(&origin).await;
    let connection = async || {
        assert_eq!(node.get("/").await.text(), "content");
        origin.requests().last().unwrap().connection
    };
    assert_eq!(connection().await, 0);
    edit(
        &node,
        "names = [\"*\"]",
        "names = [\"*\"]\nserver_timing = true",
    );
    wait_for_generation(&node, 2).await;
    assert_eq!(connection().await, 0, "the same connection");
    edit(&node, "[origin.app]", "[origin.app]\nretries = 3");
    wait_for_generation(&node, 3).await;
    assert_eq!(connection().await, 1, "a new pool");
}

#[tokio::test]
async fn stored_responses_stay() {
    let origin =
        Origin::start(async |_| respond(200, &[("cache-control", "max-age=60")], "content")).await;
    let node = TestNode::before(&origin).await;
    node.get("/a").await;
    edit(
        &node,
        "names = [\"*\"]",
        "names = [\"*\"]\nserver_timing = true",
    );
    wait_for_generation(&node, 2).await;
    let reply = node.get("/a").await;
    assert!(
        reply.cache_status().starts_with("verge; hit"),
        "{}",
        reply.cache_status()
    );
    assert!(
        !reply.field("server-timing").is_empty(),
        "the new generation answers"
    );
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn rate_counters_go_on_counting_in_a_new_version() {
    let setup = Setup::new();
    install(&setup, "f.wasm", "rate-limit");
    let toml = format!(
        "{}[function.f]\ncomponent = \"f.wasm\"\n{WIDE_LIMITS}grants = {{ rate_limit = true }}\n\
         config = {{ limit = \"4\", window = \"600\" }}\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"content\" }}\nviewer_request = [\"f\"]\n",
        runtime()
    );
    let node = setup.start(&toml).await;
    for _ in 0..2 {
        assert_eq!(node.get("/").await.status, 200);
    }
    // Another setting of the function.
    edit(
        &node,
        "window = \"600\"",
        "window = \"600\", name = \"other\"",
    );
    wait_for_generation(&node, 2).await;
    assert_eq!(node.get("/").await.status, 200);
    // Another component: an empty custom section makes it one.
    let mut bytes = std::fs::read(component("rate-limit")).unwrap();
    bytes.extend_from_slice(&[0, 2, 1, b'v']);
    node.save("f.wasm", bytes);
    wait_for_generation(&node, 3).await;
    assert_eq!(node.get("/").await.status, 200);
    assert_eq!(
        node.get("/").await.status,
        429,
        "the fifth, over three versions"
    );
}

#[tokio::test]
async fn unchanged_function_is_not_loaded_again() {
    let setup = Setup::new();
    install(&setup, "f.wasm", "transform");
    let toml = format!(
        "{}[function.f]\ncomponent = \"f.wasm\"\n{WIDE_LIMITS}config = {{}}\n\
         [[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"content\" }}\nviewer_response = [\"f\"]\n",
        runtime()
    );
    let node = setup.start(&toml).await;
    let function = || {
        let generation = node.state().generation.load_full();
        std::sync::Arc::clone(&generation.functions["f"])
    };
    let before = function();
    edit(&node, "content\"", "changed\"");
    wait_for_generation(&node, 2).await;
    assert!(std::sync::Arc::ptr_eq(&before, &function()));
}

#[tokio::test]
async fn request_in_flight_ends_on_the_generation_it_began_on() {
    let (release, hold) = tokio::sync::watch::channel(false);
    let origin = Origin::start(move |_| {
        let mut hold = hold.clone();
        async move {
            hold.wait_for(|released| *released).await.unwrap();
            respond(200, &[], "content")
        }
    })
    .await;
    let node = TestNode::start(&format!("{}{}", runtime(), route_to(&origin))).await;
    let address = node.http();
    let waiting = tokio::spawn(async move { Client::http1(address).await.get("/").await });
    eventually("the origin was asked", async || origin.count() == 1).await;
    // The new generation does not even know this origin.
    let text = node.config_text();
    let (head, _) = text.split_once("[runtime]").unwrap();
    node.save("verge.toml", format!("{head}{}", static_site("new")));
    wait_for_generation(&node, 2).await;
    assert_eq!(node.get("/").await.text(), "new");
    release.send(true).unwrap();
    assert_eq!(waiting.await.unwrap().text(), "content");
    let origins = status(&node).await["origins"].clone();
    assert_eq!(origins, serde_json::json!([]));
}

/// The serial part that tells two leaf certificates apart: the certificate itself.
async fn shown(node: &TestNode) -> Vec<u8> {
    let roots = node.authority.as_ref().unwrap().roots();
    let stream = tls(node.https(), "shop.example", roots, b"http/1.1").await;
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn saved_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let node = Setup::new()
        .with_tls(&[&["shop.example"]])
        .start(&static_site("content"))
        .await;
    let roots = node.authority.as_ref().unwrap().roots();
    let mut old = Client::https2(node.https(), "shop.example", roots).await;
    assert_eq!(old.get("/").await.text(), "content");
    let before = shown(&node).await;
    let authority: &Authority = node.authority.as_ref().unwrap();
    let (certificate, key) = authority.issue(&["shop.example"]);
    // Between the two saves the files do not fit together: that must not be served.
    node.save("cert-0.pem", certificate);
    let refused = node.ask_admin("POST", "/reload").await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert_eq!(shown(&node).await, before);
    node.save("key-0.pem", key);
    eventually("the new certificate", async || shown(&node).await != before).await;
    assert_eq!(old.get("/").await.text(), "content");
    assert_eq!(generation(&node).await, 2);
}

#[tokio::test]
async fn limits_and_the_admin_token_change_without_a_restart() {
    let node = TestNode::start(&format!(
        "{}[limits]\nrequests = 100\n",
        static_site("content")
    ))
    .await;
    let places = "verge_limit_places{limit=\"requests\"}";
    node.settles(places, 100.0).await;
    edit(&node, "requests = 100", "requests = 50");
    eventually("the new limit", async || node.metric(places).await == 50.0).await;
    node.save("admin-token", "another-token");
    let mut admin = Client::http1(node.admin()).await;
    let new = [("authorization", "Bearer another-token")];
    eventually("the new token", async || {
        admin.get_with("/status", &new).await.status == 200
    })
    .await;
    assert_eq!(node.ask_admin("GET", "/status").await.status, 401);
}
