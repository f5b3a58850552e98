//! The listener through loopback sockets: a node of a handler that does what
//! the path says, and a client that sends raw bytes.

mod bodies;
mod deadlines;
mod drain;
mod heads;
mod http2;
mod http2_end;
mod limits;
mod streams;
mod tls;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use verge_base::{Clock, Permits};
use verge_http::interim::InterimSender;
use verge_http::{Body, Failure};

use super::*;

/// Longer than anything takes; a test that reaches it has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// A limit that a test wants to reach.
pub(super) const SHORT: Duration = Duration::from_millis(50);

/// Does what the path of the request says.
#[derive(Default)]
pub(super) struct Scripted {
    pub(super) events: Mutex<Vec<ConnectionEvent>>,
    pub(super) refused: Mutex<Vec<&'static str>>,
    /// Requests as `protocol method path`.
    pub(super) requests: Mutex<Vec<String>>,
    pub(super) connections: Mutex<Vec<Arc<ConnectionFacts>>>,
    /// Requests to `/gate` that wait there.
    pub(super) at_gate: Mutex<usize>,
    pub(super) gate: Notify,
}

impl Handler for Scripted {
    type ResponseBody = Body;

    async fn handle(
        &self,
        connection: &Arc<ConnectionFacts>,
        interim: Option<InterimSender>,
        request: Request<Body>,
    ) -> Response<Body> {
        self.connections.lock().push(Arc::clone(connection));
        let path = request.uri().path().to_owned();
        let protocol = connection.protocol.label();
        self.requests
            .lock()
            .push(format!("{protocol} {} {path}", request.method()));
        match path.as_str() {
            "/echo" => echo(request.into_body()).await,
            "/gate" => {
                let _place = AtGate::enter(&self.at_gate);
                self.gate.notified().await;
                Response::new(Body::from("through"))
            }
            "/hints" => {
                hint(interim.as_ref());
                self.gate.notified().await;
                hint(interim.as_ref());
                Response::new(Body::from("through"))
            }
            "/back" => Response::new(request.into_body()),
            "/connection" => {
                let mut response = Response::new(Body::from("ok"));
                for (name, value) in [
                    ("connection", "x-hop"),
                    ("keep-alive", "timeout=5"),
                    ("x-hop", "1"),
                    ("x-kept", "1"),
                ] {
                    let value = HeaderValue::from_static(value);
                    response.headers_mut().insert(name, value);
                }
                response
            }
            "/large" => Response::new(Body::from(Bytes::from(vec![b'x'; 8 << 20]))),
            "/tail" => Response::new(Body::from(Bytes::from(vec![b'x'; 30_000]))),
            "/drops" => Response::new(Body::stream(Drops(1_000))),
            "/panic" => panic!("as the test asked"),
            "/panic-body" => Response::new(Body::stream(Panicking(false))),
            "/status-100" => {
                let mut response = Response::new(Body::Empty);
                *response.status_mut() = StatusCode::CONTINUE;
                response
            }
            _ => Response::new(Body::from("ok")),
        }
    }

    fn refuse(&self, _connection: &ConnectionFacts, failure: Failure) -> Response<Bytes> {
        self.refused.lock().push(failure.label());
        let mut response = Response::new(Bytes::from(failure.public_explanation()));
        *response.status_mut() = failure.status();
        response
    }

    fn event(&self, event: ConnectionEvent) {
        self.events.lock().push(event);
    }
}

/// So many pieces of four bytes, all there at once.
struct Drops(u32);

impl http_body::Body for Drops {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Some(left) = self.0.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"drop")))))
    }
}

/// A request that waits at the gate.
struct AtGate<'a>(&'a Mutex<usize>);

impl<'a> AtGate<'a> {
    fn enter(count: &'a Mutex<usize>) -> Self {
        *count.lock() += 1;
        Self(count)
    }
}

impl Drop for AtGate<'_> {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
    }
}

/// Passes early hints on, where the client takes them.
fn hint(interim: Option<&InterimSender>) {
    let mut fields = HeaderMap::new();
    fields.insert("link", HeaderValue::from_static("</a>"));
    if let Some(interim) = interim {
        interim.pass(StatusCode::from_u16(103).expect("a status"), &fields);
    }
}

async fn echo(body: Body) -> Response<Body> {
    match body.collect().await {
        Ok(collected) => Response::new(Body::from(collected.to_bytes())),
        Err(failure) => {
            let mut response = Response::new(Body::from(failure.label()));
            *response.status_mut() = failure.status();
            response
        }
    }
}

struct Panicking(bool);

impl http_body::Body for Panicking {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        assert!(!self.0, "as the test asked");
        self.0 = true;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"part")))))
    }
}

/// A running listener.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    pub(super) handler: Arc<Scripted>,
    pub(super) drain: Drain,
    pub(super) admission: Admission,
}

impl Node {
    pub(super) fn start(settings: ListenerSettings) -> Self {
        Self::start_with(settings, None, 1000)
    }

    pub(super) fn start_with(
        settings: ListenerSettings,
        tls: Option<TlsTerminator>,
        connections: usize,
    ) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut bound = bind(loopback, BindOptions::default()).expect("bind loopback");
        let socket = bound.sockets.pop().expect("one socket");
        let socket = tokio::net::TcpListener::from_std(socket).expect("in a runtime");
        let handler = Arc::new(Scripted::default());
        let drain = Drain::new();
        let admission = Admission::new(Permits::new("connections", connections));
        let listener = Listener {
            handler: Arc::clone(&handler),
            settings: Arc::new(ArcSwap::from_pointee(settings)),
            admission: admission.clone(),
            tls,
            drain: drain.clone(),
            clock: Clock::system(),
        };
        tokio::spawn(serve(socket, Arc::new(listener)));
        Self {
            address: bound.address,
            handler,
            drain,
            admission,
        }
    }

    pub(super) async fn connect(&self) -> Client {
        let tcp = TcpStream::connect(self.address).await.expect("connect");
        tcp.set_nodelay(true).expect("nodelay");
        Client {
            tcp,
            read: Vec::new(),
        }
    }

    /// Sends `bytes` on a connection of its own and returns all that comes back.
    pub(super) async fn exchange(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.rest().await
    }

    pub(super) fn has_event(&self, event: ConnectionEvent) -> bool {
        self.handler.events.lock().contains(&event)
    }

    /// The reasons for which connections ended so far.
    pub(super) fn closed(&self) -> Vec<CloseReason> {
        let events = self.handler.events.lock();
        events
            .iter()
            .filter_map(|event| match event {
                ConnectionEvent::Closed { reason, .. } => Some(*reason),
                _ => None,
            })
            .collect()
    }

    /// Waits until so many connections have ended, and returns why.
    pub(super) async fn all_closed(&self, count: usize) -> Vec<CloseReason> {
        eventually(|| self.closed().len() >= count).await;
        self.closed()
    }
}

/// Waits until `condition` holds, or fails.
pub(super) async fn eventually(condition: impl Fn() -> bool) {
    let polled = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, polled)
        .await
        .expect("the condition never held");
}

/// A client that sends what it is told.
pub(super) struct Client {
    tcp: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.tcp.write_all(bytes.as_ref()).await.expect("write");
    }

    /// Sends as much as the server takes.
    pub(super) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.tcp.write_all(bytes.as_ref()).await.is_ok()
    }

    pub(super) async fn end(&mut self) {
        self.tcp.shutdown().await.expect("shutdown");
    }

    async fn more(&mut self) -> usize {
        let mut piece = [0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.tcp.read(&mut piece))
            .await
            .expect("the server fell silent");
        // A reset counts as an end: tests look at what came before.
        let count = read.unwrap_or(0);
        self.read.extend_from_slice(&piece[..count]);
        count
    }

    /// So many bytes.
    pub(super) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert_ne!(self.more().await, 0, "closed too early");
        }
        self.read.drain(..count).collect()
    }

    /// One response with a Content-Length, as text.
    pub(super) async fn response(&mut self) -> String {
        loop {
            if let Some(length) = response_length(&self.read) {
                let response = self.read.drain(..length).collect();
                return String::from_utf8(response).expect("ASCII");
            }
            assert_ne!(self.more().await, 0, "closed within a response");
        }
    }

    /// Everything until the server closes.
    pub(super) async fn rest(&mut self) -> String {
        while self.more().await > 0 {}
        String::from_utf8(std::mem::take(&mut self.read)).expect("ASCII")
    }

    /// Everything until the server closes.
    pub(super) async fn rest_bytes(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.read)
    }
}

fn response_length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("ASCII");
    let length: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("number"));
    (bytes.len() >= head + length).then_some(head + length)
}

pub(super) const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

pub(super) fn status(response: &str) -> u16 {
    response
        .get(9..12)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status line in {response:?}"))
}

pub(super) fn says_close(response: &str) -> bool {
    response.contains("connection: close\r\n")
}
