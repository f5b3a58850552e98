//! A version for a share of the requests.

use std::collections::BTreeMap;

use verge_tests::eventually;

use super::kit::{act, deploy, listed, made_by, origin, start};

#[tokio::test]
async fn share_is_as_large_as_asked_and_no_request_sees_two_versions() {
    let origin = origin().await;
    let node = start(&origin).await;
    let told = deploy(&node, "two", "?share=25%25").await;
    let version = &told["function"]["versions"][0];
    assert_eq!(version["status"], "share");
    assert_eq!(version["note"], "25% of the requests");
    let mut client = node.client().await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..1000 {
        *seen.entry(made_by(&client.get("/").await)).or_default() += 1;
    }
    let two = seen["two"];
    assert_eq!(seen["one"] + two, 1000);
    // Seven standard deviations of so many coins.
    assert!((150..350).contains(&two), "{seen:?}");
    act(&node, "promote").await;
    assert_eq!(made_by(&client.get("/").await), "two");
    assert_eq!(listed(&node).await[0].1, "live");
}

#[tokio::test]
async fn clients_stay_with_their_version_by_a_cookie_or_a_field() {
    let origin = origin().await;
    let node = start(&origin).await;
    for (sticky, name) in [("cookie:uid", "cookie"), ("header:x-user", "x-user")] {
        deploy(&node, "two", &format!("?share=50%25&sticky={sticky}")).await;
        let mut client = node.client().await;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for number in 0..100 {
            let value = match name {
                "cookie" => format!("a=b; uid={number}"),
                _ => number.to_string(),
            };
            let first = made_by(&client.get_with("/", &[(name, value.as_str())]).await);
            for _ in 0..3 {
                let again = made_by(&client.get_with("/", &[(name, value.as_str())]).await);
                assert_eq!(again, first, "{value}");
            }
            *seen.entry(first).or_default() += 1;
        }
        assert!((20..=80).contains(&seen["two"]), "{seen:?}");
        act(&node, "rollback").await;
        assert_eq!(made_by(&client.get("/").await), "one");
    }
}

#[tokio::test]
async fn stored_responses_of_a_share_are_for_the_share_alone() {
    let origin = origin().await;
    let node = start(&origin).await;
    deploy(&node, "two", "?share=50%25&sticky=header:x-user").await;
    let mut client = node.client().await;
    // One user of each version.
    let mut users: BTreeMap<String, String> = BTreeMap::new();
    for number in 0..100 {
        let user = number.to_string();
        let version = made_by(&client.get_with("/", &[("x-user", user.as_str())]).await);
        users.entry(version).or_insert(user);
    }
    assert_eq!(users.len(), 2, "{users:?}");
    for _ in 0..2 {
        for (version, user) in &users {
            let fields = [("x-user", user.as_str())];
            eventually("the response is stored", async || {
                let mut client = node.client().await;
                let reply = client.get_with("/stored", &fields).await;
                assert_eq!(made_by(&reply), *version);
                reply.cache_status().contains("; hit")
            })
            .await;
        }
    }
    let asked = origin.requests();
    let asked = asked.iter().filter(|request| request.path() == "/stored");
    assert_eq!(asked.count(), 2, "once for each version");
}

#[tokio::test]
async fn rollback_of_a_share_purges_what_it_made_and_nothing_else() {
    let origin = origin().await;
    let node = start(&origin).await;
    let stored = async |path: &str| {
        eventually("the response is stored", async || {
            node.get(path).await.cache_status().contains("; hit")
        })
        .await;
    };
    stored("/stored").await;
    let made_before = node.get("/stored").await.field("x-origin-response");
    deploy(&node, "two", "?share=99.99%25&sticky=client").await;
    stored("/stored").await;
    act(&node, "rollback?purge=true").await;
    let reply = node.get("/stored").await;
    assert!(
        reply.cache_status().contains("; hit"),
        "{}",
        reply.cache_status()
    );
    assert_eq!(reply.field("x-origin-response"), made_before);
}
