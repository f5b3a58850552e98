//! Slices of a representation that changes, and what else is asked of slices: HEAD,
//! conditions, several parts, lengths that are not known.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use verge_tests::origin::respond;
use verge_tests::{Client, Origin, PATIENCE, TestNode, eventually, node};

use super::kit::{assert_cache, begin_with, clients, settled};
use super::slices::{Resource, SLICE, asked, connect, content, node_in_slices};

/// Asks for the first `count` slices, so that they are stored.
async fn store(node: &TestNode, client: &mut Client, count: usize) {
    let range = format!("bytes=0-{}", count * SLICE - 1);
    let reply = client.get_with("/a", &[("range", range.as_str())]).await;
    assert_eq!(reply.body.len(), count * SLICE);
    settled(node).await;
}

/// The content of a GET as far as it comes, and whether it came to its end.
async fn read(client: &mut Client) -> (String, Vec<u8>, bool) {
    let (head, mut body) = begin_with(client, "/a", &[]).await;
    let mut content = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, body.frame()).await.unwrap() {
            Some(Ok(frame)) => content.extend(frame.into_data().unwrap()),
            Some(Err(_)) => return (head.field("etag"), content, false),
            None => return (head.field("etag"), content, true),
        }
    }
}

#[tokio::test]
async fn what_has_changed_before_anything_is_sent_is_begun_anew() {
    let (old, new) = (content(3 * SLICE, 0), content(4 * SLICE, 7));
    let suffix = format!("bytes=-{SLICE}");
    for range in [None, Some(suffix.as_str()), Some("bytes=100-")] {
        let resource = Resource::new(&old);
        let origin = resource.origin().await;
        let node = node_in_slices(&origin, "").await;
        let mut client = connect(&node).await;
        store(&node, &mut client, 1).await;
        resource.replace(&new, "\"b\"");
        // The first slice is stored and fresh; what is behind it is of something else.
        let fields: Vec<_> = range.map(|range| ("range", range)).into_iter().collect();
        let reply = client.get_with("/a", &fields).await;
        assert_eq!(reply.field("etag"), "\"b\"", "{range:?}");
        let expected = match range {
            None => new.clone(),
            Some("bytes=100-") => new.slice(100..),
            Some(_) => new.slice(3 * SLICE..),
        };
        assert!(reply.body == expected, "{range:?}");
        assert_eq!(reply.status, if range.is_some() { 206 } else { 200 });
    }
}

#[tokio::test]
async fn what_changes_amid_is_cut_and_never_mixed() {
    let (old, new) = (content(6 * SLICE, 0), content(6 * SLICE, 7));
    // Over HTTP/1.1 the connection ends early, over HTTP/2 the stream is reset.
    for protocol in 0..2 {
        let resource = Resource::new(&old);
        let origin = resource.origin().await;
        let node = node_in_slices(&origin, "").await;
        let mut client = clients(&node, 2).await.remove(protocol);
        store(&node, &mut client, 3).await;
        resource.replace(&new, "\"b\"");
        let before = origin.count();
        let (tag, sent, is_complete) = read(&mut client).await;
        assert_eq!(tag, "\"a\"");
        assert!(!is_complete);
        assert!(old.starts_with(&sent), "a mixed body");
        settled(&node).await;
        // Nothing of the older one is left.
        let mut client = connect(&node).await;
        let (tag, sent, is_complete) = read(&mut client).await;
        assert_eq!((tag.as_str(), is_complete), ("\"b\"", true));
        assert!(new == sent);
        let asked = asked(&origin, before);
        assert_eq!(asked[1..].iter().filter(|slice| **slice < 3).count(), 3);
    }
}

#[tokio::test]
async fn stored_slice_of_another_representation_is_fetched_anew() {
    let (old, new) = (content(3 * SLICE, 0), content(3 * SLICE, 7));
    let resource = Resource::new(&old);
    let origin = resource.origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    let last = format!("bytes={}-", 2 * SLICE);
    client.get_with("/a", &[("range", last.as_str())]).await;
    settled(&node).await;
    resource.replace(&new, "\"b\"");
    let reply = client.get("/a").await;
    assert_eq!(reply.field("etag"), "\"b\"");
    assert_eq!(reply.body, new);
    assert_eq!(asked(&origin, 0), [2, 0, 1, 2]);
}

#[tokio::test]
async fn slices_of_an_older_representation_on_disk_are_not_mixed_in() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (content(4 * SLICE, 0), content(4 * SLICE, 7));
    let resource = Resource::new(&old);
    let origin = resource.origin().await;
    let toml = format!(
        "[cache.disk]\npath = \"{}\"\nsize = \"64MiB\"\n{}ranges = \"slices\"\nslice = \"64KiB\"\n",
        folder.path().display(),
        node::route_to(&origin)
    );
    let start = async || {
        let node = TestNode::start(&toml).await;
        eventually("the disk is read", async || {
            let disk = node.state().disk.as_ref();
            disk.is_some_and(|disk| disk.stats().is_ready)
        })
        .await;
        node
    };
    let node = start().await;
    let mut client = connect(&node).await;
    assert_eq!(client.get("/a").await.body, old);
    settled(&node).await;
    drop(client);
    node.stop().await;
    let node = start().await;
    let mut client = connect(&node).await;
    let before = origin.count();
    assert_eq!(client.get("/a").await.body, old);
    assert_eq!(origin.count(), before, "all slices come off the disk");
    drop(client);
    settled(&node).await;
    node.stop().await;
    resource.replace(&new, "\"b\"");
    let node = start().await;
    let mut client = connect(&node).await;
    // The first slice is known to have changed; the others on disk do not know yet.
    let fields = [("range", "bytes=0-9"), ("cache-control", "no-cache")];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!(reply.body, new.slice(..10));
    settled(&node).await;
    let reply = client.get("/a").await;
    assert_eq!(reply.field("etag"), "\"b\"");
    assert!(reply.body == new, "mixed or cut");
}

#[tokio::test]
async fn head_is_answered_out_of_the_first_slice() {
    let all = content(2 * SLICE + 5, 0);
    let resource = Resource::new(&all);
    let origin = resource.origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    store(&node, &mut client, 1).await;
    let before = origin.count();
    let reply = client.send("HEAD", "/a", &[], "").await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_cache(&reply, "hit");
    assert_eq!(reply.field("content-length"), all.len().to_string());
    assert_eq!(reply.field("content-range"), "");
    let same = [("if-none-match", "\"a\"")];
    let reply = client.send("HEAD", "/a", &same, "").await;
    assert_eq!(reply.status.as_u16(), 304);
    assert_eq!(origin.count(), before);
}

#[tokio::test]
async fn conditions_and_several_parts_are_answered_from_slices() {
    let all = content(3 * SLICE, 0);
    let resource = Resource::new(&all);
    let origin = resource.origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    let range = ("range", "bytes=70000-70009");
    // RFC 9110 13.1.5: the part only if it is of what the client has.
    let reply = client.get_with("/a", &[range, ("if-range", "\"a\"")]).await;
    assert_eq!(reply.status.as_u16(), 206);
    assert_eq!(reply.body, all.slice(70_000..70_010));
    let reply = client.get_with("/a", &[range, ("if-range", "\"x\"")]).await;
    assert_eq!(reply.status.as_u16(), 200);
    assert!(reply.body == all);
    settled(&node).await;
    let reply = client.get_with("/a", &[("if-none-match", "\"a\"")]).await;
    assert_eq!(reply.status.as_u16(), 304);
    // RFC 9110 14.2: two parts, in slices of their own.
    let two = [("range", "bytes=0-9,140000-140009")];
    let reply = client.get_with("/a", &two).await;
    assert_eq!(reply.status.as_u16(), 206);
    assert!(
        reply
            .field("content-type")
            .starts_with("multipart/byteranges")
    );
    let holds = |part: &Bytes| reply.body.windows(10).any(|window| window == &part[..]);
    assert!(holds(&all.slice(..10)) && holds(&all.slice(140_000..140_010)));
    for (range, status) in [
        ("bytes=200000-", 416),
        ("bytes=9-1", 200),
        ("bytes=-0", 416),
    ] {
        let reply = client.get_with("/a", &[("range", range)]).await;
        assert_eq!(reply.status.as_u16(), status, "{range}");
    }
}

#[tokio::test]
async fn slices_of_a_length_that_is_not_known_are_not_made_rfc_9110_14_4() {
    let origin = Origin::start(async |request| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"a\"")];
        match request.field("range") {
            Some(_) => {
                let fields = [fields[0], fields[1], ("content-range", "bytes 0-65535/*")];
                respond(206, &fields, content(SLICE, 0))
            }
            None => respond(200, &fields, content(2 * SLICE, 0)),
        }
    })
    .await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    for _ in 0..2 {
        let reply = client.get("/a").await;
        assert_eq!(reply.status.as_u16(), 200);
        assert!(reply.body == content(2 * SLICE, 0));
        settled(&node).await;
    }
    let ranges: Vec<bool> = origin
        .requests()
        .iter()
        .map(|request| request.field("range").is_some())
        .collect();
    assert_eq!(ranges, [true, false], "the whole is stored");
}
