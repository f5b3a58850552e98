//! Pieces of responses that are not stored whole: kept, put together, completed,
//! bounded; and what a route has asked of the origin.

use parking_lot::Mutex;
use verge_tests::origin::{respond, respond_in_steps};
use verge_tests::{Origin, TestNode};

use super::kit::{
    Gate, Steps, assert_cache, begin, begin_with, clients, expect, expect_failure, node_with, send,
    settled, stats,
};
use super::ranges::{TYPED, connect};

/// Holds what sends a response; dropping it cuts the response.
type Held = std::sync::Arc<Mutex<Option<Steps>>>;

/// Answers `bytes=5-` under If-Range with the rest, and the whole up to there.
async fn origin_that_is_cut(held: &Held) -> Origin {
    let held = std::sync::Arc::clone(held);
    Origin::start(move |request| {
        let held = std::sync::Arc::clone(&held);
        async move {
            if request.field("range") == Some("bytes=5-") {
                assert_eq!(request.field("if-range"), Some("\"a\""));
                let fields = [
                    ("cache-control", "max-age=60"),
                    ("content-range", "bytes 5-9/10"),
                    ("etag", "\"a\""),
                ];
                return respond(206, &fields, "56789");
            }
            let (steps, response) = respond_in_steps(200, TYPED);
            send(&steps, "01234");
            *held.lock() = Some(steps);
            response
        }
    })
    .await
}

#[tokio::test]
async fn content_that_was_cut_is_completed_by_asking_for_the_rest() {
    let held = Held::default();
    let origin = origin_that_is_cut(&held).await;
    let node = TestNode::before(&origin).await;
    let mut client = connect(&node).await;
    let (head, mut body) = begin(&mut client, "/a").await;
    assert_eq!(head.status, 200);
    expect(&mut body, "01234").await;
    held.lock().take();
    expect_failure(&mut body).await;
    settled(&node).await;
    // What has come is there, and is never taken for the whole.
    let reply = client.get_with("/a", &[("range", "bytes=1-3")]).await;
    assert_cache(&reply, "hit");
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (206, "123"));
    let reply = client.get("/a").await;
    assert_cache(&reply, "fwd=partial fwd-status=206 stored");
    assert_eq!(
        (reply.status.as_u16(), reply.text().as_str()),
        (200, "0123456789")
    );
    assert_eq!(reply.field("content-length"), "10");
    assert_eq!(reply.field("content-type"), "text/x");
    settled(&node).await;
    let reply = client.get("/a").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.text(), "0123456789");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn part_that_was_cut_is_not_stored() {
    let fields: &[(&str, &str)] = &[
        ("cache-control", "max-age=60"),
        ("content-range", "bytes 0-9/20"),
        ("content-length", "10"),
    ];
    let held = Held::default();
    let steps = std::sync::Arc::clone(&held);
    let origin = Origin::start(move |_| {
        let (sender, response) = respond_in_steps(206, fields);
        send(&sender, "01234");
        *steps.lock() = Some(sender);
        async move { response }
    })
    .await;
    let node = TestNode::before(&origin).await;
    let mut client = connect(&node).await;
    for count in 1..3 {
        let asked = [("range", "bytes=0-9")];
        let (head, mut body) = begin_with(&mut client, "/a", &asked).await;
        assert_eq!(head.status, 206);
        expect(&mut body, "01234").await;
        held.lock().take();
        expect_failure(&mut body).await;
        settled(&node).await;
        assert_eq!((origin.count(), stats(&node).entries), (count, 0));
    }
}

#[tokio::test]
async fn requests_for_one_part_are_collapsed() {
    const CLIENTS: usize = 20;
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |_| {
        let gate = held.clone();
        async move {
            gate.pass().await;
            let fields = [
                ("cache-control", "max-age=60"),
                ("content-range", "bytes 0-4/10"),
            ];
            respond(206, &fields, "01234")
        }
    })
    .await;
    let node = TestNode::before(&origin).await;
    let asked = clients(&node, CLIENTS).await.into_iter();
    let replies = asked
        .map(|mut client| async move { client.get_with("/a", &[("range", "bytes=0-4")]).await });
    let open = async {
        super::kit::following(&node, CLIENTS as u64 - 1).await;
        gate.open();
    };
    let (replies, ()) = tokio::join!(futures_util::future::join_all(replies), open);
    for reply in replies {
        assert_eq!(
            (reply.status.as_u16(), reply.text().as_str()),
            (206, "01234")
        );
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn parts_are_bounded_like_everything_stored() {
    let origin = Origin::start(async |request| {
        let first: u64 = request.path()[1..].parse().unwrap();
        let range = format!("bytes {first}-{}/1000000000", first + 99_999);
        let fields = [
            ("cache-control", "max-age=60"),
            ("content-range", range.as_str()),
            ("etag", "\"a\""),
        ];
        respond(206, &fields, vec![b'x'; 100_000])
    })
    .await;
    let node = node_with(&origin, "memory = \"4MiB\"\nmax_object = \"1MiB\"").await;
    let mut client = connect(&node).await;
    for index in 0..80_u64 {
        let first = index * 200_000;
        let range = format!("bytes={first}-{}", first + 99_999);
        let path = format!("/{first}");
        let reply = client.get_with(&path, &[("range", range.as_str())]).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (206, 100_000));
    }
    settled(&node).await;
    let stats = stats(&node);
    assert!(stats.bytes_peak <= 4 * 1024 * 1024, "{}", stats.bytes_peak);
    assert!(stats.entries > 0);
}

#[tokio::test]
async fn route_says_what_is_asked_of_the_origin() {
    let origin = Origin::start(async |request| match request.field("range") {
        Some("bytes=0-4") => {
            let fields = [
                ("cache-control", "max-age=60"),
                ("content-range", "bytes 0-4/10"),
            ];
            respond(206, &fields, "01234")
        }
        Some(_) => respond(400, &[], ""),
        None => respond(200, TYPED, "0123456789"),
    })
    .await;
    for (policy, second, asked) in [
        ("pieces", "hit", vec![Some("bytes=0-4")]),
        ("whole", "hit", vec![None]),
        (
            "pass",
            "fwd=uri-miss !stored",
            vec![Some("bytes=0-4"), Some("bytes=0-4")],
        ),
    ] {
        let toml = format!(
            "{}ranges = \"{policy}\"\n",
            verge_tests::node::route_to(&origin)
        );
        let node = TestNode::start(&toml).await;
        let mut client = connect(&node).await;
        let before = origin.count();
        for words in ["fwd=uri-miss", second] {
            let reply = client.get_with("/a", &[("range", "bytes=0-4")]).await;
            assert_eq!(
                (reply.status.as_u16(), reply.text().as_str()),
                (206, "01234")
            );
            assert_eq!(reply.field("content-range"), "bytes 0-4/10");
            assert_cache(&reply, words);
            settled(&node).await;
        }
        let requests = origin.requests();
        let found: Vec<_> = requests[before..]
            .iter()
            .map(|request| request.field("range"))
            .collect();
        assert_eq!(found, asked, "{policy}");
    }
}

/// An origin of thirty bytes that answers one range with that part.
async fn thirty(tag: &std::sync::Arc<Mutex<&'static str>>) -> Origin {
    let tag = std::sync::Arc::clone(tag);
    Origin::start(move |request| {
        let tag = *tag.lock();
        async move {
            let fields = [("cache-control", "max-age=60"), ("etag", tag)];
            let content = "abcdefghijklmnopqrstuvwxyz0123".replace('a', &tag[1..2]);
            let held = request.field("if-range").is_none_or(|held| held == tag);
            let Some(range) = request.field("range").filter(|_| held) else {
                return respond(200, &fields, content);
            };
            let (first, last) = range
                .strip_prefix("bytes=")
                .unwrap()
                .split_once('-')
                .unwrap();
            let first: usize = first.parse().unwrap();
            let last = last.parse().unwrap_or(29_usize);
            let range = format!("bytes {first}-{last}/30");
            let fields = [fields[0], fields[1], ("content-range", range.as_str())];
            respond(206, &fields, content[first..=last].to_owned())
        }
    })
    .await
}

fn ranges(origin: &Origin) -> Vec<String> {
    let requests = origin.requests();
    let ranges = requests.iter().map(|request| request.field("range"));
    let mut ranges: Vec<String> = ranges.map(|range| range.unwrap_or("").to_owned()).collect();
    // Gaps behind the first one are asked for at once.
    ranges.get_mut(2..).into_iter().for_each(<[String]>::sort);
    ranges
}

#[tokio::test]
async fn only_what_is_missing_is_asked_for_rfc_9111_3_4() {
    let tag = std::sync::Arc::new(Mutex::new("\"a\""));
    let origin = thirty(&tag).await;
    let node = node_with(&origin, "gaps_apart = \"0B\"").await;
    let mut client = connect(&node).await;
    let reply = client.get_with("/a", &[("range", "bytes=10-14")]).await;
    assert_eq!(reply.text(), "klmno");
    settled(&node).await;
    let reply = client.get_with("/a", &[("range", "bytes=5-24")]).await;
    assert_eq!(reply.status.as_u16(), 206);
    assert_eq!(reply.text(), "fghijklmnopqrstuvwxy");
    assert_eq!(reply.field("content-range"), "bytes 5-24/30");
    assert_cache(&reply, "fwd=partial fwd-status=206 stored");
    assert_eq!(ranges(&origin), ["bytes=10-14", "bytes=5-9", "bytes=15-24"]);
    settled(&node).await;
    let reply = client.get("/a").await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(reply.text(), "abcdefghijklmnopqrstuvwxyz0123");
    assert_eq!(reply.field("content-length"), "30");
    assert_eq!(
        ranges(&origin)[2..],
        ["bytes=0-4", "bytes=15-24", "bytes=25-"]
    );
    settled(&node).await;
    let reply = client.get("/a").await;
    assert_cache(&reply, "hit");
    assert_eq!(reply.text(), "abcdefghijklmnopqrstuvwxyz0123");
    assert_eq!(origin.count(), 5);
}

#[tokio::test]
async fn gaps_near_to_each_other_are_asked_for_together() {
    let tag = std::sync::Arc::new(Mutex::new("\"a\""));
    let origin = thirty(&tag).await;
    let node = node_with(&origin, "gaps_apart = \"6B\"").await;
    let mut client = connect(&node).await;
    for part in ["bytes=2-9", "bytes=12-16", "bytes=20-25"] {
        client.get_with("/a", &[("range", part)]).await;
        settled(&node).await;
    }
    // Five stored bytes lie between the second and the third gap, six and more elsewhere.
    let reply = client.get("/a").await;
    assert_eq!(reply.text(), "abcdefghijklmnopqrstuvwxyz0123");
    assert_eq!(
        ranges(&origin)[2..],
        ["bytes=0-1", "bytes=10-19", "bytes=20-25", "bytes=26-"]
    );
    settled(&node).await;
    assert_cache(&client.get("/a").await, "hit");
}

#[tokio::test]
async fn gaps_of_another_representation_are_not_mixed_in() {
    let tag = std::sync::Arc::new(Mutex::new("\"a\""));
    let origin = thirty(&tag).await;
    let node = node_with(&origin, "gaps_apart = \"0B\"").await;
    let mut client = connect(&node).await;
    client.get_with("/a", &[("range", "bytes=10-14")]).await;
    settled(&node).await;
    *tag.lock() = "\"b\"";
    // RFC 9110 13.1.5: the origin sends what it has now, and all of it.
    let reply = client.get_with("/a", &[("range", "bytes=0-24")]).await;
    assert_eq!(reply.field("etag"), "\"b\"");
    assert_eq!(reply.text(), "bbcdefghijklmnopqrstuvwxy");
    settled(&node).await;
    assert_cache(&client.get("/a").await, "hit");
    assert_eq!(origin.count(), 2);
}
