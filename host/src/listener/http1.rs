//! Serving HTTP/1.1 on one connection: hyper above [`ScannedIo`], driven
//! together with the connection's deadlines, its drain and its unread bodies.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use bytes::BytesMut;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use verge_http::failure::ClientFault;
use verge_http::interim::InterimSender;
use verge_http::{Body, Failure};

use super::answer;
use super::client_body::{ClientBody, Source};
use super::connection::Context;
use super::deadlines::{DeadlineTimer, Deadlines, Waiting};
use super::drain::{DrainPhase, PhaseWatch};
use super::event::{CloseReason, ConnectionEvent, Limit, limit_of};
use super::exchange::{self, EventSink};
use super::facts::ConnectionFacts;
use super::handler::Handler;
use super::http1_interim::{Http1Interim, InterimOpen};
use super::http1_state::{Discarded, Http1State};
use super::inbound::Ended;
use super::response_body::Http1ResponseBody;
use super::scanned_io::ScannedIo;
use super::stream::Stream;

/// Fields that hyper has room for without allocating.
const FIELDS_INLINE: usize = 100;
/// The least that hyper accepts as the size of its buffer.
const LEAST_BUFFER: usize = 8 * 1024;

/// What came of an HTTP/1 connection.
pub(super) enum Served {
    /// It ended.
    Closed {
        /// Why.
        reason: CloseReason,
        /// Requests that were handed to the handler.
        requests: u64,
    },
    /// It turned out to speak HTTP/2; the bytes were read from the stream already.
    Http2(Stream, BytesMut),
}

/// What the exchanges of one connection share.
struct Connection<H> {
    context: Context<H>,
    facts: Arc<ConnectionFacts>,
    interim: Arc<Http1Interim>,
    state: Arc<Http1State>,
    requests: AtomicU64,
}

/// Why driving the connection ended.
enum Finish {
    /// hyper has nothing more to do.
    Library(hyper::Result<()>),
    /// A deadline passed.
    Expired(Waiting),
    /// The drain's deadline passed.
    Cut,
}

/// Serves HTTP/1 on `stream` until it ends.
pub(super) async fn serve<H: Handler>(
    context: Context<H>,
    facts: ConnectionFacts,
    stream: Stream,
) -> Served {
    let settings = Arc::clone(&context.settings);
    let deadlines = Deadlines::new(context.clock.clone());
    let state = Arc::new(Http1State::new(Arc::clone(&settings), deadlines));
    let may_be_http2 = settings.http2_enabled && !facts.is_secure();
    let mut io = ScannedIo::new(stream, Arc::clone(&state), may_be_http2);
    let events = Arc::clone(&context.handler) as _;
    let connection = Arc::new(Connection {
        context,
        facts: Arc::new(facts),
        interim: Arc::new(Http1Interim::new(Arc::clone(&state), events)),
        state,
        requests: AtomicU64::new(0),
    });
    let service = service_fn(|request| exchange(Arc::clone(&connection), request));
    let mut builder = Builder::new();
    builder
        .header_read_timeout(None)
        .max_buf_size(settings.head.head_bytes.saturating_add(LEAST_BUFFER));
    if settings.head.fields > FIELDS_INLINE {
        builder.max_headers(settings.head.fields);
    }
    let finish = {
        let library = pin!(builder.serve_connection(TokioIo::new(&mut io), service));
        drive(&connection, library).await
    };
    let ended = io.ended();
    let (mut stream, held) = io.into_parts();
    if let (Finish::Library(_), Some(Ended::Http2)) = (&finish, ended) {
        return Served::Http2(stream, held);
    }
    let reason = connection.conclude(&finish, ended);
    connection.close(&mut stream, reason).await;
    Served::Closed {
        reason,
        requests: connection.requests.load(Ordering::Relaxed),
    }
}

/// Polls hyper and everything beside it, all in the connection's one task.
async fn drive<H, L>(connection: &Connection<H>, mut library: Pin<&mut L>) -> Finish
where
    H: Handler,
    L: Future<Output = hyper::Result<()>>,
{
    let state = &connection.state;
    let drain = &connection.context.drain;
    let mut timer = DeadlineTimer::new(state.settings.idle_time);
    let drain_wakes = pin!(tokio::task::coop::unconstrained(drain.wake_on_changes()));
    let mut watch = PhaseWatch::new(drain, drain_wakes);
    let mut seen = None;
    poll_fn(move |context| {
        if seen.is_none() {
            state.set_waker(context.waker());
        }
        let phase = watch.poll(context);
        if seen != Some(phase) {
            seen = Some(phase);
            if phase >= DrainPhase::Draining {
                state.drain();
            }
        }
        if phase == DrainPhase::Cut {
            return Poll::Ready(Finish::Cut);
        }
        loop {
            if let Poll::Ready(result) = library.as_mut().poll(context) {
                return Poll::Ready(Finish::Library(result));
            }
            match state.poll_discard(context) {
                Discarded::Waiting => break,
                // hyper goes on where the body ended or was dropped.
                Discarded::Ended => {}
                Discarded::TooLong => connection.limit_hit(Limit::UnreadBody),
            }
        }
        timer
            .poll_expired(&state.deadlines, context)
            .map(Finish::Expired)
    })
    .await
}

/// Answers one request.
async fn exchange<H: Handler>(
    connection: Arc<Connection<H>>,
    request: Request<Incoming>,
) -> Result<Response<Http1ResponseBody<H::ResponseBody>>, Infallible> {
    let state = &connection.state;
    let handler = &connection.context.handler;
    let number = connection.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let is_last = number >= state.settings.requests_per_connection;
    if is_last {
        connection.limit_hit(Limit::RequestsPerConnection);
    }
    // A client of HTTP/1.0 knows no interim responses (RFC 9110 15.2).
    let opened = (request.version() == Version::HTTP_11).then(|| InterimOpen::new(state));
    let interim = opened
        .as_ref()
        .map(|opened| InterimSender::new(Arc::clone(&connection.interim) as _, opened.exchange()));
    let request = connection.own(request);
    let answering = exchange::answer(handler.as_ref(), &connection.facts, interim, request);
    let mut response = answering.await;
    drop(opened);
    if state.refuse_unread() {
        connection.limit_hit(Limit::UnreadBody);
        state.set_closing();
    }
    if is_last || connection.context.drain.phase() != DrainPhase::Serving || state.has_body_fault()
    {
        state.set_closing();
    }
    if state.is_closing() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    // hyper knows what the client speaks; a version copied from elsewhere is none of its.
    *response.version_mut() = Version::HTTP_11;
    let events: Arc<dyn EventSink> = Arc::clone(handler) as _;
    Ok(response.map(|body| Http1ResponseBody::new(body, Arc::clone(state), events)))
}

impl<H: Handler> Connection<H> {
    /// `request` with a body of our own kind.
    fn own(&self, request: Request<Incoming>) -> Request<Body> {
        let (head, incoming) = request.into_parts();
        if incoming.is_end_stream() {
            return Request::from_parts(head, Body::Empty);
        }
        let expects_continue = head.headers.contains_key(header::EXPECT);
        let body = ClientBody::new(
            Source::Http1(incoming),
            self.state.settings.receive_floor,
            self.context.clock.clone(),
            Arc::clone(&self.context.handler) as _,
        )
        .on_http1(Arc::clone(&self.state), expects_continue);
        Request::from_parts(head, Body::stream(body))
    }

    fn limit_hit(&self, limit: Limit) {
        Handler::event(
            self.context.handler.as_ref(),
            ConnectionEvent::LimitHit(limit),
        );
    }

    /// Names the reason for the end, and counts the limit that it is about.
    fn conclude(&self, finish: &Finish, ended: Option<Ended>) -> CloseReason {
        let reason = match (finish, ended) {
            (Finish::Cut, _) => CloseReason::Cut,
            (Finish::Expired(Waiting::Idle), _) if self.state.is_draining() => CloseReason::Drained,
            (Finish::Expired(Waiting::Idle), _) => CloseReason::Limit(Limit::IdleTime),
            (Finish::Expired(Waiting::Head), _) => CloseReason::Limit(Limit::HeadTime),
            (Finish::Expired(Waiting::UnreadBody), _) => CloseReason::Limit(Limit::UnreadBody),
            (Finish::Expired(Waiting::Send), _) => CloseReason::Limit(Limit::SendFloor),
            (Finish::Library(_), Some(Ended::HeadFault(fault) | Ended::BodyFault(fault))) => {
                CloseReason::Violation(fault)
            }
            (Finish::Library(_), Some(Ended::Closed | Ended::Http2)) => CloseReason::Client,
            (Finish::Library(_), Some(Ended::Aborted)) => CloseReason::Aborted,
            (Finish::Library(Ok(())), None) if self.state.is_draining() => CloseReason::Drained,
            (Finish::Library(Ok(())), None) => CloseReason::Answered,
            (Finish::Library(Err(error)), None) => reason_of(error),
        };
        match reason {
            CloseReason::Limit(limit) => self.limit_hit(limit),
            CloseReason::Violation(fault) => {
                if let Some(limit) = limit_of(fault) {
                    self.limit_hit(limit);
                }
            }
            CloseReason::RejectedByLibrary => Handler::event(
                self.context.handler.as_ref(),
                ConnectionEvent::RejectedByLibrary,
            ),
            _ => {}
        }
        reason
    }

    /// Closes the stream as the reason asks for; gives the answer that is still owed.
    async fn close(&self, stream: &mut Stream, reason: CloseReason) {
        let time = self.state.settings.close_time;
        let owed = match reason {
            CloseReason::Limit(Limit::HeadTime) => Some(ClientFault::HeadTimeout),
            // A fault in a body was the handler's to answer.
            CloseReason::Violation(fault) if !self.state.has_body_fault() => Some(fault),
            _ => None,
        };
        let closing = async {
            match (owed, reason) {
                (Some(fault), _) => {
                    let failure = Failure::Client(fault);
                    let response = self.context.handler.refuse(&self.facts, failure);
                    let wall = self.context.clock.wall();
                    answer::send_last(stream, &response, wall, time).await;
                }
                // The client takes nothing, or must see that a response broke off.
                (
                    None,
                    CloseReason::Limit(Limit::SendFloor)
                    | CloseReason::ResponseFailed
                    | CloseReason::Cut,
                ) => stream.reset_on_close(),
                (None, _) => answer::close(stream, time).await,
            }
        };
        tokio::select! {
            () = closing => {}
            () = self.context.drain.reached(DrainPhase::Cut) => {}
        }
    }
}

/// The reason behind an error of hyper's, where the scanned I/O saw none.
fn reason_of(error: &hyper::Error) -> CloseReason {
    if error.is_user() {
        CloseReason::ResponseFailed
    } else if error.is_parse() {
        CloseReason::RejectedByLibrary
    } else {
        CloseReason::Aborted
    }
}
