//! `kv`: stores on the disk of a node, through a guest that does as it is told.

use std::time::{Duration, SystemTime};

use verge_base::Clock;
use verge_tests::TestNode;
use verge_tests::client::Client;
use verge_tests::guests::{function, runtime};
use verge_tests::node::Setup;

/// Sites `a.example` and `b.example` with the store `shared`, and `c.example` with `own`.
pub(super) fn sites(stores: &str, guest: &str) -> String {
    let mut toml = runtime() + stores;
    for (name, store) in [("a", "shared"), ("b", "shared"), ("c", "own")] {
        let grants = format!("grants = {{ kv = [\"{store}\"] }}");
        toml.push_str(&function(name, guest, &grants));
        toml.push_str(&format!(
            "[[site]]\nnames = [\"{name}.example\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
             viewer_request = [\"{name}\"]\nstatic = {{ body = \"\" }}\n"
        ));
    }
    toml
}

/// Two stores on disk, patient enough for a busy machine.
fn on_disk(keys: &str) -> String {
    let store = |name| format!("[kv.{name}]\npath = \"{name}.redb\"\ntimeout = \"20s\"\n{keys}\n");
    sites(&(store("shared") + &store("own")), "kv-calls")
}

async fn start(keys: &str) -> TestNode {
    TestNode::start(&on_disk(keys)).await
}

/// What the guest of a site answers.
pub(super) async fn call(node: &TestNode, site: &str, path: &str) -> String {
    let mut client = client(node, site).await;
    client.get(path).await.text()
}

async fn client(node: &TestNode, site: &str) -> Client {
    let mut client = node.client().await;
    client.set_authority(&format!("{site}.example"));
    client
}

#[tokio::test]
async fn functions_with_the_same_store_share_it_and_others_do_not() {
    let node = start("").await;
    assert_eq!(call(&node, "a", "/shared/set/k?value=tea").await, "1");
    assert_eq!(call(&node, "b", "/shared/get/k").await, "tea@1");
    assert_eq!(call(&node, "c", "/own/get/k").await, "none");
    assert_eq!(call(&node, "c", "/shared/get/k").await, "NoSuchStore");
    assert_eq!(call(&node, "a", "/own/get/k").await, "NoSuchStore");
    assert_eq!(call(&node, "a", "/nowhere/get/k").await, "NoSuchStore");
}

/// All operations, in order, and the store's word.
pub(super) const CONVERSATION: &[(&str, &str)] = &[
    ("exists/k", "false"),
    ("swap/k?value=a", "written"),
    ("swap/k?value=b", "conflict a"),
    ("swap/k?if=value:x&value=b", "conflict a"),
    ("swap/k?if=value:a&value=b", "written"),
    ("swap/k?if=version:0&value=c", "conflict b"),
    ("get/k", "b"),
    ("exists/k", "true"),
    ("increment/k", "NotANumber"),
    ("increment/n?by=9223372036854775807", "9223372036854775807"),
    ("increment/n?by=1", "NotANumber"),
    ("increment/n?by=-9223372036854775807", "0"),
    ("increment/n?by=-1", "-1"),
    ("get/n", "-1"),
    ("set/u:1?value=", ""),
    ("set/u:3?value=x", ""),
    ("set/u:2?value=y", ""),
    ("many/u:1,none,u:3", " none x"),
    ("list/", "k,n,u:1,u:2,u:3 end"),
    ("list/u:?limit=2", "u:1,u:2 after u:2"),
    ("list/u:?limit=2&after=u:2", "u:3 end"),
    ("list/nothing", " end"),
    ("delete/u:2", "true"),
    ("delete/u:2", "false"),
    ("list/u:", "u:1,u:3 end"),
    ("set/", "KeyInvalid"),
    ("set/big?size=1048576", ""),
    ("get/big", "1048576 bytes"),
    ("set/big?size=1048577", "ValueTooLarge"),
    (
        "many/big,big,big,big",
        "1048576 bytes 1048576 bytes 1048576 bytes 1048576 bytes",
    ),
    ("many/big,big,big,big,n", "ValueTooLarge"),
    ("delete/big", "true"),
];

/// An answer without its versions, which differ from store to store.
pub(super) fn without_versions(answer: &str) -> String {
    let words = answer
        .split(' ')
        .map(|word| word.split('@').next().unwrap());
    let words: Vec<&str> = words.collect();
    match words.as_slice() {
        ["written", _] => "written".to_owned(),
        words => words.join(" "),
    }
}

#[tokio::test]
async fn each_operation_does_what_it_says() {
    let node = start("").await;
    let mut client = client(&node, "a").await;
    for (step, (path, expected)) in CONVERSATION.iter().enumerate() {
        let answer = client.get(&format!("/shared/{path}")).await.text();
        let said = without_versions(&answer);
        let is_version = path.starts_with("set/") && expected.is_empty();
        if is_version {
            assert!(
                answer.parse::<u64>().is_ok(),
                "step {step}: {path}: {answer}"
            );
        } else {
            assert_eq!(said, *expected, "step {step}: {path}");
        }
    }
    let long = format!("/shared/set/{}?value=v", "k".repeat(1025));
    assert_eq!(client.get(&long).await.text(), "KeyInvalid");
}

#[tokio::test]
async fn an_entry_ends_by_the_nodes_clock() {
    let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    let node = Setup::new().at(clock).start(&on_disk("")).await;
    call(&node, "a", "/shared/set/short?value=v&ttl=60000").await;
    call(&node, "a", "/shared/set/long?value=v&ttl=3600000").await;
    call(&node, "a", "/shared/increment/n?ttl=60000").await;
    handle.advance(Duration::from_millis(59_999));
    assert_eq!(call(&node, "b", "/shared/increment/n?ttl=60000").await, "2");
    assert_eq!(call(&node, "b", "/shared/list/").await, "long,n,short end");
    handle.advance(Duration::from_millis(1));
    assert_eq!(call(&node, "b", "/shared/get/short").await, "none");
    assert_eq!(call(&node, "b", "/shared/list/").await, "long end");
    node.settles("verge_kv_entries{store=\"shared\"}", 1.0)
        .await;
    node.settles("verge_kv_swept_total{store=\"shared\"}", 2.0)
        .await;
    assert_eq!(
        call(&node, "b", "/shared/increment/n").await,
        "1",
        "it begins anew"
    );
}

#[tokio::test]
async fn a_full_store_is_told_and_stays_usable() {
    let node = start("max_bytes = \"1MiB\"").await;
    for number in 0..9 {
        let path = format!("/shared/set/{number}?size=100000");
        assert!(
            call(&node, "a", &path).await.parse::<u64>().is_ok(),
            "{number}"
        );
    }
    assert_eq!(
        call(&node, "a", "/shared/set/more?size=200000").await,
        "Full"
    );
    assert_eq!(call(&node, "a", "/shared/get/8").await, "100000 bytes");
    assert_eq!(call(&node, "a", "/shared/get/more").await, "none");
    assert_eq!(call(&node, "a", "/shared/delete/0").await, "true");
    assert!(
        call(&node, "a", "/shared/set/more?size=200000")
            .await
            .parse::<u64>()
            .is_ok()
    );
    let refused = "verge_kv_operations_total{store=\"shared\",operation=\"set\",outcome=\"full\"}";
    node.settles(refused, 1.0).await;
    let bytes = node.metric("verge_kv_bytes{store=\"shared\"}").await;
    assert!((1_000_000.0..=1_048_576.0).contains(&bytes), "{bytes}");
    assert_eq!(
        node.metric("verge_kv_limit_bytes{store=\"shared\"}").await,
        1_048_576.0
    );
    let taken = node
        .metric("verge_kv_seconds_count{store=\"shared\"}")
        .await;
    assert!(taken >= 14.0, "{taken}");
}

#[tokio::test]
async fn many_at_once_lose_nothing() {
    let node = start("").await;
    let callers: Vec<_> = (0..8)
        .map(|number| {
            let address = node.http();
            tokio::spawn(async move {
                let mut client = Client::http1(address).await;
                client.set_authority(if number % 2 == 0 {
                    "a.example"
                } else {
                    "b.example"
                });
                for _ in 0..10 {
                    client.get("/shared/increment/sum").await;
                    client.get("/shared/add/swapped").await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(call(&node, "a", "/shared/increment/sum?by=0").await, "80");
    assert_eq!(
        without_versions(&call(&node, "a", "/shared/get/swapped").await),
        "80"
    );
}

#[tokio::test]
async fn a_store_outlives_a_reload_and_takes_its_new_bounds() {
    let node = start("").await;
    call(&node, "a", "/shared/set/k?value=v").await;
    let text = node.config_text();
    node.save(
        "verge.toml",
        text.replace("timeout = \"20s\"", "timeout = \"20s\"\nmax_key = \"16B\""),
    );
    let reloaded = node.ask_admin("POST", "/reload").await;
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    assert_eq!(
        without_versions(&call(&node, "a", "/shared/get/k").await),
        "v"
    );
    let path = format!("/shared/get/{}", "k".repeat(17));
    assert_eq!(call(&node, "a", &path).await, "KeyInvalid");
    // A generation that is refused takes no gauge along.
    let wrong = text.replace("timeout = \"20s\"", "timeout = \"20s\"\nmax_key = \"32B\"");
    node.save("verge.toml", wrong.replace("own.redb", "."));
    assert_eq!(node.ask_admin("POST", "/reload").await.status, 422);
    assert_eq!(node.metric("verge_kv_entries{store=\"shared\"}").await, 1.0);
    assert_eq!(node.metric("verge_kv_usable{store=\"shared\"}").await, 1.0);
    // A file that another store has, or that is none, is refused and changes nothing.
    node.save("text.redb", "no database");
    node.save("verge.toml", text.replace("own.redb", "text.redb"));
    let refused = node.ask_admin("POST", "/reload").await.text();
    assert!(refused.contains("kv.own.path"), "{refused}");
    assert_eq!(
        without_versions(&call(&node, "a", "/shared/get/k").await),
        "v"
    );
}

#[tokio::test]
async fn a_standard_component_uses_the_same_stores() {
    let mut toml = on_disk("");
    toml.push_str(&function(
        "std",
        "wasi-keyvalue",
        "grants = { kv = [\"shared\", \"own\"] }",
    ));
    toml.push_str(
        "[[site]]\nnames = [\"std.example\"]\n[[site.route]]\npath = \"/{*rest}\"\n\
         cache = \"off\"\nfunction = \"std\"\n",
    );
    let node = TestNode::start(&toml).await;
    call(&node, "a", "/shared/set/k?value=tea").await;
    for (path, expected) in [
        ("/shared/get/k", "tea"),
        ("/default/get/k", "tea"),
        ("/own/get/k", "none"),
        ("/elsewhere/get/k", "Error::NoSuchStore"),
        ("/own/set/x?one", "set"),
        ("/own/exists/x", "true"),
        ("/own/increment/n?41", "41"),
        ("/own/increment/n?1", "42"),
        (
            "/own/increment/x",
            "Error::Other(\"the value is not a number in range\")",
        ),
        ("/own/append/x?!", "swapped after 2"),
        ("/own/get/x", "meddled!"),
        ("/own/many/a,b,c?v", "a=none,b=v,c=v of 3"),
        ("/own/list/", "b,c,n,x"),
        ("/own/delete/b", "deleted"),
        ("/own/list/", "c,n,x"),
    ] {
        assert_eq!(call(&node, "std", path).await, expected, "{path}");
    }
    assert_eq!(
        without_versions(&call(&node, "c", "/own/get/n").await),
        "42"
    );
}
