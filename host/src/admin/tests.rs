//! The admin API through real sockets.

mod kit;

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use kit::{FakeNode, PATIENCE, start, start_with};

#[tokio::test]
async fn all_but_health_and_readiness_need_the_token() {
    let admin = start();
    let right = Some("Bearer s3cret");
    let wrong = Some("Bearer s3crex");
    // (method, path, authorization, status)
    let table = [
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", None, 200),
        ("GET", "/healthz", wrong, 200),
        ("HEAD", "/healthz", None, 200),
        ("POST", "/healthz", None, 405),
        ("GET", "/", None, 401),
        ("GET", "/metrics", None, 401),
        ("GET", "/status", None, 401),
        ("POST", "/reload", None, 401),
        ("GET", "/reload", None, 401),
        ("GET", "/unknown", None, 401),
        ("GET", "/healthz/", None, 401),
        ("GET", "//healthz", None, 401),
        ("GET", "/metrics", wrong, 401),
        ("GET", "/metrics?token=s3cret", None, 401),
        ("GET", "/metrics", Some("Basic czNjcmV0"), 401),
        ("GET", "/", right, 200),
        ("GET", "/metrics", right, 200),
        ("GET", "/status", right, 200),
        ("POST", "/reload", right, 200),
        ("GET", "/reload", right, 405),
        ("GET", "/unknown", right, 404),
    ];
    for (method, path, authorization, status) in table {
        let answer = admin.request(method, path, authorization).await;
        assert_eq!(answer.status, status, "{method} {path} {authorization:?}");
        assert!(answer.head.contains("cache-control: no-store"));
        let challenged = answer.head.contains("www-authenticate: bearer");
        assert_eq!(challenged, status == 401, "{method} {path}");
        if status >= 400 {
            let json = answer.json();
            assert!(json["error"].is_string() && json["expected"].is_string());
        }
    }
    assert_eq!(admin.node.reloads.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_a_configured_token_the_answer_says_which_key_to_set() {
    let admin = start();
    admin.auth.set_token(None);
    for authorization in [None, Some("Bearer s3cret"), Some("Bearer ")] {
        let answer = admin.request("GET", "/metrics", authorization).await;
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains("token_file"));
    }
    assert_eq!(admin.request("GET", "/healthz", None).await.status, 200);
}

#[tokio::test]
async fn readiness_tells_why_not() {
    let admin = start();
    admin.node.is_ready.store(false, Ordering::Relaxed);
    let answer = admin.request("GET", "/readyz", None).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reason"], "draining");
    assert_eq!(admin.request("GET", "/healthz", None).await.status, 200);
}

#[tokio::test]
async fn metrics_are_openmetrics_text() {
    let admin = start();
    let answer = admin.ask("GET", "/metrics").await;
    assert!(
        answer
            .head
            .contains("content-type: application/openmetrics-text")
    );
    assert!(answer.body.contains("\nverge_ready 1\n"));
    assert!(answer.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn status_tells_generation_functions_and_levels() {
    let admin = start();
    let json = admin.ask("GET", "/status").await.json();
    assert_eq!(json["generation"]["number"], 3);
    assert_eq!(json["functions"][0]["name"], "auth");
    assert_eq!(json["levels"]["ready"], true);
    assert_eq!(json["levels"]["cache"]["bytes"], 0);
    assert_eq!(json["reason"], Value::Null);
}

#[tokio::test]
async fn failed_reload_lists_every_problem() {
    let mut node = FakeNode::new(ReloadResult::Failed);
    node.problems = ["origin", "site"].map(problem).into();
    let admin = start_with(node, AdminLimits::default());
    let answer = admin.ask("POST", "/reload").await;
    assert_eq!(answer.status, 422);
    let json = answer.json();
    assert_eq!(json["result"], "failed");
    assert_eq!(json["took_ms"], 1.5);
    assert_eq!(json["problems"][1]["key"], "site");
    assert_eq!(json["problems"][1]["expected"], "a known name");
}

fn problem(key: &str) -> ReloadProblem {
    ReloadProblem {
        file: PathBuf::from("verge.toml"),
        line: 7,
        key: key.into(),
        what: "is unknown".into(),
        expected: "a known name".into(),
    }
}

#[tokio::test]
async fn reload_ends_although_its_client_has_gone() {
    let admin = start();
    // The first permission is used up, so that the next reload must wait.
    admin.node.may_reload.notified().await;
    let mut stream = admin.connect().await;
    let head = "POST /reload HTTP/1.1\r\nHost: admin\r\nAuthorization: Bearer s3cret\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    // An answer on another connection of the same thread comes after the head was read.
    admin.request("GET", "/healthz", None).await;
    drop(stream);
    admin.request("GET", "/healthz", None).await;
    admin.node.may_reload.notify_one();
    timeout(PATIENCE, admin.node.reloaded.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn too_much_content_is_refused_unread() {
    let admin = start();
    let head = "POST /reload HTTP/1.1\r\nHost: admin\r\nContent-Length: 2000000\r\n\
                Authorization: Bearer s3cret\r\nConnection: close\r\n\r\n";
    assert_eq!(admin.send(head).await.status, 413);
    assert_eq!(admin.node.reloads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let admin = start();
    let large = "a".repeat(20 << 10);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: admin\r\nX-Large: {large}\r\n\r\n");
    assert_eq!(admin.send(&head).await.status, 431);
    let many = "X: 1\r\n".repeat(100);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: admin\r\n{many}\r\n");
    assert_eq!(admin.send(&head).await.status, 431);
}

#[tokio::test]
async fn head_that_never_ends_is_cut() {
    let limits = AdminLimits {
        head_time: Duration::from_millis(50),
        ..AdminLimits::default()
    };
    let admin = start_with(FakeNode::new(ReloadResult::Applied), limits);
    let mut stream = admin.connect().await;
    stream.write_all(b"GET /healthz HT").await.unwrap();
    let mut rest = Vec::new();
    let _ended = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap();
}

#[tokio::test]
async fn connections_past_the_limit_are_closed_and_counted() {
    let limits = AdminLimits {
        connections: 1,
        ..AdminLimits::default()
    };
    let node = Arc::new(FakeNode::new(ReloadResult::Applied));
    let any_port = [SocketAddr::from(([127, 0, 0, 1], 0))];
    let server = AdminServer::bind(&any_port, AdminAuth::new(None), node, limits).unwrap();
    let (address, permits) = (server.addresses()[0], server.permits().clone());
    let _serving = tokio::spawn(server.serve(std::future::pending()));
    let _first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    let mut rest = Vec::new();
    let _ended = timeout(PATIENCE, second.read_to_end(&mut rest))
        .await
        .unwrap();
    assert!(rest.is_empty());
    assert_eq!((permits.in_use(), permits.refused()), (1, 1));
}

#[tokio::test]
async fn stop_closes_idle_connections_and_ends() {
    let admin = start();
    let mut idle = admin.connect().await;
    admin.request("GET", "/healthz", None).await;
    admin.stop.send(()).unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, idle.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    timeout(PATIENCE, admin.serving)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn address_that_cannot_be_bound_is_named() {
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let node = Arc::new(FakeNode::new(ReloadResult::Applied));
    let bound = AdminServer::bind(
        &[address],
        AdminAuth::new(None),
        node,
        AdminLimits::default(),
    );
    assert!(
        bound
            .unwrap_err()
            .to_string()
            .contains(&address.to_string())
    );
}
