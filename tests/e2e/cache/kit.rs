//! What the tests of the cache share: gates that hold an origin, bodies read
//! piece by piece, many clients at once.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use verge_cache::CacheStats;
use verge_tests::client::{collect, empty};
use verge_tests::origin::{respond, respond_in_steps};
use verge_tests::{Client, Origin, PATIENCE, Recorded, Reply, TestNode, eventually, node};

pub(super) const MINUTE: &[(&str, &str)] = &[("cache-control", "max-age=60")];

/// Holds whoever passes until the test opens it.
#[derive(Clone)]
pub(super) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(super) fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(super) async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    /// Lets everyone through from now on.
    pub(super) fn open(&self) {
        self.0.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

/// An origin that holds the requests that `is_held` says at a gate, and answers all alike.
pub(super) async fn gated(is_held: fn(&Recorded) -> bool) -> (Gate, Origin) {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::start(move |request| {
        let held = held.clone();
        async move {
            if is_held(&request) {
                held.pass().await;
            }
            respond(200, MINUTE, "content")
        }
    })
    .await;
    (gate, origin)
}

/// What sends the content of one response.
pub(super) type Steps = mpsc::UnboundedSender<Option<Bytes>>;

/// An origin whose responses the test sends piece by piece, in the order in
/// which they were asked for.
pub(super) struct SteppedOrigin {
    pub(super) origin: Origin,
    steps: Mutex<mpsc::UnboundedReceiver<Steps>>,
}

impl SteppedOrigin {
    pub(super) async fn start(fields: &'static [(&'static str, &'static str)]) -> Self {
        let (told, steps) = mpsc::unbounded_channel();
        let origin = Origin::start(move |_| {
            let told = told.clone();
            async move {
                let (steps, response) = respond_in_steps(200, fields);
                told.send(steps).unwrap();
                response
            }
        })
        .await;
        Self {
            origin,
            steps: Mutex::new(steps),
        }
    }

    /// The response that was asked for next.
    pub(super) async fn asked(&self) -> Steps {
        let mut found = None;
        eventually("the origin is asked", async || {
            found = self.steps.lock().try_recv().ok();
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

pub(super) fn send(steps: &Steps, piece: &'static str) {
    steps
        .send(Some(Bytes::from_static(piece.as_bytes())))
        .unwrap();
}

pub(super) fn finish(steps: &Steps) {
    steps.send(None).unwrap();
}

/// The head of the response to a GET; its content is read from the second part.
pub(super) async fn begin(client: &mut Client, path: &str) -> (Reply, Incoming) {
    begin_with(client, path, &[]).await
}

pub(super) async fn begin_with(
    client: &mut Client,
    path: &str,
    fields: &[(&str, &str)],
) -> (Reply, Incoming) {
    let response = client.begin("GET", path, fields, empty()).await.unwrap();
    let (head, body) = response.into_parts();
    let reply = Reply {
        status: head.status,
        fields: head.headers,
        body: Bytes::new(),
        trailers: None,
    };
    (reply, body)
}

/// Reads exactly `expected`, however it is cut.
pub(super) async fn expect(body: &mut Incoming, expected: &str) {
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let frame = timeout(PATIENCE, body.frame()).await;
        let frame = frame.expect("content within the patience of the tests");
        let frame = frame.expect("more content").unwrap();
        read.extend_from_slice(&frame.into_data().unwrap());
    }
    assert_eq!(String::from_utf8(read).unwrap(), expected);
}

pub(super) async fn expect_end(body: &mut Incoming) {
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.unwrap() {
        // HTTP/2 may end with a DATA frame that is empty.
        let data = frame.unwrap().into_data().unwrap();
        assert_eq!(data, Bytes::new());
    }
}

/// The content ends before its end.
pub(super) async fn expect_failure(body: &mut Incoming) {
    loop {
        match timeout(PATIENCE, body.frame()).await.unwrap() {
            Some(Ok(_)) => {}
            Some(Err(_)) => return,
            None => panic!("the content ended as if it were complete"),
        }
    }
}

/// As many clients as asked for, each on a connection of its own; every other
/// one speaks HTTP/2.
pub(super) async fn clients(node: &TestNode, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for index in 0..count {
        let mut client = if index % 2 == 0 {
            Client::http1(node.http()).await
        } else {
            Client::h2c(node.http()).await
        };
        client.set_authority("shop.example");
        clients.push(client);
    }
    clients
}

/// All of them ask at once.
pub(super) fn ask_all(
    clients: Vec<Client>,
    path: &'static str,
) -> tokio::task::JoinHandle<Vec<Reply>> {
    tokio::spawn(async move {
        let replies = clients
            .into_iter()
            .map(|mut client| async move { client.get(path).await });
        join_all(replies).await
    })
}

pub(super) fn stats(node: &TestNode) -> CacheStats {
    node.state().cache.stats()
}

/// A response is found once its fill has ended, a moment after its last byte.
pub(super) async fn settled(node: &TestNode) {
    eventually("the fills have ended", async || {
        stats(node).fills_in_progress == 0
    })
    .await;
}

pub(super) async fn following(node: &TestNode, count: u64) {
    eventually("the requests are collapsed", async || {
        stats(node).collapsed >= count
    })
    .await;
}

pub(super) async fn asked(origin: &Origin, count: usize) {
    eventually("the origin is asked", async || origin.count() >= count).await;
}

/// A node with these keys in `[cache]` in front of `origin`.
pub(super) async fn node_with(origin: &Origin, cache: &str) -> TestNode {
    let toml = format!("[cache]\n{cache}\n{}", node::route_to(origin));
    TestNode::start(&toml).await
}

/// The rest of a response that was begun.
pub(super) async fn rest(body: Incoming) -> hyper::Result<Bytes> {
    Ok(collect(http::Response::new(body)).await?.body)
}

/// Asserts that our member of Cache-Status has these words, or with `!` has not.
#[track_caller]
pub(super) fn assert_cache(reply: &Reply, words: &str) {
    let status = reply.cache_status();
    let ours = status.rsplit("verge").next().unwrap_or_default();
    let has: Vec<&str> = ours.split(';').map(str::trim).collect();
    for word in words.split_whitespace() {
        match word.strip_prefix('!') {
            Some(word) => assert!(!has.contains(&word), "{status:?} has {word}"),
            None => assert!(has.contains(&word), "{status:?} has no {word}"),
        }
    }
}
