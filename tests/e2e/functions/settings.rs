//! Settings with their types, secrets, and what stays denied.

use verge_tests::guests::{function, runtime};
use verge_tests::node::Setup;
use verge_tests::{TestNode, log};

use super::kit::{start, toml};

#[tokio::test]
async fn settings_are_given_as_they_were_written_and_as_text() {
    let keys = "config = { text = \"5\", count = 7, share = 0.5, strict = true }";
    let setup = Setup::new();
    setup.write("key", "correct horse\n");
    let secret = "[secret.key]\nfile = \"key\"\n";
    let keys = format!("{keys}\ngrants = {{ secret = \"key\" }}");
    let node = setup.start(&toml("reads-settings", &keys, secret)).await;
    for (path, expected) in [
        ("/text", "Some(Text(\"5\")) Some(\"5\")"),
        ("/count", "Some(Integer(7)) Some(\"7\")"),
        ("/share", "Some(Float(0.5)) Some(\"0.5\")"),
        ("/strict", "Some(Boolean(true)) Some(\"true\")"),
        ("/nothing", "None None"),
        ("/secret/key", "13 bytes, Secret(..)"),
        ("/secret/other", "no such secret"),
    ] {
        assert_eq!(node.get(path).await.text(), expected, "{path}");
    }
}

#[tokio::test]
async fn files_and_sockets_are_denied_with_a_clear_error() {
    let node = start("reaches-out", "", "").await;
    for (path, kind) in [
        // Nothing is opened in advance, so there is no folder to find a file in.
        ("/file", "NotFound"),
        ("/folder", "NotFound"),
        ("/write", "NotFound"),
        ("/connect", "access-denied"),
        ("/listen", "access-denied"),
        ("/resolve", "permanent-resolver-failure"),
    ] {
        let answer = node.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        let text = answer.text();
        assert!(text.starts_with(kind), "{path}: {text}");
        assert_ne!(text, "it was allowed", "{path}");
    }
    assert!(!std::path::Path::new("/tmp/verge-was-here").exists());
}

async fn standard(keys: &str) -> TestNode {
    let toml = format!(
        "{}{}[[site]]\nnames = [\"*\"]\n[[site.route]]\npath = \"/{{*rest}}\"\nfunction = \"f\"\n",
        runtime(),
        function("f", "standard-imports", keys),
    );
    TestNode::start(&toml).await
}

#[tokio::test]
async fn standard_components_find_settings_and_log_under_the_standard_names() {
    log::keep();
    let node = standard("config = { a = 1, b = \"two\" }\ngrants = { log = true }").await;
    let reply = node.get("/b").await;
    assert_eq!(
        reply.text(),
        "Some(\"two\") of [(\"a\", \"1\"), (\"b\", \"two\")]"
    );
    let lines = log::lines_with(&reply.field("x-request-id"));
    let said: Vec<_> = lines
        .iter()
        .map(|line| {
            let fields = &line["fields"];
            (
                line["level"].as_str().unwrap().to_owned(),
                fields["message"].as_str().unwrap().to_owned(),
                fields["fields"]["context"].as_str().map(str::to_owned),
            )
        })
        .collect();
    let expected = [
        ("INFO", "asked for /b", Some("standard")),
        ("ERROR", "nothing is wrong", None),
    ]
    .map(|(level, text, context)| (level.into(), text.into(), context.map(Into::into)));
    assert_eq!(said, expected);
}
