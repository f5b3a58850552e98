//! What is kept for a route in slices, in memory and on disk: the whole where the origin once sent
//! it, slices of an origin that does not answer any more, and slices that others take away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tempfile::TempDir;
use verge_tests::origin::{hang_up, respond};
use verge_tests::{Origin, Reply, TestNode, eventually, node};

use super::disk;
use super::kit::{assert_cache, begin_with, rest, settled};
use super::slices::{Resource, SLICE, connect, content};
use super::slices_stale::{get, slices_on_disk};

const ONLY: (&str, &str) = ("cache-control", "only-if-cached");

/// An origin that knows no ranges, and answers no more once that is said.
async fn origin_of_wholes(
    all: &Bytes,
    fields: &'static [(&'static str, &'static str)],
) -> (Origin, Arc<AtomicBool>) {
    let (all, is_down) = (all.clone(), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&is_down);
    let origin = Origin::start(move |_| {
        let (all, is_down) = (all.clone(), told.load(Ordering::SeqCst));
        async move {
            match is_down {
                true => hang_up(),
                false => respond(200, fields, all),
            }
        }
    })
    .await;
    (origin, is_down)
}

/// An origin of `resource` that leaves requests unanswered, or hangs up, once that is said.
async fn failing_origin(resource: &Resource) -> (Origin, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (hangs, hangs_up) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let told = (resource.clone(), Arc::clone(&hangs), Arc::clone(&hangs_up));
    let origin = Origin::start(move |request| {
        let (resource, hangs, hangs_up) = told.clone();
        async move {
            if hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            match hangs_up.load(Ordering::SeqCst) {
                true => hang_up(),
                false => resource.answer(&request),
            }
        }
    })
    .await;
    (origin, hangs, hangs_up)
}

/// The same configuration with an origin that is waited for 4 s, and asked once.
fn impatient(toml: &str) -> String {
    let keys = "[origin.app]\ntimeouts = { first_byte = \"4s\" }\nretries = 0\n";
    toml.replace("[origin.app]\n", keys)
}

/// A GET of `range`, or of all, on a node that has just read its disk.
async fn after_restart(toml: &str, range: Option<&str>, fields: &[(&str, &str)]) -> Reply {
    let node = disk::start(toml).await;
    let reply = get(&node, range, fields).await;
    node.stop().await;
    reply
}

#[tokio::test]
async fn whole_response_on_disk_answers_on_a_route_in_slices() {
    let (folder, all) = (TempDir::new().unwrap(), content(3 * SLICE, 0));
    let fields = &[("cache-control", "max-age=60"), ("etag", "\"a\"")];
    let (origin, _) = origin_of_wholes(&all, fields).await;
    let toml = slices_on_disk(&origin, &folder);
    let first = after_restart(&toml, None, &[]).await;
    assert!(first.body == all);
    for range in [None, Some((70_000, 140_000)), Some((10, 20))] {
        let value = range.map(|(first, last)| format!("bytes={first}-{last}"));
        for fields in [&[][..], &[ONLY]] {
            let reply = after_restart(&toml, value.as_deref(), fields).await;
            let (status, expected) = match range {
                None => (200, all.clone()),
                Some((first, last)) => (206, all.slice(first..=last)),
            };
            assert_eq!(reply.status, status, "{range:?} {fields:?}");
            assert_cache(&reply, "hit detail=disk");
            assert!(reply.body == expected, "{range:?}");
        }
    }
    let node = disk::start(&toml).await;
    let mut client = connect(&node).await;
    let reply = client.send("HEAD", "/a", &[], "").await;
    assert_cache(&reply, "hit detail=disk");
    assert_eq!(reply.field("content-length"), all.len().to_string());
    assert_eq!(origin.count(), 1);
}

/// RFC 9111 4.2.4: what a disk has of the whole stands in for an origin that cannot be reached.
#[tokio::test]
async fn stale_whole_on_disk_stands_in_for_an_origin_that_is_gone() {
    let (folder, all) = (TempDir::new().unwrap(), content(3 * SLICE, 0));
    let fields = &[
        ("cache-control", "max-age=60"),
        ("age", "70"),
        ("etag", "\"a\""),
    ];
    let (origin, is_down) = origin_of_wholes(&all, fields).await;
    let toml = impatient(&slices_on_disk(&origin, &folder));
    after_restart(&toml, None, &[]).await;
    is_down.store(true, Ordering::SeqCst);
    let reply = after_restart(&toml, None, &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.cache_status());
    assert_cache(&reply, "detail=stale-on-failure");
    assert!(reply.body == all);
}

#[tokio::test]
async fn slices_on_disk_within_their_window_answer_at_once_if_all_are_there() {
    let folder = TempDir::new().unwrap();
    let all = content(3 * SLICE, 0);
    let resource = Resource::new(&all);
    resource.set_cache_control("max-age=0, stale-while-revalidate=600");
    let (origin, hangs, _) = failing_origin(&resource).await;
    let toml = impatient(&slices_on_disk(&origin, &folder));
    after_restart(&toml, None, &[]).await;
    hangs.store(true, Ordering::SeqCst);
    let node = disk::start(&toml).await;
    let reply = get(&node, None, &[]).await;
    assert_cache(&reply, "hit detail=stale-while-revalidate");
    assert!(reply.body == all, "cut or mixed");
}

/// RFC 9111 4.2.4: who waited once for an origin that fails does not wait for each slice, and
/// nobody waits after it for as long as it waited.
#[tokio::test]
async fn failing_origin_is_tried_once_for_all_stale_slices() {
    for (is_on_disk, is_hanging) in [(false, true), (true, true), (false, false), (true, false)] {
        let folder = TempDir::new().unwrap();
        let all = content(4 * SLICE, 0);
        let resource = Resource::new(&all);
        resource.set_cache_control("max-age=0, stale-if-error=600");
        let (origin, hangs, hangs_up) = failing_origin(&resource).await;
        let toml = impatient(&slices_on_disk(&origin, &folder));
        let mut node = disk::start(&toml).await;
        assert!(get(&node, None, &[]).await.body == all);
        settled(&node).await;
        if is_on_disk {
            node.stop().await;
            node = disk::start(&toml).await;
        }
        let failing = if is_hanging { &hangs } else { &hangs_up };
        failing.store(true, Ordering::SeqCst);
        let before = origin.count();
        let reply = get(&node, None, &[]).await;
        assert_cache(&reply, "fwd=stale detail=stale-if-error");
        assert!(reply.body == all, "cut or mixed");
        let what = format!("on disk: {is_on_disk}, hanging: {is_hanging}");
        assert_eq!(origin.count() - before, 1, "{what}");
        if !is_hanging {
            continue;
        }
        for (range, expected) in [(None, all.clone()), (Some("bytes=0-9"), all.slice(..10))] {
            let reply = get(&node, range, &[]).await;
            assert_cache(&reply, "hit detail=origin-failing");
            assert!(reply.body == expected, "cut or mixed");
        }
        assert_eq!(origin.count() - before, 1, "{what}");
    }
}

/// What began with stored slices within their window ends with them, whatever others find.
#[tokio::test]
async fn stale_slices_that_are_being_sent_are_taken_from_nobody() {
    const LARGE: usize = 1024 * 1024;
    let (old, new) = (content(40 * LARGE, 0), content(40 * LARGE, 7));
    let resource = Resource::new(&old);
    resource.set_cache_control("max-age=0, stale-while-revalidate=600");
    let origin = resource.origin().await;
    let route = node::route_to(&origin);
    let toml = format!("{route}ranges = \"slices\"\nslice = \"1MiB\"\n");
    let node = TestNode::start(&toml).await;
    assert!(get(&node, None, &[]).await.body == old);
    settled(&node).await;
    resource.replace(&new, "\"b\"");
    resource.set_cache_control("max-age=60");
    let before = origin.count();
    // It reads slowly: more than sockets hold is not yet sent.
    let mut slow = connect(&node).await;
    let (head, body) = begin_with(&mut slow, "/a", &[]).await;
    assert_cache(&head, "hit detail=stale-while-revalidate");
    eventually("it is validated", async || origin.count() > before).await;
    settled(&node).await;
    let reply = get(&node, None, &[]).await;
    assert!(reply.body == new, "cut or mixed");
    let sent = rest(body).await;
    assert!(sent.is_ok_and(|sent| sent == old), "cut or mixed");
}
