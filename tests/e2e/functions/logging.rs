//! What a guest logs and prints reaches the node's log, with who said it and for which request.

use verge_tests::guests::{function, runtime};
use verge_tests::{TestNode, log};

async fn start(keys: &str) -> TestNode {
    log::keep();
    let toml = format!(
        "{}{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"static\" }}\nviewer_request = [\"talks\"]\n",
        runtime(),
        function("talks", "log-lines", keys),
    );
    TestNode::start(&toml).await
}

#[tokio::test]
async fn log_stdout_and_stderr_come_with_function_and_request_id() {
    let node = start("grants = { log = true }").await;
    let reply = node.get("/a?2").await;
    assert_eq!(reply.text(), "static");
    let id = reply.field("x-request-id");
    let lines = log::lines_with(&id);
    let mut said: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| {
            assert_eq!(line["fields"]["function"], "talks");
            assert_eq!(line["fields"]["request"], id.as_str());
            let message = line["fields"]["message"].as_str().unwrap();
            (line["level"].as_str().unwrap(), message)
        })
        .collect();
    said.sort_unstable();
    let expected = [
        ("INFO", "a line on stdout"),
        ("INFO", "line 0 of the log"),
        ("INFO", "line 1 of the log"),
        ("WARN", "a line on stderr"),
        ("WARN", "the last line"),
    ];
    assert_eq!(said, expected);
}

#[tokio::test]
async fn lines_over_the_limit_are_dropped_and_the_request_goes_on() {
    let node = start("grants = { log = true }\nlog_bytes = \"1KiB\"").await;
    let reply = node.get("/a?1000").await;
    assert_eq!(reply.text(), "static");
    let lines = log::lines_with(&reply.field("x-request-id"));
    assert!((5..20).contains(&lines.len()), "{}", lines.len());
}

#[tokio::test]
async fn fields_are_fields_of_the_nodes_log_from_the_functions_level_on() {
    let node = start("grants = { log = true }\nlog_level = \"info\"").await;
    let reply = node.get("/a?fields").await;
    let lines = log::lines_with(&reply.field("x-request-id"));
    let of = |message: &str| {
        let line = lines
            .iter()
            .find(|line| line["fields"]["message"] == message);
        line.map(|line| line["fields"]["fields"].clone())
    };
    let came = serde_json::json!({ "user": "Ada\\n", "share": 0.5, "old": false });
    assert_eq!(of("came"), Some(came));
    assert_eq!(of("went"), Some(serde_json::json!({ "status": -1 })));
    assert_eq!(of("a step"), None);
    assert!(of("written: [false, true, true]").is_some(), "{lines:?}");
}

#[tokio::test]
async fn stdout_is_below_the_level_warn_and_dropped_lines_are_counted() {
    let node = start("grants = { log = true }\nlog_level = \"warn\"\nlog_bytes = \"100B\"").await;
    let reply = node.get("/a?2").await;
    let lines = log::lines_with(&reply.field("x-request-id"));
    let said: Vec<&str> = lines
        .iter()
        .map(|line| line["fields"]["message"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["a line on stderr"]);
    node.settles(
        "verge_function_log_dropped_lines_total{function=\"talks\"}",
        1.0,
    )
    .await;
}
