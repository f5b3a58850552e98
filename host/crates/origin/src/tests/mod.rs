//! Component tests: an [`Origin`] and, at the other end of real sockets, a
//! server that the test plays by hand. Each test waits for events; where a
//! timeout is the subject, the runtime's clock is stopped and jumps.

mod bodies;
mod expect;
mod framing;
mod names;
mod pooling;
mod retrying;
mod timing;
mod tls;

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{Method, Request};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use verge_base::{Clock, Random};
use verge_http::failure::{OriginFault, Progress};
use verge_http::{Body, Failure};

use crate::{Address, Origin, OriginFailure, OriginResponse, OriginSettings};

type Sent = Result<OriginResponse, Box<OriginFailure>>;

/// The listening end of an origin that the test plays.
pub(crate) struct Server {
    listener: TcpListener,
}

/// One connection that the played origin has accepted.
pub(crate) struct Peer<IO> {
    io: IO,
    buffer: BytesMut,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self { listener }
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    pub(crate) fn address(&self) -> Address {
        address(self.socket())
    }

    pub(crate) fn settings(&self) -> OriginSettings {
        OriginSettings::new("app", vec![self.address()])
    }

    pub(crate) fn origin(&self) -> Origin {
        origin(self.settings())
    }

    pub(crate) async fn accept(&self) -> Peer<tokio::net::TcpStream> {
        let (io, _) = self.listener.accept().await.expect("a connection");
        Peer::new(io)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Peer<IO> {
    pub(crate) fn new(io: IO) -> Self {
        Self {
            io,
            buffer: BytesMut::new(),
        }
    }

    /// Reads until `end` has come, and returns everything up to it.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        loop {
            let found = self
                .buffer
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let text = self.buffer.split_to(at + end.len());
                return String::from_utf8(text.to_vec()).expect("text");
            }
            let read = self.io.read_buf(&mut self.buffer).await.expect("readable");
            assert!(read > 0, "closed after {:?}", self.buffer);
        }
    }

    /// Reads a request's head.
    pub(crate) async fn head(&mut self) -> String {
        self.read_until("\r\n\r\n").await
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.expect("writable");
        self.io.flush().await.expect("writable");
    }

    /// Reads a request and answers it with `body`.
    pub(crate) async fn answer(&mut self, body: &str) -> String {
        let head = self.head().await;
        let length = body.len();
        self.write(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await;
        head
    }

    /// Waits until the other end has closed the connection.
    pub(crate) async fn closed(&mut self) {
        while let Ok(1..) = self.io.read_buf(&mut self.buffer).await {}
    }
}

/// A request body that a test feeds.
pub(crate) struct Fed(mpsc::UnboundedReceiver<Result<Frame<Bytes>, Failure>>);

/// The feeding end; dropping it ends the body.
pub(crate) struct Feed(mpsc::UnboundedSender<Result<Frame<Bytes>, Failure>>);

pub(crate) fn fed() -> (Feed, Body) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Feed(sender), Body::stream(Fed(receiver)))
}

impl Feed {
    pub(crate) fn data(&self, text: &str) {
        let frame = Frame::data(Bytes::copy_from_slice(text.as_bytes()));
        self.0.send(Ok(frame)).expect("the body is still there");
    }

    pub(crate) fn trailers(&self, name: &'static str, value: &'static str) {
        let mut fields = http::HeaderMap::new();
        fields.insert(name, http::HeaderValue::from_static(value));
        let frame = Frame::trailers(fields);
        self.0.send(Ok(frame)).expect("the body is still there");
    }

    pub(crate) fn fail(&self, failure: Failure) {
        self.0.send(Err(failure)).expect("the body is still there");
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.0.poll_recv(context)
    }
}

pub(crate) fn address(socket: SocketAddr) -> Address {
    socket.to_string().parse().expect("an address")
}

pub(crate) fn origin(settings: OriginSettings) -> Origin {
    Origin::new(settings, Clock::system(), &Random::seeded(1)).expect("valid settings")
}

pub(crate) fn request(method: Method, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("http://site.example/path?query")
        .body(body)
        .expect("a valid request")
}

pub(crate) fn get() -> Request<Body> {
    request(Method::GET, Body::Empty)
}

/// Sends in the background, so that the test can play the origin meanwhile.
pub(crate) fn send(origin: &Origin, request: Request<Body>) -> JoinHandle<Sent> {
    let origin = origin.clone();
    tokio::spawn(async move { origin.send(request).await })
}

pub(crate) async fn response(sending: JoinHandle<Sent>) -> OriginResponse {
    sending.await.expect("no panic").expect("a response")
}

pub(crate) async fn failure(sending: JoinHandle<Sent>) -> OriginFailure {
    *sending.await.expect("no panic").expect_err("a failure")
}

/// A failure's fault and progress.
pub(crate) fn parts(failure: Failure) -> (OriginFault, Progress) {
    match failure {
        Failure::Origin { fault, progress } => (fault, progress),
        other => panic!("not the origin's: {other:?}"),
    }
}

pub(crate) async fn text(body: Body) -> String {
    let content = body.collect().await.expect("a whole body").to_bytes();
    String::from_utf8(content.to_vec()).expect("text")
}

/// Lets other tasks run until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if condition() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to this: {what}");
}

/// Gives other tasks many turns, so that what can happen now has happened.
pub(crate) async fn quiet() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn open(origin: &Origin) -> usize {
    origin.stats().addresses.iter().map(|a| a.open).sum()
}

pub(crate) fn idle(origin: &Origin) -> usize {
    origin.stats().addresses.iter().map(|a| a.idle).sum()
}
