//! Serving HTTP/2 on one connection: hyper above [`BudgetedIo`], driven
//! together with the connection's deadlines and its drain.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;

use bytes::BytesMut;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http2::{Builder, Connection as Library};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use verge_http::failure::ClientFault;
use verge_http::{Body, Failure};

use super::answer;
use super::budgeted_io::BudgetedIo;
use super::client_body::ClientBody;
use super::connection::Context;
use super::deadlines::{DeadlineTimer, Deadlines, Waiting};
use super::drain::DrainPhase;
use super::event::{CloseReason, ConnectionEvent, Limit, limit_of};
use super::exchange::{self, EventSink};
use super::facts::ConnectionFacts;
use super::handler::Handler;
use super::http2_stream::{StreamExecutor, StreamProgress};
use super::response_body::Http2ResponseBody;
use super::settings::ListenerSettings;
use super::stream::Stream;

/// The largest flow-control window (RFC 9113 6.9.1).
const WINDOW_MAX: u32 = (1 << 31) - 1;
/// The bounds of SETTINGS_MAX_FRAME_SIZE (RFC 9113 6.5.2).
const FRAME_MIN: u32 = 1 << 14;
const FRAME_MAX: u32 = (1 << 24) - 1;

/// Shared by the parts of one HTTP/2 connection.
pub(super) struct Http2State {
    pub(super) settings: Arc<ListenerSettings>,
    pub(super) deadlines: Deadlines,
    in_flight: AtomicUsize,
    draining: AtomicBool,
    /// The stream whose task is about to be spawned: hyper calls the service
    /// and the executor one right after the other.
    newest: Mutex<Option<Arc<StreamProgress>>>,
}

/// A request in flight; dropping it says that its response is complete or given up.
pub(super) struct StreamGuard {
    state: Arc<Http2State>,
    progress: Arc<StreamProgress>,
}

/// What the exchanges of one connection share.
struct Connection<H> {
    context: Context<H>,
    facts: Arc<ConnectionFacts>,
    state: Arc<Http2State>,
    requests: AtomicU64,
}

/// Why driving the connection ended.
enum Finish {
    Library(hyper::Result<()>),
    Expired(Waiting),
    Cut,
}

impl Http2State {
    fn new(settings: Arc<ListenerSettings>, deadlines: Deadlines) -> Self {
        let state = Self {
            settings,
            deadlines,
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            newest: Mutex::new(None),
        };
        state.expect_request();
        state
    }

    fn expect_request(&self) {
        let time = if self.draining.load(Ordering::Relaxed) {
            self.settings.idle_time.min(self.settings.drain_idle_time)
        } else {
            self.settings.idle_time
        };
        self.deadlines.expect_within(Waiting::Idle, time);
    }

    /// The client was told that no request will be taken any more: once
    /// there is none left, the connection ends soon.
    fn said_goodbye(&self) {
        self.draining.store(true, Ordering::Relaxed);
        if self.is_idle() {
            self.expect_request();
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }

    pub(super) fn take_newest(&self) -> Option<Arc<StreamProgress>> {
        self.newest.lock().take()
    }
}

impl StreamGuard {
    fn new(state: &Arc<Http2State>) -> Self {
        let progress = Arc::new(StreamProgress::default());
        *state.newest.lock() = Some(Arc::clone(&progress));
        if state.in_flight.fetch_add(1, Ordering::AcqRel) == 0 {
            state.deadlines.expect_nothing();
        }
        Self {
            state: Arc::clone(state),
            progress,
        }
    }

    pub(super) fn progress(&self) -> &StreamProgress {
        &self.progress
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        if self.state.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.state.expect_request();
        }
    }
}

/// Serves HTTP/2 on `stream` until it ends; `prefix` was read from it already.
/// Returns why it ended, and how many requests were handed to the handler.
pub(super) async fn serve<H: Handler>(
    context: Context<H>,
    facts: Arc<ConnectionFacts>,
    stream: Stream,
    prefix: BytesMut,
) -> (CloseReason, u64) {
    let settings = Arc::clone(&context.settings);
    let deadlines = Deadlines::new(context.clock.clone());
    let state = Arc::new(Http2State::new(settings, deadlines));
    let mut io = BudgetedIo::new(stream, prefix, Arc::clone(&state));
    let connection = Arc::new(Connection {
        context,
        facts,
        state,
        requests: AtomicU64::new(0),
    });
    let service = service_fn(|request| {
        let stream = StreamGuard::new(&connection.state);
        exchange(Arc::clone(&connection), stream, request)
    });
    let (finish, goodbye) = {
        let library = connection
            .builder()
            .serve_connection(TokioIo::new(&mut io), service);
        drive(&connection, pin!(library)).await
    };
    let reason = connection.conclude(&finish, goodbye, &io);
    let (mut stream, farewell) = io.into_parts();
    connection.close(&mut stream, reason, farewell).await;
    (reason, connection.requests.load(Ordering::Relaxed))
}

/// Polls hyper and everything beside it, all in the connection's one task.
/// Returns also why the client was told that the connection ends, if it was.
async fn drive<H, I, S>(
    connection: &Connection<H>,
    mut library: Pin<&mut Library<I, S, StreamExecutor>>,
) -> (Finish, Option<CloseReason>)
where
    H: Handler,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: HttpService<Incoming, ResBody = Http2ResponseBody<H::ResponseBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let state = &connection.state;
    let settings = &state.settings;
    let drain = &connection.context.drain;
    let mut timer = DeadlineTimer::new(settings.idle_time);
    let mut drain_wakes = pin!(tokio::task::coop::unconstrained(drain.wake_on_changes()));
    let mut phase = None;
    let mut goodbye = None;
    let finish = poll_fn(|context| {
        if phase != Some(drain.phase()) {
            let _never = drain_wakes.as_mut().poll(context);
            phase = Some(drain.phase());
        }
        if phase == Some(DrainPhase::Cut) {
            return Poll::Ready(Finish::Cut);
        }
        loop {
            if let Poll::Ready(result) = library.as_mut().poll(context) {
                return Poll::Ready(Finish::Library(result));
            }
            let waiting = match timer.poll_expired(&state.deadlines, context) {
                Poll::Ready(Waiting::Idle) if !state.is_idle() => {
                    // A request began while the last one ended, on another thread.
                    state.deadlines.expect_nothing();
                    continue;
                }
                Poll::Ready(waiting) => Some(waiting),
                Poll::Pending => None,
            };
            let requests = connection.requests.load(Ordering::Relaxed);
            let reason = match waiting {
                Some(Waiting::Idle) if goodbye.is_none() => CloseReason::Limit(Limit::IdleTime),
                Some(waiting) => return Poll::Ready(Finish::Expired(waiting)),
                None if goodbye.is_some() => return Poll::Pending,
                None if phase >= Some(DrainPhase::Draining) => CloseReason::Drained,
                None if requests >= settings.requests_per_connection => {
                    connection.limit_hit(Limit::RequestsPerConnection);
                    CloseReason::Answered
                }
                None => return Poll::Pending,
            };
            // GOAWAY in two steps, so that no request on its way is lost
            // (RFC 9113 6.8). A client that does not answer is not waited for.
            goodbye = Some(reason);
            library.as_mut().graceful_shutdown();
            state.said_goodbye();
        }
    })
    .await;
    (finish, goodbye)
}

/// Answers one request.
async fn exchange<H: Handler>(
    connection: Arc<Connection<H>>,
    stream: StreamGuard,
    request: Request<Incoming>,
) -> Result<Response<Http2ResponseBody<H::ResponseBody>>, Infallible> {
    connection.requests.fetch_add(1, Ordering::Relaxed);
    let handler = &connection.context.handler;
    let response = match head_fault(&request, &connection.state.settings) {
        None => {
            let request = connection.own(request);
            exchange::answer(handler.as_ref(), &connection.facts, request).await
        }
        Some(fault) => {
            if let Some(limit) = limit_of(fault) {
                connection.limit_hit(limit);
            }
            let failure = Failure::Client(fault);
            handler
                .refuse(&connection.facts, failure)
                .map(|text| Body::from(text).into())
        }
    };
    let events: Arc<dyn EventSink> = Arc::clone(handler) as _;
    Ok(response.map(|body| Http2ResponseBody::new(body, stream, events)))
}

/// The limits of a head that HTTP/1 holds in its scanner. What is far beyond
/// them was refused by the HTTP/2 library.
fn head_fault(request: &Request<Incoming>, settings: &ListenerSettings) -> Option<ClientFault> {
    let limits = &settings.head;
    let fields = request.headers();
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let bytes = fields.iter().fold(target, |sum, (name, value)| {
        sum.saturating_add(name.as_str().len() + value.len() + 4)
    });
    if target > limits.target_bytes {
        Some(ClientFault::TargetTooLong)
    } else if fields.len() > limits.fields {
        Some(ClientFault::FieldsTooMany)
    } else if bytes > limits.head_bytes {
        Some(ClientFault::HeadTooLarge)
    } else {
        None
    }
}

impl<H: Handler> Connection<H> {
    fn builder(&self) -> Builder<StreamExecutor> {
        let settings = &self.state.settings;
        let http2 = &settings.http2;
        // The library counts 32 more bytes for each field (RFC 9113 6.5.2),
        // and answers by itself beyond this.
        let head = settings.head.head_bytes.saturating_mul(2);
        let executor = StreamExecutor {
            state: Arc::clone(&self.state),
            events: Arc::clone(&self.context.handler) as _,
            clock: self.context.clock.clone(),
            drain: self.context.drain.clone(),
        };
        let mut builder = Builder::new(executor);
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(http2.concurrent_streams)
            .initial_stream_window_size(http2.stream_window.min(WINDOW_MAX))
            .initial_connection_window_size(http2.connection_window.min(WINDOW_MAX))
            .max_frame_size(http2.frame_bytes.clamp(FRAME_MIN, FRAME_MAX))
            .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(http2.pending_reset_streams)
            .max_local_error_reset_streams(http2.error_reset_streams)
            .max_send_buf_size(http2.send_buffer_bytes.min(u32::MAX as usize))
            .keep_alive_interval(http2.ping_interval)
            .keep_alive_timeout(http2.ping_time);
        builder
    }

    /// `request` with a body of our own kind.
    fn own(&self, request: Request<Incoming>) -> Request<Body> {
        request.map(|incoming| {
            if incoming.is_end_stream() {
                return Body::Empty;
            }
            Body::stream(ClientBody::new(
                incoming,
                self.state.settings.receive_floor,
                self.context.clock.clone(),
                Arc::clone(&self.context.handler) as _,
            ))
        })
    }

    fn limit_hit(&self, limit: Limit) {
        Handler::event(
            self.context.handler.as_ref(),
            ConnectionEvent::LimitHit(limit),
        );
    }

    /// Names the reason for the end, and counts the limit that it is about.
    fn conclude(
        &self,
        finish: &Finish,
        goodbye: Option<CloseReason>,
        io: &BudgetedIo,
    ) -> CloseReason {
        let reason = match (finish, io.exceeded(), io.goaway_sent()) {
            (_, Some(limit), _) => CloseReason::Limit(limit),
            (Finish::Cut, None, _) => CloseReason::Cut,
            (Finish::Expired(Waiting::Send), None, _) => CloseReason::Limit(Limit::SendFloor),
            (Finish::Library(_), None, Some(code)) if code != 0 => CloseReason::Http2Error(code),
            (Finish::Expired(_) | Finish::Library(Ok(())), None, _) => match goodbye {
                Some(reason) => reason,
                // GOAWAY that nobody asked for: a PING went unanswered.
                None if io.goaway_sent().is_some() => CloseReason::Limit(Limit::IdleTime),
                None => CloseReason::Client,
            },
            (Finish::Library(Err(_)), None, _) => CloseReason::Aborted,
        };
        if let CloseReason::Limit(limit) = reason {
            self.limit_hit(limit);
        }
        reason
    }

    async fn close(&self, stream: &mut Stream, reason: CloseReason, farewell: Option<[u8; 17]>) {
        let time = self.state.settings.close_time;
        if matches!(
            reason,
            CloseReason::Cut | CloseReason::Limit(Limit::SendFloor)
        ) {
            stream.reset_on_close();
            return;
        }
        let closing = async {
            if let Some(goaway) = farewell {
                let said = async {
                    stream.write_all(&goaway).await?;
                    stream.flush().await
                };
                // It is a courtesy; the connection is closed in any case.
                let _ = tokio::time::timeout(time, said).await;
            }
            answer::close(stream, time).await;
        };
        tokio::select! {
            () = closing => {}
            () = self.context.drain.reached(DrainPhase::Cut) => {}
        }
    }
}
