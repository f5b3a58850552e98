//! Slices that are stale: what is told of a representation by those that are being validated, and
//! what becomes of one that the origin has no more. And slices for a client that takes what is
//! stored or nothing.

use bytes::Bytes;
use tempfile::TempDir;
use verge_tests::{Origin, Reply, TestNode, eventually};

use super::disk;
use super::kit::{assert_cache, settled};
use super::slices::{Resource, SLICE, connect, content, node_in_slices};

const WINDOW: &str = "max-age=0, stale-while-revalidate=600";

/// A GET of `range`, or of all.
pub(super) async fn get(node: &TestNode, range: Option<&str>, fields: &[(&str, &str)]) -> Reply {
    let range = range.map(|range| ("range", range));
    let fields: Vec<_> = range.into_iter().chain(fields.iter().copied()).collect();
    connect(node).await.get_with("/a", &fields).await
}

async fn validated(node: &TestNode) {
    let running = "verge_limit_in_use{limit=\"background-validations\"}";
    node.settles(running, 0.0).await;
    settled(node).await;
}

pub(super) fn slices_on_disk(origin: &Origin, folder: &TempDir) -> String {
    let route = disk::with_disk(origin, folder.path());
    format!("{route}ranges = \"slices\"\nslice = \"64KiB\"\n")
}

/// The first slices of what the resource has are stored, and what it has changes then.
async fn change(node: &TestNode, resource: &Resource, stored: usize) -> Bytes {
    let range = format!("bytes=0-{}", stored * SLICE - 1);
    let reply = get(node, Some(&range), &[]).await;
    assert_eq!(reply.body.len(), stored * SLICE);
    settled(node).await;
    let new = content(3 * SLICE, 7);
    resource.replace(&new, "\"b\"");
    new
}

/// RFC 9111 3.4: two slices that are being validated prove nothing of a third one.
#[tokio::test]
async fn what_is_not_stored_whole_is_validated_before_it_is_sent() {
    let resource = Resource::new(&content(3 * SLICE, 0));
    resource.set_cache_control(WINDOW);
    let origin = resource.origin().await;
    let node = node_in_slices(&origin, "").await;
    let new = change(&node, &resource, 2).await;
    let reply = get(&node, None, &[]).await;
    assert_eq!(reply.field("etag"), "\"b\"");
    assert!(reply.body == new, "cut or mixed");
    settled(&node).await;
    // What is stored whole answers while it is validated.
    let reply = get(&node, None, &[]).await;
    assert_cache(&reply, "hit detail=stale-while-revalidate");
    assert!(reply.body == new);
}

#[tokio::test]
async fn what_a_disk_has_not_whole_is_validated_before_it_is_sent() {
    let (folder, resource) = (
        TempDir::new().unwrap(),
        Resource::new(&content(3 * SLICE, 0)),
    );
    resource.set_cache_control(WINDOW);
    let origin = resource.origin().await;
    let toml = slices_on_disk(&origin, &folder);
    let node = disk::start(&toml).await;
    let new = change(&node, &resource, 2).await;
    node.stop().await;
    let node = disk::start(&toml).await;
    let reply = get(&node, None, &[]).await;
    assert_eq!(reply.field("etag"), "\"b\"");
    assert!(reply.body == new, "cut or mixed");
    assert_cache(&reply, "fwd=stale detail=stale-while-revalidate");
}

/// RFC 9111 4.3.3: what the origin has in its place is not stored, or does not exist.
#[tokio::test]
async fn slice_that_the_origin_has_no_more_answers_nobody() {
    let last = format!("bytes={SLICE}-");
    let short = content(100, 7);
    let rows = [
        // Another representation that may not be stored.
        (content(2 * SLICE, 7), "no-store", 206),
        // One in which there is no such part.
        (short, "max-age=60", 416),
    ];
    for (new, cache_control, status) in rows {
        let resource = Resource::new(&content(2 * SLICE, 0));
        resource.set_cache_control(WINDOW);
        let origin = resource.origin().await;
        let node = node_in_slices(&origin, "").await;
        get(&node, Some(&last), &[]).await;
        settled(&node).await;
        resource.replace(&new, "\"b\"");
        resource.set_cache_control(cache_control);
        let reply = get(&node, Some(&last), &[]).await;
        assert_cache(&reply, "hit detail=stale-while-revalidate");
        eventually("it is validated", async || origin.count() == 2).await;
        validated(&node).await;
        let reply = get(&node, Some(&last), &[]).await;
        assert_eq!(reply.status, status, "{}", reply.cache_status());
        assert_cache(&reply, "!hit");
        if status == 206 {
            assert!(reply.body == new.slice(SLICE..));
        }
    }
}

/// RFC 9111 5.2.1.7: a response is not begun that only an origin could complete.
#[tokio::test]
async fn only_if_cached_begins_nothing_that_tiers_do_not_complete() {
    let only = ("cache-control", "only-if-cached");
    let all = content(3 * SLICE, 0);
    for stored in 1..=3 {
        let folder = TempDir::new().unwrap();
        let origin = Resource::new(&all).origin().await;
        let toml = slices_on_disk(&origin, &folder);
        let node = disk::start(&toml).await;
        let range = format!("bytes=0-{}", stored * SLICE - 1);
        get(&node, Some(&range), &[]).await;
        settled(&node).await;
        node.stop().await;
        let node = disk::start(&toml).await;
        let before = origin.count();
        // In memory are some of them, or none.
        for _ in 0..2 {
            let reply = get(&node, None, &[only]).await;
            match stored {
                3 => assert!(reply.body == all, "{}", reply.status),
                _ => assert_eq!(reply.status, 504),
            }
            let reply = get(&node, Some("bytes=0-9"), &[only]).await;
            assert_eq!(reply.status, 206);
            assert_eq!(reply.body, all.slice(..10));
            let reply = get(&node, Some("bytes=0-65540"), &[only]).await;
            assert_eq!(reply.status, if stored > 1 { 206 } else { 504 });
        }
        assert_eq!(origin.count(), before);
    }
}
