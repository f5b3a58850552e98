//! The admin API: open health, everything else behind the token.

use serde_json::Value;
use verge_tests::TestNode;
use verge_tests::client::Client;
use verge_tests::node::Setup;

const SITE: &str = "[[site]]\nnames = [\"shop.example\"]\n[[site.route]]\npath = \"/\"\nstatic = { body = \"\" }\n";

#[tokio::test]
async fn health_needs_no_token_and_all_else_does() {
    let node = TestNode::start(SITE).await;
    let mut client = Client::http1(node.admin()).await;
    let health = client.get("/healthz").await;
    assert_eq!(
        (health.status.as_u16(), health.text()),
        (200, "ok\n".into())
    );
    let ready = client.get("/readyz").await;
    let body: Value = serde_json::from_str(&ready.text()).unwrap();
    assert_eq!((ready.status.as_u16(), &body["ready"]), (200, &true.into()));
    for path in [
        "/",
        "/metrics",
        "/status",
        "/unknown",
        "/healthz/x",
        "//healthz",
        "/%68ealthz",
    ] {
        for fields in [
            &[][..],
            &[("authorization", "Bearer wrong")][..],
            &[("authorization", "Basic dGVzdA==")][..],
        ] {
            let reply = client.get_with(path, fields).await;
            assert_eq!(reply.status, 401, "{path} {fields:?}");
            assert!(
                reply.field("www-authenticate").starts_with("Bearer"),
                "{path}"
            );
            assert_eq!(reply.field("cache-control"), "no-store", "{path}");
        }
    }
    let reply = client.send("POST", "/reload", &[], "").await;
    assert_eq!(reply.status, 401);
    node.settles("verge_reloads_total", 0.0).await;
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/metrics", 200),
        ("GET", "/status", 200),
        ("GET", "/unknown", 404),
        ("POST", "/metrics", 405),
        ("GET", "/reload", 405),
        ("POST", "/reload", 200),
    ] {
        assert_eq!(
            node.ask_admin(method, path).await.status,
            status,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn without_a_token_only_health_answers() {
    let toml = format!(
        "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[log]\naccess = \"off\"\n{SITE}"
    );
    let node = Setup::new().start_exactly(&toml).await;
    let mut client = Client::http1(node.admin()).await;
    assert_eq!(client.get("/healthz").await.status, 200);
    assert_eq!(client.get("/readyz").await.status, 200);
    for fields in [
        &[][..],
        &[("authorization", "Bearer ")][..],
        &[("authorization", "Bearer x")][..],
    ] {
        let reply = client.get_with("/status", fields).await;
        assert_eq!(reply.status, 403, "{fields:?}");
        assert!(
            reply.text().contains("token_file"),
            "it says what to do: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn admin_paths_are_not_on_the_traffic_listener() {
    let node = TestNode::start(SITE).await;
    for path in ["/healthz", "/metrics", "/status"] {
        let host = [
            ("host", "shop.example"),
            ("authorization", "Bearer test-admin-token"),
        ];
        let reply = node.client().await.get_with(path, &host).await;
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn status_tells_what_runs() {
    let node = TestNode::start(SITE).await;
    let status: Value =
        serde_json::from_str(&node.ask_admin("GET", "/status").await.text()).unwrap();
    assert_eq!(status["generation"]["number"], 1);
    assert_eq!(status["sites"], serde_json::json!(["shop.example"]));
    assert_eq!(status["last_reload"], Value::Null);
    assert_eq!(status["drain"], Value::Null);
    let config = status["config"].as_str().unwrap();
    assert!(config.ends_with("verge.toml"), "{config}");
    assert!(status["version"].is_string() && status["started"].is_string());
    // Numbers with names are objects.
    let cache = &status["levels"]["cache"];
    assert_eq!(cache["purges"]["url"], 0, "{cache}");
    assert_eq!(cache["refusals"], serde_json::json!({}));
}
