//! What is stale or only asked about when it comes off the disk: stale answers at once
//! (RFC 5861), HEAD, and what is freshened without being written again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use verge_tests::origin::{OriginResponse, Recorded, respond};
use verge_tests::{Origin, TestNode, eventually};

use super::disk::{client, get, start, with_disk};
use super::kit::{Gate, asked, assert_cache, settled};

/// Stale by ten seconds, in both windows.
const WINDOWS: &[(&str, &str)] = &[
    (
        "cache-control",
        "max-age=60, stale-while-revalidate=600, stale-if-error=600",
    ),
    ("age", "70"),
    ("etag", "\"a\""),
];

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("etag", "\"a\"")];

/// An origin that answers its first request so, and later ones otherwise.
async fn origin(
    first: fn() -> OriginResponse,
    later: fn(&Recorded) -> OriginResponse,
    gate: &Gate,
) -> Origin {
    let (gate, count) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    Origin::start(move |request| {
        let (gate, number) = (gate.clone(), count.fetch_add(1, Ordering::SeqCst));
        async move {
            if number == 0 {
                return first();
            }
            gate.pass().await;
            later(&request)
        }
    })
    .await
}

fn open() -> Gate {
    let gate = Gate::closed();
    gate.open();
    gate
}

/// The node after a restart; `path` was asked for once before.
async fn restarted(toml: &str, path: &str) -> TestNode {
    let node = start(toml).await;
    get(&node, path).await;
    again(node, toml).await
}

async fn again(node: TestNode, toml: &str) -> TestNode {
    settled(&node).await;
    node.stop().await;
    start(toml).await
}

#[tokio::test]
async fn stale_response_off_the_disk_answers_while_it_is_validated_rfc_5861_3() {
    let folder = TempDir::new().unwrap();
    let gate = Gate::closed();
    let new = |_: &Recorded| respond(200, &[("cache-control", "max-age=60")], "new");
    let origin = origin(|| respond(200, WINDOWS, "old"), new, &gate).await;
    let node = restarted(&with_disk(&origin, folder.path()), "/a").await;
    let reply = get(&node, "/a").await;
    assert_eq!(reply.text(), "old");
    assert_cache(&reply, "hit detail=stale-while-revalidate");
    asked(&origin, 2).await;
    assert_eq!(
        get(&node, "/a").await.text(),
        "old",
        "it is validated still"
    );
    gate.open();
    eventually("it is validated", async || {
        get(&node, "/a").await.text() == "new"
    })
    .await;
    let requests = origin.requests();
    assert_eq!(requests[1].field("if-none-match"), Some("\"a\""));
    assert_eq!(requests.len(), 2);
}

#[tokio::test]
async fn stale_response_off_the_disk_answers_for_an_origin_that_fails_rfc_5861_4() {
    let folder = TempDir::new().unwrap();
    let first = || {
        let fields = [
            ("cache-control", "max-age=60, stale-if-error=600"),
            ("age", "70"),
        ];
        respond(200, &fields, "old")
    };
    let origin = origin(first, |_| respond(503, &[], "broken"), &open()).await;
    let node = restarted(&with_disk(&origin, folder.path()), "/a").await;
    let reply = get(&node, "/a").await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "old"));
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn client_that_takes_stale_gets_it_off_the_disk_rfc_9111_5_2_1_2() {
    let folder = TempDir::new().unwrap();
    let first = || {
        let fields = [
            ("cache-control", "max-age=60"),
            ("age", "70"),
            ("etag", "\"a\""),
        ];
        respond(200, &fields, "old")
    };
    let origin = origin(first, |_| respond(304, FRESH, ""), &open()).await;
    let node = restarted(&with_disk(&origin, folder.path()), "/a").await;
    let mut client = client(&node).await;
    let fields = [("cache-control", "max-stale=600")];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!(reply.text(), "old");
    assert_cache(&reply, "hit");
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn head_is_answered_off_the_disk_rfc_9111_4() {
    let folder = TempDir::new().unwrap();
    let origin = Origin::start(async |_| respond(200, FRESH, "content")).await;
    let toml = with_disk(&origin, folder.path());
    let node = restarted(&toml, "/a").await;
    let mut client = client(&node).await;
    let only = ("cache-control", "only-if-cached");
    for fields in [&[][..], &[only]] {
        let reply = client.send("HEAD", "/a", fields, "").await;
        assert_cache(&reply, "hit detail=disk");
        assert_eq!(reply.field("content-length"), "7");
        assert_eq!(reply.field("etag"), "\"a\"");
    }
    let same = [("if-none-match", "\"a\""), only];
    let reply = client.send("HEAD", "/a", &same, "").await;
    assert_eq!(reply.status.as_u16(), 304);
    let reply = client.send("HEAD", "/none", &[only], "").await;
    assert_eq!(reply.status.as_u16(), 504);
    assert_eq!(origin.count(), 1);
}

/// GET has to be validated; HEAD says that it need not be, for a while.
fn told_by_head(request: &Recorded) -> OriginResponse {
    let fields = [
        ("cache-control", "max-age=600"),
        ("etag", "\"a\""),
        ("content-length", "7"),
        ("x-said-by", "head"),
    ];
    match request.method.as_str() {
        "HEAD" => respond(200, &fields, ""),
        _ => respond(500, &[], "not asked for"),
    }
}

#[tokio::test]
async fn head_freshens_what_the_disk_has_rfc_9111_4_3_5() {
    let validated = || {
        let fields = [("cache-control", "no-cache"), ("etag", "\"a\"")];
        respond(200, &fields, "content")
    };
    for is_in_memory in [true, false] {
        let folder = TempDir::new().unwrap();
        let origin = origin(validated, told_by_head, &open()).await;
        let toml = with_disk(&origin, folder.path());
        let mut node = start(&toml).await;
        get(&node, "/a").await;
        if !is_in_memory {
            node = again(node, &toml).await;
        }
        settled(&node).await;
        let mut client = client(&node).await;
        let reply = client.send("HEAD", "/a", &[], "").await;
        assert_eq!(reply.field("x-said-by"), "head");
        drop(client);
        let node = again(node, &toml).await;
        let reply = get(&node, "/a").await;
        assert_cache(&reply, "hit detail=disk");
        assert_eq!(reply.text(), "content");
        assert_eq!(reply.field("x-said-by"), "head");
        assert_eq!(origin.count(), 2);
    }
}

#[tokio::test]
async fn large_response_is_freshened_on_the_disk_without_being_written_again() {
    let folder = TempDir::new().unwrap();
    let content = || "x".repeat(3_000_000);
    let first = || {
        let fields = [
            ("cache-control", "max-age=60"),
            ("age", "70"),
            ("etag", "\"a\""),
        ];
        respond(200, &fields, "x".repeat(3_000_000))
    };
    let origin = origin(first, |_| respond(304, FRESH, ""), &open()).await;
    let toml = with_disk(&origin, folder.path());
    let node = start(&toml).await;
    for _ in 0..2 {
        assert_eq!(get(&node, "/a").await.text(), content());
        settled(&node).await;
    }
    let disk = node.state().disk.clone().unwrap();
    eventually("both are written", async || disk.stats().saved == 2).await;
    assert!(disk.stats().written_bytes < 3_010_000, "{:?}", disk.stats());
    drop(disk);
    let node = again(node, &toml).await;
    let reply = get(&node, "/a").await;
    assert_cache(&reply, "hit detail=disk");
    assert_eq!(reply.text(), content());
    assert_eq!(origin.count(), 2);
}
