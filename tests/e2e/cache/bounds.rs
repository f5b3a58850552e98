//! Bounds: the object limit, the window behind it, and the bytes of the ledger.

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use verge_tests::client::read_to_close;
use verge_tests::origin::{CutShort, OriginResponse, respond};
use verge_tests::{Client, Origin, Reply, TestNode};

use super::kit::{
    MINUTE, SteppedOrigin, assert_cache, begin, clients, finish, node_with, rest, settled, stats,
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const PIECE: usize = 16 * 1024;

/// Content of `length` bytes, made as fast as it is taken, without a Content-Length.
fn endless(length: u64, fields: &[(&str, &str)]) -> OriginResponse {
    let pieces = (0..length / PIECE as u64).map(|index| {
        let piece = vec![b'a' + (index % 26) as u8; PIECE];
        Ok::<_, CutShort>(http_body::Frame::data(Bytes::from(piece)))
    });
    let body = StreamBody::new(futures_util::stream::iter(pieces));
    let mut response = http::Response::new(body.boxed_unsync());
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn assert_content(content: &[u8], length: u64) {
    assert_eq!(content.len() as u64, length);
    for (index, piece) in content.chunks(PIECE).enumerate() {
        let letter = b'a' + (index % 26) as u8;
        assert!(piece.iter().all(|byte| *byte == letter), "piece {index}");
    }
}

const SMALL: &str = "memory = \"8MiB\"\nmax_object = \"512KiB\"\nfill_window = \"256KiB\"";

#[tokio::test]
async fn past_the_object_limit_content_passes_through_a_window() {
    const LENGTH: u64 = 32 * MIB;
    let origin = Origin::start(async |_| endless(LENGTH, &[("cache-control", "max-age=60")])).await;
    let node = node_with(&origin, SMALL).await;
    for mut client in clients(&node, 2).await {
        let before = origin.count();
        let reply = client.get("/a").await;
        assert_content(&reply.body, LENGTH);
        settled(&node).await;
        assert_eq!(origin.count(), before + 1);
    }
    let stats = stats(&node);
    assert_eq!(
        (stats.entries, stats.bytes, stats.fills_given_up),
        (0, 0, 2)
    );
    // The object limit, the window, and a little for their bookkeeping.
    assert!(stats.bytes_peak < 1024 * KIB, "{}", stats.bytes_peak);
    assert_eq!(
        stats.uncollapsible, 1,
        "and the next ones are not collapsed"
    );
}

#[tokio::test]
async fn content_that_says_that_it_is_too_large_is_not_begun_to_be_stored() {
    let origin = Origin::start(async |request| match request.field("range") {
        Some(_) => respond(206, &[("content-range", "bytes 0-9/614400")], "0123456789"),
        None => respond(
            200,
            &[("cache-control", "max-age=60")],
            vec![b'x'; 600 * 1024],
        ),
    })
    .await;
    let node = node_with(&origin, SMALL).await;
    let mut client = clients(&node, 1).await.remove(0);
    let reply = client.get("/a").await;
    assert_eq!(reply.body.len(), 600 * 1024);
    assert_cache(
        &reply,
        "fwd=uri-miss fwd-status=200 !stored detail=object-too-large",
    );
    let stats = stats(&node);
    assert_eq!((stats.entries, stats.bytes, stats.fills), (0, 0, 0));
    // Nothing but why it is not stored, and that it is not collapsed.
    assert_eq!(stats.bytes_peak, stats.table_bytes);
    // A part of it costs a part of it.
    let fields = [("range", "bytes=0-9")];
    for _ in 0..2 {
        let reply = client.get_with("/other", &fields).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (206, 10));
        assert_eq!(reply.field("content-range"), "bytes 0-9/614400");
        assert_cache(&reply, "fwd=uri-miss fwd-status=206 !stored");
    }
    let asked = origin.requests();
    let ranges: Vec<_> = asked.iter().map(|request| request.field("range")).collect();
    assert_eq!(ranges, [None, Some("bytes=0-9"), Some("bytes=0-9")]);
}

/// Asks, and reads nothing, over a connection that holds little.
async fn stuck(node: &TestNode) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut stream = socket.connect(node.http()).await.unwrap();
    let request = b"GET /a HTTP/1.1\r\nhost: shop.example\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

#[tokio::test]
async fn reader_that_falls_out_of_the_window_is_cut() {
    // All of the first part is kept, and is more than the buffers of a connection hold:
    // so the reader that is stuck is behind the other one when the window begins to move.
    const KEPT: u64 = 12 * MIB;
    const LENGTH: u64 = 48 * MIB;
    let stepped = SteppedOrigin::start(MINUTE).await;
    let settings = "memory = \"32MiB\"\nmax_object = \"14MiB\"\nfill_window = \"256KiB\"";
    let node = node_with(&stepped.origin, settings).await;
    let mut stuck = stuck(&node).await;
    let steps = stepped.asked().await;
    let push = |length: u64| {
        for _ in 0..length / PIECE as u64 {
            let piece = Bytes::from(vec![b'x'; PIECE]);
            steps.send(Some(piece)).unwrap();
        }
    };
    push(KEPT);
    let mut client = clients(&node, 1).await.remove(0);
    let (head, mut quick) = begin(&mut client, "/a").await;
    assert_cache(&head, "collapsed");
    let mut read = 0;
    while read < KEPT {
        let frame = quick.frame().await.unwrap().unwrap();
        read += frame.into_data().unwrap().len() as u64;
    }
    push(LENGTH - KEPT);
    finish(&steps);
    assert_eq!(rest(quick).await.unwrap().len() as u64, LENGTH - KEPT);
    // What the kernel took before, then the cut: no last chunk.
    let got = read_to_close(&mut stuck).await;
    assert!(got.starts_with("HTTP/1.1 200 OK"), "{}", &got[..32]);
    assert!((got.len() as u64) < KEPT, "{} bytes", got.len());
    assert!(!got.ends_with("\r\n0\r\n\r\n"));
    settled(&node).await;
    let stats = stats(&node);
    assert!(stats.bytes_peak < 16 * MIB, "{}", stats.bytes_peak);
    verge_tests::eventually("the cut is logged", async || {
        let log = node.access_log();
        log.iter()
            .any(|line| line.to_string().contains("reader-too-slow"))
    })
    .await;
}

#[tokio::test]
async fn lone_slow_reader_slows_the_origin_and_costs_a_window() {
    const LENGTH: u64 = 64 * MIB;
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&taken);
    let origin = Origin::start(move |_| {
        let counted = std::sync::Arc::clone(&counted);
        async move {
            let pieces = (0..LENGTH / PIECE as u64).map(move |_| {
                counted.fetch_add(PIECE as u64, std::sync::atomic::Ordering::Relaxed);
                Ok::<_, CutShort>(http_body::Frame::data(Bytes::from(vec![b'x'; PIECE])))
            });
            let body = StreamBody::new(futures_util::stream::iter(pieces));
            let mut response = http::Response::new(body.boxed_unsync());
            let value = http::HeaderValue::from_static("max-age=60");
            response.headers_mut().insert("cache-control", value);
            response
        }
    })
    .await;
    let node = node_with(&origin, SMALL).await;
    let mut client = clients(&node, 1).await.remove(0);
    let (_, body) = begin(&mut client, "/a").await;
    verge_tests::eventually("the fill has given up", async || {
        stats(&node).fills_given_up == 1
    })
    .await;
    assert_eq!(rest(body).await.unwrap().len() as u64, LENGTH);
    assert_eq!(taken.load(std::sync::atomic::Ordering::Relaxed), LENGTH);
    let stats = stats(&node);
    assert!(stats.bytes_peak < 1024 * KIB, "{}", stats.bytes_peak);
}

#[tokio::test]
async fn ledger_bounds_what_is_stored_and_what_is_being_filled() {
    const LENGTH: u64 = 512 * KIB;
    let origin = Origin::start(async |_| endless(LENGTH, &[("cache-control", "max-age=60")])).await;
    let node = node_with(&origin, "memory = \"4MiB\"\nmax_object = \"1MiB\"").await;
    let ask = async |mut client: Client, first: usize| {
        let mut replies: Vec<Reply> = Vec::new();
        for index in 0..8 {
            replies.push(client.get(&format!("/{}", first + index)).await);
        }
        replies
    };
    let asked = clients(&node, 6).await.into_iter().enumerate();
    let replies = join_all(asked.map(|(index, client)| ask(client, index * 8))).await;
    for reply in replies.iter().flatten() {
        assert_content(&reply.body, LENGTH);
    }
    settled(&node).await;
    let stats = stats(&node);
    assert!(stats.bytes_peak <= 4 * MIB, "{}", stats.bytes_peak);
    assert!(stats.bytes_peak > MIB, "{}", stats.bytes_peak);
    assert!(stats.evictions > 0);
    assert!(stats.entries > 0);
    let bytes = node.metric("verge_cache_bytes").await;
    assert!(bytes > 0.0 && bytes <= node.metric("verge_cache_limit_bytes").await);
    node.settles("verge_cache_limit_bytes", (4 * MIB) as f64)
        .await;
}

#[tokio::test]
async fn evictions_are_counted_for_the_site_that_lost_a_response() {
    let origin = Origin::start(async |_| {
        respond(200, &[("cache-control", "max-age=60")], vec![b'x'; 50_000])
    })
    .await;
    let toml = format!(
        "[cache]\nmemory = \"4MiB\"\n[origin.app]\naddresses = [\"{}\"]\n{}{}",
        origin.address,
        site("red.example"),
        site("blue.example"),
    );
    let node = TestNode::start(&toml).await;
    let mut client = node.client().await;
    let evicted = |name: &str, host: &str| format!("verge_cache_{name}_total{{site=\"{host}\"}}");
    let mut ask = async |host: &str, first: usize, count: usize| {
        for index in first..first + count {
            let path = format!("/{index}");
            client.send("GET", &path, &[("host", host)], "").await;
        }
    };
    // Of the first site's responses some have to go for others of its own.
    ask("red.example", 0, 120).await;
    settled(&node).await;
    let red = node.metric(&evicted("evictions", "red.example")).await;
    assert!(red > 0.0 && red < 120.0, "{red}");
    assert_eq!(
        node.metric(&evicted("evictions", "blue.example")).await,
        0.0
    );
    // Then all that is left of them goes for the second's, and some of those.
    ask("blue.example", 0, 240).await;
    settled(&node).await;
    node.settles(&evicted("evictions", "red.example"), 120.0)
        .await;
    let blue = node.metric(&evicted("evictions", "blue.example")).await;
    assert!(blue > 0.0 && blue < 240.0, "{blue}");
    let stats = stats(&node);
    assert_eq!(stats.evictions as f64, 120.0 + blue);
    assert_eq!(stats.entries as f64, 240.0 - blue);
    for (host, evictions) in [("red.example", 120.0), ("blue.example", blue)] {
        let bytes = node.metric(&evicted("evicted_bytes", host)).await;
        let each = bytes / evictions;
        assert!((50_000.0..70_000.0).contains(&each), "{host}: {each}");
    }
}

fn site(name: &str) -> String {
    format!(
        "[[site]]\nnames = [\"{name}\"]\n[[site.route]]\npath = \"/{{*rest}}\"\norigin = \"app\"\n"
    )
}

#[tokio::test]
async fn fills_in_progress_are_counted() {
    let stepped = SteppedOrigin::start(MINUTE).await;
    let node = node_with(&stepped.origin, "memory = \"4MiB\"\nmax_object = \"1MiB\"").await;
    let mut client = clients(&node, 1).await.remove(0);
    let answered = async {
        let steps = stepped.asked().await;
        steps
            .send(Some(Bytes::from(vec![b'x'; 256 * 1024])))
            .unwrap();
        steps
    };
    let (steps, (_, body)) = tokio::join!(answered, begin(&mut client, "/a"));
    verge_tests::eventually("the content is counted", async || {
        stats(&node).bytes > 256 * KIB
    })
    .await;
    assert_eq!(stats(&node).entries, 0);
    assert!(node.metric("verge_cache_bytes").await > 256.0 * 1024.0);
    node.settles("verge_cache_fills_in_progress", 1.0).await;
    drop(steps);
    assert!(rest(body).await.is_err());
    drop(client);
    verge_tests::eventually("nothing is left of it", async || stats(&node).bytes == 0).await;
}
