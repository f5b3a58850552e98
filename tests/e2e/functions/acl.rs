//! Address lists: what an operator writes, and saves anew while the node serves.

use verge_tests::node::Setup;
use verge_tests::{TestNode, eventually};

use super::kit::{start, toml};

const OFFICE: &str = "[acl.office]\n\
     entries = [\"10.0.0.0/8\", \"10.1.0.0/16 deny lab\", \"fd00::/8 allow vpn\"]\n";

async fn answers(node: &TestNode, path: &str) -> String {
    node.get(path).await.text()
}

#[tokio::test]
async fn longest_range_answers_with_its_word_and_label() {
    let node = start("asks-lists", "grants = { acl = \"office\" }", OFFICE).await;
    for (address, expected) in [
        ("10.2.3.4", "10.0.0.0/8 allow"),
        ("10.1.3.4", "10.1.0.0/16 deny lab"),
        ("::ffff:10.1.3.4", "10.1.0.0/16 deny lab"),
        ("fd00::7", "fd00::/8 allow vpn"),
        ("192.0.2.1", "none"),
        ("2001:db8::1", "none"),
    ] {
        let answer = answers(&node, &format!("/office/{address}")).await;
        assert_eq!(answer, expected, "{address}");
    }
}

#[tokio::test]
async fn only_granted_lists_can_be_asked() {
    let lists = format!("{OFFICE}[acl.secret]\nentries = [\"192.0.2.0/24\"]\n");
    let node = start("asks-lists", "grants = { acl = [\"office\"] }", &lists).await;
    let answer = answers(&node, "/secret/192.0.2.1").await;
    assert_eq!(answer, "no list `secret` was granted");
}

#[tokio::test]
async fn a_saved_file_counts_from_the_next_request_on_and_a_wrong_one_never() {
    let setup = Setup::new();
    setup.write("office.txt", "# ours\n192.0.2.0/24   # all of it\n\n");
    let lists = "[acl.office]\nentries = [\"10.0.0.0/8\"]\nfile = \"office.txt\"\n";
    let node = setup
        .start(&toml("asks-lists", "grants = { acl = \"office\" }", lists))
        .await;
    assert_eq!(
        answers(&node, "/office/192.0.2.1").await,
        "192.0.2.0/24 allow"
    );

    node.save("office.txt", "192.0.2.0/24 deny\n198.51.100.7 guest\n");
    eventually("the new list", async || {
        answers(&node, "/office/192.0.2.1").await == "192.0.2.0/24 deny"
    })
    .await;
    let guest = answers(&node, "/office/198.51.100.7").await;
    assert_eq!(guest, "198.51.100.7/32 allow guest");
    assert_eq!(answers(&node, "/office/10.0.0.1").await, "10.0.0.0/8 allow");

    node.save("office.txt", "192.0.2.0/24\nnot a range\n");
    node.settles("verge_reloads_total{result=\"failed\"}", 1.0)
        .await;
    assert_eq!(
        answers(&node, "/office/192.0.2.1").await,
        "192.0.2.0/24 deny"
    );
    let status = node.ask_admin("GET", "/status").await.text();
    assert!(status.contains("line 2 of"), "{status}");
    assert!(status.contains("acl.office.file"), "{status}");
}
