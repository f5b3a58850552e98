//! Client hints as a function reads them.

use super::kit::start;

#[tokio::test]
async fn hints_are_read_and_what_is_not_sent_is_not_known() {
    let node = start("reads-hints", "grants = { device = true }", "").await;
    let mut client = node.client().await;
    let fields = [
        (
            "sec-ch-ua",
            "\"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\"",
        ),
        ("sec-ch-ua-mobile", "?1"),
        ("sec-ch-ua-platform", "\"Android\""),
    ];
    let reply = client.get_with("/", &fields).await;
    assert_eq!(
        reply.text(),
        "Some(true) Some(Android) Chromium/124 Not-A.Brand/99"
    );
    let fields = [
        ("sec-ch-ua-mobile", "yes"),
        ("sec-ch-ua-platform", "\"Fuchsia\""),
        ("user-agent", "Mozilla/5.0 (iPhone)"),
    ];
    let reply = client.get_with("/", &fields).await;
    assert_eq!(reply.text(), "None Some(Other(\"Fuchsia\")) ");
}
