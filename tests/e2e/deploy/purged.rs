//! What a version that was taken back had a part in, and what it still makes for requests that
//! began with it: none of it answers others once it was purged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use verge_tests::guests::version;
use verge_tests::node::Setup;
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, Reply, TestNode, eventually};

use super::kit::{FOLDER, act, deploy, toml};

/// The version that had a part in this response behind the cache.
fn version_of(reply: &Reply) -> String {
    assert!(reply.status.is_success(), "{}", reply.text());
    reply.field("x-origin-response")
}

/// A node with version `one` and these keys in its route.
async fn start(origin: &Origin, route: &str) -> TestNode {
    let setup = Setup::new();
    std::fs::write(setup.path().join("f.wasm"), version("one")).unwrap();
    let toml = format!("{}{route}\n", toml(origin, "", FOLDER));
    setup.start(&toml).await
}

/// An origin whose responses are stale from the start, and are fresh once they were validated, by
/// a conditional request or by HEAD.
async fn stale_at_first() -> Origin {
    Origin::start(async |request| {
        let is_newer = request.method == "HEAD" || request.field("if-none-match").is_some();
        let fresh = [("etag", "\"a\""), ("cache-control", "max-age=3600")];
        let stale = [
            ("etag", "\"a\""),
            ("cache-control", "max-age=60"),
            ("age", "70"),
        ];
        match (is_newer, request.method == "HEAD") {
            (true, false) => respond(304, &fresh, ""),
            (true, true) => respond(200, &fresh, "content"),
            (false, _) => respond(200, &stale, "content"),
        }
    })
    .await
}

async fn hit(node: &TestNode, path: &str) -> Reply {
    let mut found = None;
    eventually("it is stored", async || {
        let reply = node.get(path).await;
        let is_hit = reply.cache_status().contains("; hit");
        found = is_hit.then_some(reply);
        is_hit
    })
    .await;
    found.unwrap()
}

#[tokio::test]
async fn what_a_version_only_freshened_is_purged_with_it() {
    let origin = stale_at_first().await;
    let node = start(&origin, "").await;
    let rows = [("/by-304", "GET", "two"), ("/by-head", "HEAD", "three")];
    for (path, method, name) in rows {
        assert_eq!(version_of(&node.get(path).await), "one");
        eventually("it is stored", async || {
            node.state().cache.stats().fills_in_progress == 0
        })
        .await;
        deploy(&node, name, "").await;
        let asked = origin.count();
        let reply = node.client().await.send(method, path, &[], "").await;
        assert_eq!(version_of(&reply), name);
        assert_eq!(origin.count(), asked + 1);
        assert_eq!(version_of(&hit(&node, path).await), name, "{method}");
        act(&node, "rollback?purge=true").await;
        let reply = node.get(path).await;
        assert_eq!(version_of(&reply), "one", "{}", reply.cache_status());
    }
}

/// Lets so many requests pass as it is told.
#[derive(Clone)]
struct Gate(Arc<Semaphore>);

impl Gate {
    fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    fn open(&self) {
        self.0.add_permits(1000);
    }
}

#[tokio::test]
async fn request_that_began_with_a_purged_version_stores_nothing_for_others() {
    let (gate, count) = (Gate::closed(), Arc::new(AtomicUsize::new(0)));
    let held = gate.clone();
    let origin = Origin::start(move |request| {
        let (held, number) = (held.clone(), count.fetch_add(1, Ordering::SeqCst));
        async move {
            let fresh = [("etag", "\"a\""), ("cache-control", "max-age=3600")];
            let stale = [
                ("etag", "\"a\""),
                ("cache-control", "max-age=60"),
                ("age", "70"),
            ];
            if request.field("if-none-match").is_some() {
                held.pass().await;
                return respond(304, &fresh, "");
            }
            let fields = if number == 0 {
                stale.as_slice()
            } else {
                &fresh
            };
            respond(200, fields, "content")
        }
    })
    .await;
    let node = start(&origin, "").await;
    deploy(&node, "two", "").await;
    assert_eq!(version_of(&node.get("/a").await), "two");
    // Its validation is on its way when the version is purged: it is asked for once more, whole.
    let validating = async {
        let reply = node.get("/a").await;
        assert_eq!(version_of(&reply), "two");
        let status = reply.cache_status();
        assert!(status.contains("detail=version-replaced"), "{status}");
    };
    let purging = async {
        eventually("the origin is asked", async || origin.count() == 2).await;
        act(&node, "rollback?purge=true").await;
        gate.open();
    };
    tokio::join!(validating, purging);
    assert_eq!(origin.count(), 3);
    assert_eq!(version_of(&node.get("/a").await), "one");
    // What runs now is stored as ever.
    assert_eq!(version_of(&hit(&node, "/a").await), "one");
    assert_eq!(origin.count(), 4);
}

const SLICE: usize = 64 << 10;

#[tokio::test]
async fn slices_of_a_response_that_began_with_a_purged_version_are_not_stored() {
    let (gate, is_held) = (Gate::closed(), Arc::new(AtomicBool::new(true)));
    let (holding, held) = (Arc::clone(&is_held), gate.clone());
    let origin = Origin::start(move |request| {
        let (holds, held) = (holding.load(Ordering::SeqCst), held.clone());
        async move {
            let range = request.field("range").unwrap_or_default();
            let first = range
                .strip_prefix("bytes=")
                .and_then(|range| range.split('-').next());
            let first: usize = first.and_then(|first| first.parse().ok()).unwrap_or(0);
            if holds && first == SLICE {
                held.pass().await;
            }
            let last = first + SLICE - 1;
            let said = format!("bytes {first}-{last}/{}", 4 * SLICE);
            let fields = [
                ("etag", "\"a\""),
                ("cache-control", "max-age=3600"),
                ("content-range", said.as_str()),
            ];
            respond(206, &fields, vec![b'x'; SLICE])
        }
    })
    .await;
    let node = start(&origin, "ranges = \"slices\"\nslice = \"64KiB\"").await;
    deploy(&node, "two", "").await;
    let late = [("range", "bytes=196608-262143")];
    let get = async |fields: &[(&str, &str)]| {
        let mut client = Client::http1(node.http()).await;
        client.set_authority("shop.example");
        client.get_with("/big", fields).await
    };
    let reading = async {
        let reply = get(&[]).await;
        assert_eq!(
            (version_of(&reply), reply.body.len()),
            ("two".to_owned(), 4 * SLICE)
        );
    };
    let purging = async {
        eventually("the second slice is asked for", async || {
            origin.count() == 2
        })
        .await;
        act(&node, "rollback?purge=true").await;
        is_held.store(false, Ordering::SeqCst);
        gate.open();
    };
    tokio::join!(reading, purging);
    eventually("the fills have ended", async || {
        node.state().cache.stats().fills_in_progress == 0
    })
    .await;
    let asked = origin.count();
    assert_eq!(version_of(&get(&late).await), "one");
    assert_eq!(origin.count(), asked + 1);
}
