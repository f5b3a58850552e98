//! One test for each way to misbehave in a trigger: policy, counters, containment.

use super::kit::scene;
use verge_tests::guests::{WIDE_LIMITS, function, function_with_limits, runtime};
use verge_tests::origin::respond;
use verge_tests::{Origin, TestNode, eventually, log};

/// The guest fails as `outcome` says, whatever it is asked; `closed` and `open` answer as they
/// should, it is counted, and others are unharmed.
async fn is_contained(guest: &'static str, keys: &str, outcome: &str) {
    let scene = scene(guest, keys).await;
    let closed = scene.beside_others("/closed/a", 6).await;
    assert_eq!(closed, [500; 6]);
    let open = scene.beside_others("/open/a", 6).await;
    assert_eq!(open, [200; 6]);
    scene.settles(outcome, 12.0).await;
    eventually("every instance was given back", async || {
        scene.instances().await == 0.0
    })
    .await;

    let refused = scene.node.get("/closed/b").await;
    assert_eq!(refused.status, 500);
    let passed = scene.node.get("/open/b").await;
    assert_eq!(passed.text(), "content");
    // What went wrong inside is for the log, not for the client (RFC 9209 names it).
    assert!(!refused.text().contains("wasm"), "{}", refused.text());
    let id = refused.field("x-request-id");
    let lines = log::lines_with(&id);
    let fault = lines
        .iter()
        .find_map(|line| line["fields"]["fault"].as_str())
        .unwrap();
    assert_eq!(fault, format!("function-{outcome}"));
    let failure = format!("verge_failures_total{{side=\"function\",failure=\"{fault}\"}}");
    scene.node.settles(&failure, 7.0).await;
    let receipt = scene.node.receipt(&id).await;
    assert_eq!(receipt["functions"][0]["outcome"], outcome);
    assert_eq!(receipt["functions"][0]["name"], guest);
    assert_eq!(receipt["failure"], fault);
    assert_eq!(receipt["status"], 500);
}

#[tokio::test]
async fn function_that_spins_uses_up_its_cpu_budget() {
    is_contained(
        "spins",
        "cpu = \"50ms\"\ndeadline = \"15s\"",
        "cpu-exceeded",
    )
    .await;
}

#[tokio::test]
async fn function_that_spins_cannot_outlive_its_deadline() {
    is_contained(
        "spins",
        "cpu = \"60s\"\ndeadline = \"100ms\"",
        "deadline-exceeded",
    )
    .await;
}

#[tokio::test]
async fn function_that_grows_gets_no_more_memory() {
    let keys = format!("memory = \"8MiB\"\n{WIDE_LIMITS}");
    is_contained("grows", &keys, "memory-exceeded").await;
}

#[tokio::test]
async fn function_that_traps_costs_its_own_request_only() {
    is_contained("traps", WIDE_LIMITS, "trapped").await;
}

#[tokio::test]
async fn function_that_recurses_runs_out_of_stack() {
    is_contained("recurses", WIDE_LIMITS, "trapped").await;
}

#[tokio::test]
async fn function_that_floods_the_host_with_calls_is_ended() {
    is_contained("floods-hostcalls", WIDE_LIMITS, "hostcalls-exceeded").await;
}

#[tokio::test]
async fn function_that_floods_the_log_fills_its_share_of_it_and_is_ended() {
    let keys =
        format!("{WIDE_LIMITS}grants = {{ log = true }}\nlog_bytes = \"4KiB\"\nhostcalls = 500");
    is_contained("floods-log", &keys, "hostcalls-exceeded").await;
    let scene = scene("floods-log", &keys).await;
    let id = scene.node.get("/closed/a").await.field("x-request-id");
    let lines = log::lines_with(&id);
    let flood = lines.iter().filter(|line| {
        let message = line["fields"]["message"].as_str();
        message.is_some_and(|message| message.starts_with("flood"))
    });
    // 600 bytes each: six fit.
    assert_eq!(flood.count(), 6);
    let dropped = "verge_function_log_dropped_lines_total{function=\"floods-log\"}";
    assert!(scene.node.metric(dropped).await > 100.0);
}

#[tokio::test]
async fn function_that_never_answers_is_cut_at_its_deadline() {
    is_contained("never-answers", "deadline = \"200ms\"", "deadline-exceeded").await;
}

#[tokio::test]
async fn trap_is_logged_with_its_message_and_its_place() {
    let scene = scene("traps", WIDE_LIMITS).await;
    let panicked = scene.node.get("/closed/a").await;
    let lines = log::lines_with(&panicked.field("x-request-id"));
    let text = serde_json::to_string(&lines).unwrap();
    assert!(text.contains("this function always panics"), "{text}");
    let trapped = scene.node.get("/closed/a?unreachable").await;
    let lines = log::lines_with(&trapped.field("x-request-id"));
    let text = serde_json::to_string(&lines).unwrap();
    assert!(text.contains("unreachable"), "{text}");
    for reply in [panicked, trapped] {
        assert_eq!(reply.status, 500);
        assert!(!reply.text().contains("panic"), "{}", reply.text());
        assert!(!reply.field("proxy-status").is_empty());
    }
}

#[tokio::test]
async fn client_that_leaves_takes_its_guest_with_it() {
    let scene = scene("never-answers", "deadline = \"10m\"").await;
    let mut connection = verge_tests::client::connect(scene.node.http()).await;
    let request = b"GET /closed/a HTTP/1.1\r\nhost: a\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut connection, request)
        .await
        .unwrap();
    eventually("the guest runs", async || scene.instances().await == 1.0).await;
    drop(connection);
    eventually("the guest is gone", async || scene.instances().await == 0.0).await;
    // It did nothing wrong: its client left.
    assert_eq!(scene.outcomes("deadline-exceeded").await, 0.0);
    assert_eq!(scene.node.get("/other").await.status, 200);
}

#[tokio::test]
async fn functions_that_take_all_instances_leave_others_their_requests() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/waits\"\norigin = \"app\"\nviewer_request = [\"never-answers\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n",
        runtime().replace("instances = 16", "instances = 2"),
        function_with_limits("never-answers", "never-answers", "deadline = \"10m\""),
        origin.address,
    );
    let node = TestNode::start(&toml).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut connection = verge_tests::client::connect(node.http()).await;
        let request = b"GET /waits HTTP/1.1\r\nhost: a\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut connection, request)
            .await
            .unwrap();
        waiting.push(connection);
    }
    let taken = "verge_limit_in_use{limit=\"instances\"}";
    eventually("both are taken", async || node.metric(taken).await == 2.0).await;
    let refused = node.get("/waits").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.field("retry-after"), "1");
    let hits = "verge_limit_hits_total{limit=\"instances\"}";
    node.settles(hits, 1.0).await;
    let outcome =
        "verge_function_outcomes_total{function=\"never-answers\",outcome=\"instances-exhausted\"}";
    node.settles(outcome, 1.0).await;
    assert_eq!(node.get("/other").await.text(), "content");
}

#[tokio::test]
async fn slow_uploads_to_one_function_leave_instances_to_another() {
    let origin = Origin::start(async |_| respond(200, &[], "content")).await;
    let toml = format!(
        "{}{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/reads\"\norigin = \"app\"\nviewer_request = [\"echo-body\"]\n\
         [[site.route]]\npath = \"/hello\"\nfunction = \"hello\"\n",
        runtime(),
        function("echo-body", "echo-body", ""),
        function("hello", "hello", "isolation = \"prepared\"\n"),
        origin.address,
    );
    let node = TestNode::start(&toml).await;
    let mut trickling = Vec::new();
    for _ in 0..32 {
        let mut connection = verge_tests::client::connect(node.http()).await;
        let request = b"POST /reads HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nsome";
        tokio::io::AsyncWriteExt::write_all(&mut connection, request)
            .await
            .unwrap();
        trickling.push(connection);
    }
    let refused = "verge_limit_hits_total{limit=\"instances\"}";
    eventually("some of them are refused", async || {
        node.metric(refused).await >= 32.0 - 16.0
    })
    .await;
    for _ in 0..3 {
        assert_eq!(node.get("/hello").await.status, 200);
    }
}
