//! Entries that functions keep in the cache, and answers with content of other functions: those of
//! a version for a share are for the share.

use verge_tests::guests::{function, runtime, version};
use verge_tests::node::Setup;
use verge_tests::{TestNode, eventually};

use super::kit::{act, again, origin, post};

#[tokio::test]
async fn entries_of_a_share_are_for_the_share_alone() {
    let toml = format!(
        "{}[deploy]\nfolder = \"versions\"\n{}[[site]]\nnames = [\"*\"]\n[[site.route]]\n\
         path = \"/{{*rest}}\"\nstatic = {{ body = \"static\" }}\nviewer_request = [\"f\"]\n",
        runtime(),
        function("f", "keeps-entries", "grants = { cache = true }")
    );
    let node = TestNode::start(&toml).await;
    let look = async || node.get("/look/a").await.text();
    let path = "/functions/f/versions?share=99.99%25&sticky=client";
    let share = async || {
        let reply = post(&node, path, again("keeps-entries")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    share().await;
    assert_eq!(
        node.get("/made/a?two").await.text(),
        "must two over nothing"
    );
    assert_eq!(look().await, "two fresh");
    act(&node, "rollback").await;
    assert_eq!(look().await, "none", "the live version has none");
    assert_eq!(
        node.get("/made/a?one").await.text(),
        "must one over nothing"
    );
    share().await;
    assert_eq!(look().await, "two fresh");
    // A name is purged for all versions.
    assert_eq!(node.get("/purge/a").await.text(), "purged");
    assert_eq!(look().await, "none");
    act(&node, "rollback").await;
    assert_eq!(look().await, "none");
}

/// A node with `f` before its origin on `/in`, and on `/out` a function that asks what its client
/// says, such as `/in`.
async fn start_gateway(origin: &verge_tests::Origin) -> TestNode {
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    let text = format!(
        "{}[deploy]\nfolder = \"versions\"\n[origin.app]\naddresses = [\"{}\"]\n[function.f]\n\
         component = \"f.wasm\"\ncpu = \"10s\"\ndeadline = \"15s\"\n{}[[site]]\n\
         names = [\"shop.example\"]\n[[site.route]]\npath = \"/stored/out\"\nfunction = \"g\"\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\norigin_response = [\"f\"]\n",
        runtime(),
        origin.address,
        function("g", "gateway", "grants = { fetch_site = true }")
    );
    setup.start(&text).await
}

#[tokio::test]
async fn answers_with_content_of_a_share_are_for_the_share_and_go_with_it() {
    let origin = origin().await;
    let node = start_gateway(&origin).await;
    let out = async || {
        let mut client = node.client().await;
        client.set_authority("shop.example");
        let fields = [("x-to", "http://shop.example/stored/in")];
        let reply = client.get_with("/stored/out", &fields).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.field("x-origin-response")
    };
    let share = async || {
        let path = "/functions/f/versions?share=99.99%25&sticky=client";
        let reply = post(&node, path, version("two")).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    };
    let stored = async |expected: &str| {
        let mut asked = origin.count();
        eventually("the answer is stored", async || {
            assert_eq!(out().await, expected);
            std::mem::replace(&mut asked, origin.count()) == asked
        })
        .await;
    };
    share().await;
    stored("two").await;
    act(&node, "rollback").await;
    stored("one").await;
    share().await;
    let before = origin.count();
    stored("two").await;
    assert_eq!(
        origin.count(),
        before,
        "what the share made is there for it"
    );
    act(&node, "rollback?purge=true").await;
    share().await;
    assert_eq!(out().await, "two");
    assert_eq!(origin.count(), before + 1, "it went with its version");
    act(&node, "rollback").await;
    stored("one").await;
    assert_eq!(origin.count(), before + 1, "others' are kept");
}
