//! `garbage-fields`: what no message may have never gets into one.

use super::kit::scene;
use verge_tests::guests::WIDE_LIMITS;
use verge_tests::log;

/// What the guest tries, and the host's word for it.
const ATTEMPTS: [(&str, &str); 18] = [
    ("name", "refused: name-invalid"),
    ("empty-name", "refused: name-invalid"),
    ("value", "refused: value-invalid"),
    ("nul", "refused: value-invalid"),
    ("forbidden", "refused: forbidden"),
    ("transfer-encoding", "refused: forbidden"),
    ("connection", "refused: forbidden"),
    ("host", "refused: forbidden"),
    ("huge", "refused: too-large"),
    ("many", "refused: too-large"),
    ("half", "refused: name-invalid"),
    ("target", "refused: path-invalid"),
    ("method", "refused: method-invalid"),
    ("authority", "refused: authority-invalid"),
    ("scheme", "refused: "),
    ("origin", "refused: false"),
    ("key-parts", "refused: false"),
    ("context", "refused: false"),
];

#[tokio::test]
async fn every_attempt_is_refused_and_leaves_nothing_behind() {
    let scene = scene("garbage-fields", WIDE_LIMITS).await;
    let mut client = scene.node.client().await;
    for (attempt, word) in ATTEMPTS {
        let reply = client.get(&format!("/closed/a?{attempt}")).await;
        assert_eq!(reply.status, 200, "{attempt}");
        assert!(
            reply.text().starts_with(word),
            "{attempt}: {}",
            reply.text()
        );
        for name in [
            "x-injected",
            "x-bad",
            "x-half",
            "x-huge",
            "transfer-encoding",
        ] {
            assert_eq!(reply.field(name), "", "{attempt}: {name}");
        }
    }
    for attempt in [
        "name",
        "value",
        "nul",
        "forbidden",
        "transfer-encoding",
        "huge",
        "many",
        "half",
    ] {
        let reply = client.get(&format!("/closed/a?response-{attempt}")).await;
        assert!(
            reply.text().starts_with("refused: "),
            "{attempt}: {}",
            reply.text()
        );
        assert!(reply.fields.len() < 20, "{attempt}: {:?}", reply.fields);
    }
    // The same connection carries honest requests, with nothing of the above.
    let reply = client.get("/honest").await;
    assert_eq!(reply.text(), "content");
    let seen = scene.origin.requests();
    assert_eq!(seen.len(), 1);
    for name in ["x-injected", "x-bad", "x-half", "x-huge", "x-many-0"] {
        assert_eq!(seen[0].field(name), None, "{name}");
    }
}

#[tokio::test]
async fn attempts_beside_others_harm_nobody() {
    let scene = scene("garbage-fields", WIDE_LIMITS).await;
    for attempt in ["huge", "many", "key-parts"] {
        let statuses = scene
            .beside_others(&format!("/closed/a?{attempt}"), 4)
            .await;
        assert_eq!(statuses, [200; 4], "{attempt}");
    }
}

#[tokio::test]
async fn impossible_status_becomes_a_possible_one() {
    let scene = scene("garbage-fields", WIDE_LIMITS).await;
    // The contract brings it into 200..=599.
    let reply = scene.node.get("/closed/a?response-status").await;
    assert_eq!(reply.status, 200);
    scene.settles("responded", 1.0).await;
}

#[tokio::test]
async fn error_text_cannot_forge_log_lines_and_is_bounded() {
    let scene = scene("garbage-fields", WIDE_LIMITS).await;
    let reply = scene.node.get("/closed/a?error-text").await;
    assert_eq!(reply.status, 500);
    assert!(!reply.text().contains("forged"));
    scene.settles("refused", 1.0).await;
    let lines = log::lines_with(&reply.field("x-request-id"));
    assert_eq!(lines.len(), 1, "one line, whatever the text holds");
    let message = lines[0]["fields"]["message"].as_str().unwrap();
    assert!(message.len() < 20_000, "{}", message.len());
    let no_control = message.chars().all(|character| !character.is_control());
    assert!(no_control, "a terminal would obey it");
    assert_eq!(scene.node.get("/open/a?error-text").await.text(), "content");
}
