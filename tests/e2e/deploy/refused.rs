//! What is refused, and that nothing changes then.

use verge_tests::guests::{component, version};

use super::kit::{act, deploy, listed, made_by, origin, post, start, start_with};

#[tokio::test]
async fn deploys_that_cannot_run_are_refused_with_a_reason() {
    let origin = origin().await;
    let node = start(&origin).await;
    let kv = std::fs::read(component("kv-calls")).unwrap();
    let hello = std::fs::read(component("hello")).unwrap();
    let rows: [(&str, Vec<u8>, u16, &str); 9] = [
        ("f/versions", kv, 422, "grants.kv"),
        (
            "f/versions",
            hello,
            422,
            "exports no `verge:edge/viewer-request`",
        ),
        ("f/versions", b"text".to_vec(), 422, "is not WebAssembly"),
        (
            "f/versions",
            b"\0asm\x0d\0\x01\0\xff".to_vec(),
            422,
            "not valid",
        ),
        (
            "f/versions?shadow=true",
            version("one"),
            409,
            "is the one that runs",
        ),
        (
            "g/versions",
            version("two"),
            404,
            "there is no function `g`",
        ),
        ("f/versions?share=5", version("two"), 400, "`share` is `5`"),
        (
            "f/versions?share=5%25&sticky=ip",
            version("two"),
            400,
            "`sticky` is `ip`",
        ),
        ("f/versions?shares=5%25", version("two"), 400, "shares"),
    ];
    for (path, content, status, said) in rows {
        let reply = post(&node, &format!("/functions/{path}"), content).await;
        let text = reply.text();
        assert_eq!(reply.status, status, "{path}: {text}");
        assert!(text.contains(said), "{path}: {text}");
        assert!(text.contains("expected"), "{path}: {text}");
    }
    for action in ["promote", "promote?version=ffff", "rollback"] {
        let reply = post(&node, &format!("/functions/f/{action}"), Vec::new()).await;
        assert_eq!(reply.status, 409, "{action}: {}", reply.text());
    }
    assert_eq!(made_by(&node.get("/").await), "one");
    assert_eq!(listed(&node).await.len(), 1);
}

#[tokio::test]
async fn components_are_bounded_and_want_the_token() {
    let origin = origin().await;
    let sections = "[deploy]\nfolder = \"versions\"\ncomponent = \"1KiB\"\n";
    let node = start_with(&origin, "", sections).await;
    let reply = post(&node, "/functions/f/versions", version("two")).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    let mut client = verge_tests::client::Client::http1(node.admin()).await;
    for (method, path) in [
        ("GET", "/functions"),
        ("GET", "/functions/f"),
        ("POST", "/functions/f/versions"),
        ("POST", "/functions/f/promote"),
        ("POST", "/functions/f/rollback"),
    ] {
        assert_eq!(
            client.send(method, path, &[], "").await.status,
            401,
            "{path}"
        );
    }
}

#[tokio::test]
async fn node_without_a_folder_keeps_no_versions_and_says_so() {
    let origin = origin().await;
    let node = start_with(&origin, "", "").await;
    let reply = post(&node, "/functions/f/versions", version("two")).await;
    assert_eq!(reply.status, 409, "{}", reply.text());
    assert!(
        reply.text().contains("keeps no versions"),
        "{}",
        reply.text()
    );
    assert!(reply.text().contains("[deploy]"), "{}", reply.text());
    let listed = listed(&node).await;
    assert_eq!(listed, [("one".to_owned(), "live".to_owned())]);
}

#[tokio::test]
async fn reload_that_takes_a_grant_from_a_deployed_version_is_refused() {
    let origin = origin().await;
    let store = "[deploy]\nfolder = \"versions\"\n[kv.s]\npath = \"s.redb\"\n";
    let grants = "grants = { kv = [\"s\"] }";
    let node = start_with(&origin, grants, store).await;
    let kv = std::fs::read(component("kv-calls")).unwrap();
    // It has one of the four triggers only, so the site must ask for no more.
    let one = node
        .config_text()
        .replace("origin_request = [\"f\"]\n", "")
        .replace("origin_response = [\"f\"]\n", "")
        .replace("viewer_response = [\"f\"]\n", "");
    node.save("verge.toml", one);
    assert_eq!(node.ask_admin("POST", "/reload").await.status, 200);
    let reply = post(&node, "/functions/f/versions", kv).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    node.save("verge.toml", node.config_text().replace(grants, ""));
    let reply = node.ask_admin("POST", "/reload").await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("grants.kv"), "{}", reply.text());
    act(&node, "rollback").await;
    assert_eq!(node.ask_admin("POST", "/reload").await.status, 200);
    deploy(&node, "two", "").await;
}
