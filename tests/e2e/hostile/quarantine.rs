//! A function that fails again and again is left out for a while, and let back in.

use super::kit::scene;
use verge_tests::guests::{WIDE_LIMITS, function, runtime};
use verge_tests::{TestNode, Wire, eventually};

#[tokio::test]
async fn function_that_keeps_failing_is_left_out_until_a_trial_succeeds() {
    let scene = scene("garbage-fields", WIDE_LIMITS).await;
    let mut client = scene.node.client().await;
    let mut asked = 0;
    while scene.outcomes("quarantined").await == 0.0 {
        assert_eq!(client.get("/closed/a?error-text").await.status, 500);
        asked += 1;
        assert!(asked < 100, "twenty failures put it out");
    }
    // It ran no more after that.
    scene.settles("refused", 20.0).await;
    let status = scene.node.ask_admin("GET", "/status").await.text();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["functions"][0]["is_quarantined"], true);
    // Its policies answer meanwhile.
    assert_eq!(client.get("/open/a").await.text(), "content");
    assert_eq!(client.get("/other").await.text(), "content");
    eventually("a trial lets it back in", async || {
        client.get("/closed/a").await.status == 200
    })
    .await;
    let reply = client.get("/closed/a?name").await;
    assert!(reply.text().starts_with("refused: "), "it runs again");
}

#[tokio::test]
async fn uploads_that_clients_break_off_put_no_function_out() {
    let node = TestNode::start(&format!(
        "{}{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         static = {{ body = \"static\" }}\nviewer_request = [\"f\"]\n",
        runtime(),
        function("f", "echo-body", ""),
    ))
    .await;
    let broken =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n";
    for _ in 0..25 {
        let mut wire = Wire::connect(node.http()).await;
        assert!(wire.ask(broken).await.status() >= 400);
    }
    let refused = "verge_function_outcomes_total{function=\"f\",outcome=\"refused\"}";
    node.settles(refused, 25.0).await;
    let mut client = node.client().await;
    let reply = client.send("POST", "/", &[], "hello").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (200, "hello")
    );
}
