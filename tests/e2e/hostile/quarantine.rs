//! A function that fails again and again is left out for a while, and let back in.

use super::kit::scene;
use verge_tests::eventually;
use verge_tests::guests::WIDE_LIMITS;

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
