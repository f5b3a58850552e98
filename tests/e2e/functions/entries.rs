//! The node's cache for functions: entries of their own, one maker for many, purges within the
//! site; and surrogate keys that functions give to responses.

use std::time::{Duration, SystemTime};

use verge_base::Clock;
use verge_tests::guests::{function, runtime};
use verge_tests::node::{ADMIN_TOKEN, Setup};
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, TestNode, eventually};

use super::kit::{start, toml};

const KEYS: &str = "grants = { cache = true }";

async fn answer(node: &TestNode, path: &str) -> String {
    node.get(path).await.text()
}

#[tokio::test]
async fn an_entry_is_made_once_and_anew_when_its_windows_pass() {
    let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let node = Setup::new()
        .at(clock)
        .start(&toml("keeps-entries", KEYS, ""))
        .await;
    let steps = [
        (0, "/look/a", "none"),
        (0, "/made/a?1", "must 1 over nothing"),
        (0, "/made/a?2", "hit 1 fresh"),
        (90, "/look/a", "1 stale"),
        // Stale for 30 s: it may be given out, and one caller makes it anew.
        (0, "/made/a?3", "may 3 over 1 stale"),
        (0, "/made/a?4", "hit 3 fresh"),
        // Stale for over 60 s: only a fallback, which is still right.
        (200, "/made/a?cancel", "must cancel over 3 stale"),
        (0, "/made/a?refresh", "must refresh over 3 stale"),
        (0, "/made/a?5", "hit 3 fresh"),
        // Past all windows.
        (700, "/look/a", "none"),
        (0, "/made/a?6", "must 6 over nothing"),
        (0, "/made/b?7", "must 7 over nothing"),
    ];
    for (seconds, path, expected) in steps {
        time.advance(Duration::from_secs(seconds));
        assert_eq!(answer(&node, path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn one_caller_makes_an_entry_and_the_others_wait_for_it() {
    // The guest that makes it asks for the time again and again.
    let keys = format!("hostcalls = 10000000\n{KEYS}");
    let node = start("keeps-entries", &keys, "").await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(node.client().await);
    }
    let asked = clients.iter_mut().map(|client| client.get("/slow/page?50"));
    let replies = futures_util::future::join_all(asked).await;
    let mut said: Vec<String> = replies.into_iter().map(|reply| reply.text()).collect();
    said.sort_unstable();
    let led = said.iter().filter(|text| *text == "led").count();
    assert_eq!(led, 1, "{said:?}");
    assert_eq!(said.iter().filter(|text| *text == "followed").count(), 7);
}

#[tokio::test]
async fn entries_are_purged_by_name_key_and_function() {
    let node = start("keeps-entries", KEYS, "").await;
    for (purge, after) in [
        ("/purge/a", "none"),
        ("/purge-key/k-a", "none"),
        ("/purge-key/k-other", "1 fresh"),
        ("/soft-key/k-a", "1 stale"),
    ] {
        answer(&node, "/purge/a").await;
        assert_eq!(answer(&node, "/made/a?1").await, "must 1 over nothing");
        assert_eq!(answer(&node, purge).await, "purged", "{purge}");
        assert_eq!(answer(&node, "/look/a").await, after, "{purge}");
    }
    answer(&node, "/made/b?1").await;
    purge(&node, r#"{"function":"f"}"#).await;
    assert_eq!(answer(&node, "/look/b").await, "none");
    answer(&node, "/made/b?2").await;
    purge(&node, r#"{"key":"k-b"}"#).await;
    assert_eq!(answer(&node, "/look/b").await, "none");
}

/// An origin whose responses are stored.
async fn cacheable() -> Origin {
    Origin::start(|_| async { respond(200, &[("cache-control", "max-age=600")], "page") }).await
}

/// Asks until the answer comes from store.
async fn stored(client: &mut Client, path: &str) {
    eventually("the response is stored", async || {
        client.get(path).await.cache_status().contains("hit")
    })
    .await;
}

/// Purges one scope by the admin API.
async fn purge(node: &TestNode, scope: &str) {
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let fields = [("authorization", bearer.as_str())];
    let content = format!("{{\"purge\":[{scope}]}}");
    let mut client = Client::http1(node.admin()).await;
    let reply = client.send("POST", "/purge", &fields, content).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Two sites in front of one origin.
async fn in_front_of(origin: &Origin) -> TestNode {
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n\
         [[site]]\nnames = [\"127.0.0.1\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         origin = \"app\"\nviewer_request = [\"f\"]\n\
         [[site]]\nnames = [\"other.example\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
         origin = \"app\"\nviewer_request = [\"f\"]\n",
        runtime(),
        function("f", "keeps-entries", KEYS),
        origin.address,
    );
    TestNode::start(&toml).await
}

#[tokio::test]
async fn responses_of_the_own_site_are_purged_by_declared_key_and_by_url() {
    let origin = cacheable().await;
    let node = in_front_of(&origin).await;
    let mut client = node.client().await;
    stored(&mut client, "/tag/home/1").await;
    assert_eq!(answer(&node, "/purge-key/home").await, "purged");
    let asked_again = client.get("/tag/home/1").await;
    assert!(!asked_again.cache_status().contains("hit"));

    stored(&mut client, "/tag/home/1").await;
    let url = format!("http://{}/tag/home/1", node.http());
    assert_eq!(answer(&node, &format!("/purge-url?{url}")).await, "purged");
    let asked_again = client.get("/tag/home/1").await;
    assert!(!asked_again.cache_status().contains("hit"));
    let refused = answer(&node, "/purge-url?http://other.example/tag/home/1").await;
    assert_eq!(refused, "the URL is not valid, or not of this site");
}

#[tokio::test]
async fn another_site_is_not_purged() {
    let origin = cacheable().await;
    let node = in_front_of(&origin).await;
    let mut other = node.client().await;
    other.set_authority("other.example");
    stored(&mut other, "/tag/home/1").await;
    assert_eq!(answer(&node, "/purge-key/home").await, "purged");
    let still = other.get("/tag/home/1").await;
    assert!(
        still.cache_status().contains("hit"),
        "{}",
        still.cache_status()
    );
    assert_eq!(other.get("/purge-key/home").await.text(), "purged");
    let gone = other.get("/tag/home/1").await;
    assert!(
        !gone.cache_status().contains("hit"),
        "{}",
        gone.cache_status()
    );
}

/// Entries are no responses to requests: nobody can ask for the place at which they stand, nor change
/// what stands there.
#[tokio::test]
async fn no_request_reaches_an_entry() {
    let origin = Origin::start(async |_| respond(200, &[], "from the origin")).await;
    let toml = format!(
        "{}{}[origin.app]\naddresses = [\"{}\"]\n[[site]]\nnames = [\"*\"]\n\
         [[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\nviewer_request = [\"f\"]\n",
        runtime(),
        function("f", "keeps-entries", KEYS),
        origin.address,
    );
    let setup = Setup::new().with_tls(&[&["a.example", "functions.invalid"]]);
    let node = setup.start(&toml).await;
    let roots = node.authority.as_ref().unwrap().roots();
    let mut client = Client::https1(node.https(), "a.example", roots.clone()).await;
    let made = client.get("/made/page?1").await.text();
    assert_eq!(made, "must 1 over nothing");
    let mut other = Client::https1(node.https(), "functions.invalid", roots).await;
    for method in ["GET", "POST", "DELETE"] {
        for path in ["/%2A/f/page", "/f/page", "/look/page"] {
            let reply = other.send(method, path, &[], "").await;
            assert_eq!(reply.status, 421, "{method} {path}");
        }
    }
    let url = "/purge-url/x?https://functions.invalid/%2A/f/page";
    assert_eq!(
        client.get(url).await.text(),
        "the URL is not valid, or not of this site"
    );
    assert_eq!(client.get("/look/page").await.text(), "1 fresh");
}

/// What a node remembers of purges one by one is bounded: a function must not use it up.
#[tokio::test]
async fn a_function_purges_so_often_and_no_more() {
    let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let setup = Setup::new().at(clock);
    let node = setup.start(&toml("keeps-entries", KEYS, "")).await;
    let mut client = node.client().await;
    let mut refused = 0;
    for number in 0..1_500 {
        let said = client.get(&format!("/purge-key/k-{number}")).await.text();
        refused += u32::from(said == "the cache does not take it");
    }
    assert_eq!(refused, 500);
    time.advance(Duration::from_secs(1));
    let said = client.get("/purge-key/k").await.text();
    assert_eq!(said, "purged");
}

#[tokio::test]
async fn a_site_has_entries_of_its_own() {
    let site = |name: &str| {
        format!(
            "[[site]]\nnames = [\"{name}\"]\n[[site.route]]\npath = \"/{{*rest}}\"\n\
             static = {{ body = \"static\" }}\nviewer_request = [\"f\"]\n"
        )
    };
    let node = TestNode::start(&format!(
        "{}{}{}{}",
        runtime(),
        function("f", "keeps-entries", KEYS),
        site("a.example"),
        site("b.example"),
    ))
    .await;
    let mut client = node.client().await;
    let mut ask = async |site: &str, path: &str| {
        client.set_authority(site);
        client.get(path).await.text()
    };
    assert_eq!(ask("a.example", "/made/x?1").await, "must 1 over nothing");
    assert_eq!(ask("b.example", "/look/x").await, "none");
    assert_eq!(ask("b.example", "/made/x?2").await, "must 2 over nothing");
    assert_eq!(ask("b.example", "/purge/x").await, "purged");
    assert_eq!(ask("b.example", "/look/x").await, "none");
    assert_eq!(ask("a.example", "/look/x").await, "1 fresh");
}
