//! Deploy, promote, roll back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use verge_tests::client::Client;
use verge_tests::guests::version;
use verge_tests::origin::respond;
use verge_tests::{Origin, eventually};

use super::kit::{act, deploy, digest, listed, made_by, origin, post, start};

fn rows(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, status): &(&str, &str)| ((*name).to_owned(), (*status).to_owned());
    rows.iter().map(owned).collect()
}

#[tokio::test]
async fn version_that_is_deployed_serves_and_a_rollback_goes_back() {
    let origin = origin().await;
    let node = start(&origin).await;
    assert_eq!(made_by(&node.get("/").await), "one");
    let told = deploy(&node, "two", "").await;
    assert_eq!(told["version"], digest("two").as_str());
    assert_eq!(told["function"]["live"], digest("two").as_str());
    assert_eq!(made_by(&node.get("/").await), "two");
    assert_eq!(
        listed(&node).await,
        rows(&[("two", "live"), ("one", "kept")])
    );
    let told = act(&node, "rollback").await;
    assert_eq!(told["version"], digest("two").as_str());
    assert_eq!(made_by(&node.get("/").await), "one");
    assert_eq!(
        listed(&node).await,
        rows(&[("two", "rolled-back"), ("one", "live")])
    );
    let two = digest("two");
    let told = act(&node, &format!("promote?version={}", &two[..12])).await;
    assert_eq!(told["version"], two.as_str());
    assert_eq!(made_by(&node.get("/").await), "two");
}

#[tokio::test]
async fn rollback_to_any_of_the_last_five_versions_takes_no_second() {
    /// A tenth of what is promised, so that a busy machine is no failure.
    const SOON: Duration = Duration::from_millis(100);
    let origin = origin().await;
    let node = start(&origin).await;
    for name in ["two", "three", "four", "five", "six"] {
        deploy(&node, name, "").await;
    }
    assert_eq!(listed(&node).await.len(), 5, "`one` is no longer kept");
    let mut took = Vec::new();
    for name in ["five", "four", "three", "two"] {
        let begun = Instant::now();
        act(&node, "rollback").await;
        assert_eq!(made_by(&node.get("/").await), name);
        took.push(begun.elapsed());
    }
    assert!(took.iter().max().unwrap() < &(10 * SOON), "{took:?}");
    assert!(took.iter().min().unwrap() < &SOON, "{took:?}");
    let reply = post(&node, "/functions/f/rollback", Vec::new()).await;
    assert_eq!(reply.status, 409, "{}", reply.text());
    assert!(
        reply.text().contains("no version that ran before"),
        "{}",
        reply.text()
    );
    assert_eq!(made_by(&node.get("/").await), "two");
}

#[tokio::test]
async fn what_a_version_made_is_purged_with_its_rollback() {
    let origin = origin().await;
    let node = start(&origin).await;
    deploy(&node, "two", "").await;
    let store = async |path: &str| {
        eventually("the response is stored", async || {
            node.get(path).await.cache_status().contains("; hit")
        })
        .await;
    };
    store("/stored").await;
    act(&node, "rollback").await;
    let reply = node.get("/stored").await;
    assert!(
        reply.cache_status().contains("; hit"),
        "{}",
        reply.cache_status()
    );
    assert_eq!(reply.field("x-origin-response"), "two", "it is still there");
    deploy(&node, "three", "").await;
    store("/stored-by-three").await;
    let told = act(&node, "rollback?purge=true").await;
    assert_eq!(told["purged"], true);
    assert_eq!(made_by(&node.get("/stored-by-three").await), "one");
    let reply = node.get("/stored").await;
    assert_eq!(reply.field("x-origin-response"), "two", "others' are kept");
}

#[tokio::test]
async fn component_saved_by_the_configuration_is_a_version_too() {
    let origin = origin().await;
    let node = start(&origin).await;
    deploy(&node, "two", "").await;
    node.save("f.wasm", version("three"));
    eventually("the saved version", async || {
        node.get("/").await.field("x-viewer-response") == "three"
    })
    .await;
    let kept = [("three", "live"), ("two", "kept"), ("one", "kept")];
    assert_eq!(listed(&node).await, rows(&kept));
    act(&node, "rollback").await;
    assert_eq!(made_by(&node.get("/").await), "two");
    let reply = node.ask_admin("POST", "/reload").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        made_by(&node.get("/").await),
        "two",
        "a reload does not bring back what was taken back"
    );
}

#[tokio::test]
async fn requests_over_deploys_each_see_one_version_and_those_in_order() {
    let origin = origin().await;
    let node = start(&origin).await;
    let asking = async || {
        let mut client = node.client().await;
        let mut seen = Vec::new();
        while seen.last().is_none_or(|version| version != "three") {
            let version = made_by(&client.get("/").await);
            if seen.last() != Some(&version) {
                seen.push(version);
            }
        }
        seen
    };
    let deploying = async {
        // Each client has an answer of the first version.
        eventually("all clients ask", async || origin.count() >= 8).await;
        for name in ["two", "three"] {
            deploy(&node, name, "").await;
        }
    };
    let (all, ()) = tokio::join!(
        futures_util::future::join_all((0..8).map(|_| asking())),
        deploying
    );
    for seen in &all {
        let in_order = ["one", "two", "three"].into_iter();
        let in_order: Vec<_> = in_order
            .filter(|name| seen.contains(&(*name).to_owned()))
            .collect();
        assert_eq!(*seen, in_order, "{all:?}");
    }
    assert!(all.iter().any(|seen| seen[0] == "one"), "{all:?}");
}

#[tokio::test]
async fn request_that_waits_for_its_origin_keeps_its_version_over_deploys() {
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let origin = Origin::start(move |request| {
        let waits = Arc::clone(&waits);
        async move {
            waits.acquire().await.unwrap().forget();
            let field = |name| request.field(name).unwrap_or("none").to_owned();
            let asked = format!(
                "{} {}",
                field("x-viewer-request"),
                field("x-origin-request")
            );
            respond(
                200,
                &[("x-asked", &asked), ("cache-control", "no-store")],
                "content",
            )
        }
    })
    .await;
    let node = start(&origin).await;
    let mut asked = Vec::new();
    for name in ["two", "three", "four"] {
        let address = node.http();
        // No request follows another one's fill.
        let (path, before) = (format!("/{name}"), origin.count());
        asked.push(tokio::spawn(async move {
            let mut client = Client::http1(address).await;
            made_by(&client.get(&path).await)
        }));
        eventually("the origin is asked", async || origin.count() > before).await;
        deploy(&node, name, "").await;
    }
    gate.add_permits(3);
    for (asked, expected) in asked.into_iter().zip(["one", "two", "three"]) {
        assert_eq!(asked.await.unwrap(), expected);
    }
}
