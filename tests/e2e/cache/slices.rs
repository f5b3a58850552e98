//! Responses in slices: `ranges = "slices"` of a route.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use parking_lot::Mutex;
use verge_http::range::{RangeSelection, content_range, content_range_unsatisfied, select_ranges};
use verge_tests::origin::{OriginResponse, respond};
use verge_tests::{Client, Origin, Recorded, TestNode, eventually, node};

use super::kit::{Gate, assert_cache, begin_with, clients, following, settled, stats};

const KIB: usize = 1024;
pub(super) const SLICE: usize = 64 * KIB;

/// What an origin has now; a test may put something else there.
#[derive(Clone)]
pub(super) struct Resource(Arc<Mutex<(Bytes, &'static str, &'static str)>>);

impl Resource {
    pub(super) fn new(content: &Bytes) -> Self {
        Self(Arc::new(Mutex::new((
            content.clone(),
            "\"a\"",
            "max-age=60",
        ))))
    }

    pub(super) fn replace(&self, content: &Bytes, tag: &'static str) {
        let mut held = self.0.lock();
        held.0 = content.clone();
        held.1 = tag;
    }

    pub(super) fn set_cache_control(&self, value: &'static str) {
        self.0.lock().2 = value;
    }

    /// What a server answers that knows ranges and validators.
    pub(super) fn answer(&self, request: &Recorded) -> OriginResponse {
        let (content, tag, cache_control) = self.0.lock().clone();
        let fields = [("cache-control", cache_control), ("etag", tag)];
        if request.field("if-none-match") == Some(tag) {
            return respond(304, &fields, "");
        }
        let total = content.len() as u64;
        match select_ranges(&Method::GET, &request.fields, true, total) {
            RangeSelection::Single(part) => {
                let range = content_range(part, total);
                let fields = [
                    fields[0],
                    fields[1],
                    ("content-range", range.to_str().unwrap()),
                ];
                let part = content.slice(part.first as usize..=part.last as usize);
                respond(206, &fields, part)
            }
            RangeSelection::Unsatisfiable => {
                let range = content_range_unsatisfied(total);
                respond(416, &[("content-range", range.to_str().unwrap())], "")
            }
            RangeSelection::Whole(_) | RangeSelection::Multiple(_) => {
                respond(200, &fields, content)
            }
        }
    }

    pub(super) async fn origin(&self) -> Origin {
        let resource = self.clone();
        Origin::start(move |request| {
            let resource = resource.clone();
            async move { resource.answer(&request) }
        })
        .await
    }
}

pub(super) fn content(length: usize, salt: usize) -> Bytes {
    (0..length)
        .map(|at| (at / 251 + at + salt) as u8)
        .collect::<Vec<u8>>()
        .into()
}

pub(super) async fn node_in_slices(origin: &Origin, cache: &str) -> TestNode {
    let route = node::route_to(origin);
    let toml = format!("[cache]\n{cache}\n{route}ranges = \"slices\"\nslice = \"64KiB\"\n");
    TestNode::start(&toml).await
}

pub(super) async fn connect(node: &TestNode) -> Client {
    clients(node, 1).await.remove(0)
}

/// The slices that the origin was asked for, by number, since `before` requests.
pub(super) fn asked(origin: &Origin, before: usize) -> Vec<usize> {
    origin.requests()[before..]
        .iter()
        .map(|request| {
            let range = request.field("range").unwrap();
            let (first, last) = range
                .strip_prefix("bytes=")
                .unwrap()
                .split_once('-')
                .unwrap();
            let first: usize = first.parse().unwrap();
            assert_eq!(last.parse::<usize>().unwrap(), first + SLICE - 1);
            first / SLICE
        })
        .collect()
}

#[tokio::test]
async fn whole_response_comes_in_slices_that_are_stored() {
    let all = content(3 * SLICE + 100, 0);
    let resource = Resource::new(&all);
    let origin = resource.origin().await;
    let node = node_in_slices(&origin, "").await;
    for mut client in clients(&node, 2).await {
        let reply = client.get("/a").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.body, all);
        assert_eq!(reply.field("content-length"), all.len().to_string());
        assert!(!reply.fields.contains_key("content-range"));
        settled(&node).await;
        assert_eq!(asked(&origin, 0), [0, 1, 2, 3], "and only once");
    }
    assert_eq!(stats(&node).entries, 4);
}

#[tokio::test]
async fn only_if_cached_is_answered_when_all_slices_are_stored() {
    let content = content(3 * SLICE, 0);
    let origin = Resource::new(&content).origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    let middle = format!("bytes={SLICE}-{}", 2 * SLICE - 1);
    client.get_with("/a", &[("range", &middle)]).await;
    settled(&node).await;
    let asked = origin.count();
    let only = ("cache-control", "only-if-cached");
    let reply = client.get_with("/a", &[only, ("range", &middle)]).await;
    assert_eq!(reply.status, 206);
    assert_eq!(reply.body, content.slice(SLICE..2 * SLICE));
    let reply = client.get_with("/a", &[only]).await;
    assert_eq!(reply.status, 504);
    assert_eq!(origin.count(), asked);
    client.get("/a").await;
    settled(&node).await;
    let asked = origin.count();
    let reply = client.get_with("/a", &[only]).await;
    assert_eq!(reply.body, content);
    assert_eq!(origin.count(), asked);
}

#[tokio::test]
async fn range_costs_the_slices_that_it_lies_in() {
    let all = content(10 * SLICE, 0);
    let origin = Resource::new(&all).origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    let total = all.len();
    let near_end = total - 10;
    let rows = [
        (
            format!("bytes={}-{}", 2 * SLICE - 5, 2 * SLICE + 4),
            2 * SLICE - 5..2 * SLICE + 5,
            vec![1, 2],
        ),
        (
            format!("bytes={}-{}", 2 * SLICE, 2 * SLICE),
            2 * SLICE..2 * SLICE + 1,
            vec![],
        ),
        (format!("bytes={near_end}-"), near_end..total, vec![9]),
        // Of a suffix the first slice tells where it begins.
        ("bytes=-20".to_owned(), total - 20..total, vec![0]),
        (
            format!("bytes={near_end}-{}", 2 * total),
            near_end..total,
            vec![],
        ),
        ("bytes=0-0".to_owned(), 0..1, vec![]),
    ];
    for (range, part, slices) in rows {
        let before = origin.count();
        let reply = client.get_with("/a", &[("range", range.as_str())]).await;
        assert_eq!(reply.status, 206, "{range}");
        assert_eq!(reply.body, all.slice(part.clone()), "{range}");
        let expected = format!("bytes {}-{}/{total}", part.start, part.end - 1);
        assert_eq!(reply.field("content-range"), expected);
        settled(&node).await;
        assert_eq!(asked(&origin, before), slices, "{range}");
    }
    let reply = client.get_with("/a", &[("range", "bytes=99999999-")]).await;
    assert_eq!(reply.status, 416);
    assert_eq!(reply.field("content-range"), format!("bytes */{total}"));
    let fields = [("range", "bytes=0-1"), ("if-none-match", "\"a\"")];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!((reply.status.as_u16(), reply.body.len()), (304, 0));
    let fields = [("range", "bytes=0-1"), ("if-range", "\"b\"")];
    let reply = client.get_with("/a", &fields).await;
    assert_eq!((reply.status.as_u16(), reply.body), (200, all));
}

#[tokio::test]
async fn body_larger_than_an_object_may_be_is_stored_in_slices() {
    let all = content(40 * SLICE, 0);
    let origin = Resource::new(&all).origin().await;
    let settings = "memory = \"8MiB\"\nmax_object = \"128KiB\"";
    let node = node_in_slices(&origin, settings).await;
    for mut client in clients(&node, 2).await {
        let reply = client.get("/a").await;
        assert_eq!(reply.body, all);
        settled(&node).await;
    }
    assert_eq!(origin.count(), 40);
    assert!(stats(&node).bytes_peak < 8 * 1024 * KIB as u64);
}

#[tokio::test]
async fn origin_that_knows_no_ranges_is_asked_once() {
    let all = content(2 * SLICE, 0);
    let body = all.clone();
    let origin = Origin::start(move |_| {
        let body = body.clone();
        async move { respond(200, &[("cache-control", "max-age=60")], body) }
    })
    .await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    let range = format!("bytes={}-", 2 * SLICE - 3);
    let reply = client.get_with("/a", &[("range", range.as_str())]).await;
    assert_eq!(reply.status, 206);
    assert_eq!(reply.body, all.slice(2 * SLICE - 3..));
    settled(&node).await;
    let reply = client.get("/a").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.body, all);
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn what_may_not_be_stored_is_not_sliced() {
    let all = content(2 * SLICE, 0);
    let resource = Resource::new(&all);
    resource.set_cache_control("no-store");
    let origin = resource.origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    let reply = client.get("/a").await;
    assert_eq!((reply.status.as_u16(), reply.body), (200, all));
    let ranges: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.field("range").is_some())
        .collect();
    assert_eq!(ranges, [true, false]);
}

/// RFC 9111 3.4: nothing says that slices without a strong validator belong together.
#[tokio::test]
async fn without_a_strong_validator_the_whole_is_asked_for() {
    let all = content(2 * SLICE, 0);
    let resource = Resource::new(&all);
    resource.replace(&all, "W/\"a\"");
    let origin = resource.origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    // One slice is enough for this.
    let reply = client.get_with("/a", &[("range", "bytes=0-9")]).await;
    assert_eq!((reply.status.as_u16(), reply.body), (206, all.slice(..10)));
    settled(&node).await;
    let reply = client.get("/a").await;
    assert_eq!((reply.status.as_u16(), reply.body), (200, all));
    let ranges: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.field("range").is_some())
        .collect();
    assert_eq!(ranges, [true, false]);
}

#[tokio::test]
async fn stale_slices_are_validated_by_themselves() {
    let all = content(2 * SLICE, 0);
    let resource = Resource::new(&all);
    resource.set_cache_control("max-age=0");
    let origin = resource.origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    for _ in 0..2 {
        let reply = client.get("/a").await;
        assert_eq!((reply.status.as_u16(), &reply.body), (200, &all));
        settled(&node).await;
    }
    assert_eq!(asked(&origin, 0), [0, 1, 0, 1]);
    let validated = origin.requests()[2..]
        .iter()
        .all(|request| request.field("if-none-match") == Some("\"a\""));
    assert!(validated);
}

#[tokio::test]
async fn stale_slices_answer_while_they_are_validated_rfc_5861_3() {
    let all = content(2 * SLICE, 0);
    let resource = Resource::new(&all);
    resource.set_cache_control("max-age=0, stale-while-revalidate=600");
    let gate = Gate::closed();
    let (answers, held) = (resource.clone(), gate.clone());
    let origin = Origin::start(move |request| {
        let (resource, gate) = (answers.clone(), held.clone());
        async move {
            if request.field("if-none-match").is_some() {
                gate.pass().await;
            }
            resource.answer(&request)
        }
    })
    .await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    assert_eq!(client.get("/a").await.body, all);
    settled(&node).await;
    resource.set_cache_control("max-age=600");
    // The origin does not answer, and nobody waits for it.
    let reply = client.get("/a").await;
    assert_eq!((reply.status.as_u16(), &reply.body), (200, &all));
    assert_cache(&reply, "hit detail=stale-while-revalidate");
    eventually("both are validated", async || origin.count() == 4).await;
    for request in &origin.requests()[2..] {
        assert_eq!(request.field("if-none-match"), Some("\"a\""));
        assert!(request.field("range").is_some());
    }
    gate.open();
    eventually("both are fresh again", async || {
        let reply = client.get("/a").await;
        assert_eq!(reply.body, all);
        !reply.cache_status().contains("detail")
    })
    .await;
    let settled = "verge_limit_in_use{limit=\"background-validations\"}";
    node.settles(settled, 0.0).await;
    assert_eq!(client.get("/a").await.body, all);
    assert_eq!(origin.count(), 4, "one validation each");
}

#[tokio::test]
async fn requests_for_a_slice_are_collapsed() {
    const CLIENTS: usize = 8;
    let all = content(2 * SLICE, 0);
    let (resource, gate) = (Resource::new(&all), Gate::closed());
    let held = gate.clone();
    let origin = Origin::start(move |request| {
        let (resource, gate) = (resource.clone(), held.clone());
        async move {
            gate.pass().await;
            resource.answer(&request)
        }
    })
    .await;
    let node = node_in_slices(&origin, "").await;
    let replies =
        clients(&node, CLIENTS)
            .await
            .into_iter()
            .enumerate()
            .map(|(at, mut client)| async move {
                // Each another part, and one slice.
                let range = format!("bytes={at}-{}", at + 9);
                client.get_with("/a", &[("range", range.as_str())]).await
            });
    let open = async {
        following(&node, CLIENTS as u64 - 1).await;
        gate.open();
    };
    let (replies, ()) = tokio::join!(futures_util::future::join_all(replies), open);
    for (at, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.status, 206);
        assert_eq!(reply.body, all.slice(at..at + 10));
    }
    assert_eq!(asked(&origin, 0), [0]);
}

#[tokio::test]
async fn one_slice_is_fetched_ahead() {
    let all = content(512 * SLICE, 0);
    let origin = Resource::new(&all).origin().await;
    let node = node_in_slices(&origin, "").await;
    let mut client = connect(&node).await;
    let (head, body) = begin_with(&mut client, "/a", &[]).await;
    assert_eq!(head.status, 200);
    eventually("the next slice is asked for", async || origin.count() >= 2).await;
    // A client that reads nothing is sent what its connection takes, and no more is fetched.
    let taken = origin.count();
    assert!(taken < 512, "{taken} slices for nobody");
    drop(body);
}
