//! The task of one HTTP/2 connection: drives the library together with the
//! connection's deadlines, its PINGs and its drain, and begins its streams.
//!
//! A stream is polled once where it arrives: what the cache answers is done then, without a task
//! of its own. Whatever has to wait goes on as one.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use h2::server::{Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;

use super::budgeted_io::BudgetedIo;
use super::deadlines::{DeadlineTimer, Waiting};
use super::drain::{DrainPhase, PhaseWatch};
use super::event::{CloseReason, ConnectionEvent, Limit};
use super::exchange::EventSink;
use super::handler::Handler;
use super::http2_interim::Http2Interim;
use super::http2_keep_alive::KeepAlive;
use super::http2_state::{Http2State, StreamGuard};
use super::http2_stream::{self, Shared};
use super::patience::Patience;

/// Requests that are begun before other tasks of the thread have their turn.
const REQUESTS_PER_TURN: usize = 32;

/// Why driving the connection ended.
pub(super) enum Finish {
    /// The library has nothing more to do.
    Library(Result<(), h2::Error>),
    /// The client left a PING unanswered, and was told that this ends the connection.
    Silent,
    /// A deadline passed.
    Expired(Waiting),
    /// The drain's deadline passed.
    Cut,
}

/// The library on one connection.
enum Library<'io> {
    Handshaking(Box<Handshake<&'io mut BudgetedIo, Bytes>>),
    Serving(Box<Connection<&'io mut BudgetedIo, Bytes>>),
}

/// What came of taking requests from the library.
enum Taken {
    /// There are no more for now.
    All,
    /// There may be more, which others' work goes before.
    Enough,
    /// There will be no more.
    Ended(Result<(), h2::Error>),
}

type Arrived = (Request<RecvStream>, SendResponse<Bytes>);

/// Drives one connection.
pub(super) struct Driver<'io, H> {
    shared: Arc<Shared<H>>,
    state: Arc<Http2State>,
    library: Library<'io>,
    /// From the end of the handshake until the client is given up.
    keep_alive: Option<KeepAlive>,
    /// Requests that were not begun yet. All that has come is taken from the library before any
    /// is, so that their responses leave together.
    arrived: Vec<Arrived>,
    /// For the next stream; handed on from one that never gave it away.
    spare: Option<Arc<Http2Interim>>,
    requests: u64,
    timer: DeadlineTimer,
    goodbye: Option<CloseReason>,
    /// From when on a client that was told so gets no more requests answered.
    refuses_from: Option<Instant>,
    /// With a client that has yet to take what the library holds for it, when no stream is at
    /// work. From the first look at that until the next request.
    tail: Option<Patience>,
    is_silent: bool,
}

impl<'io, H: Handler> Driver<'io, H> {
    pub(super) fn new(
        shared: Arc<Shared<H>>,
        state: Arc<Http2State>,
        handshake: Handshake<&'io mut BudgetedIo, Bytes>,
    ) -> Self {
        Self {
            timer: DeadlineTimer::new(state.settings.idle_time),
            shared,
            state,
            library: Library::Handshaking(Box::new(handshake)),
            keep_alive: None,
            arrived: Vec::new(),
            spare: None,
            requests: 0,
            goodbye: None,
            refuses_from: None,
            tail: None,
            is_silent: false,
        }
    }

    /// Runs until the connection has to be closed. Returns why, why the client was told that it
    /// ends, if it was, and how many requests there were.
    pub(super) async fn run(mut self) -> (Finish, Option<CloseReason>, u64) {
        let drain = self.shared.context.drain.clone();
        let drain_wakes = pin!(tokio::task::coop::unconstrained(drain.wake_on_changes()));
        let mut watch = PhaseWatch::new(&drain, drain_wakes);
        let finish = poll_fn(|context| match watch.poll(context) {
            DrainPhase::Cut => Poll::Ready(Finish::Cut),
            phase => self.poll(phase >= DrainPhase::Draining, context),
        })
        .await;
        (finish, self.goodbye, self.requests)
    }

    fn poll(&mut self, is_draining: bool, context: &mut Context<'_>) -> Poll<Finish> {
        loop {
            if let Poll::Ready(result) = self.poll_library(context) {
                return Poll::Ready(match result {
                    Ok(()) if self.is_silent => Finish::Silent,
                    result => Finish::Library(result),
                });
            }
            let waiting = match self.timer.poll_expired(&self.state.deadlines, context) {
                Poll::Ready(Waiting::Idle) if !self.state.is_idle() => {
                    // A request began while the last one ended, on another thread.
                    self.state.deadlines.forget_expired();
                    continue;
                }
                Poll::Ready(Waiting::Idle) if self.is_sending() => {
                    if self.is_taken_too_slowly() {
                        return Poll::Ready(Finish::Expired(Waiting::Send));
                    }
                    self.state.look_again();
                    continue;
                }
                Poll::Ready(waiting) => Some(waiting),
                Poll::Pending => None,
            };
            let reason = match waiting {
                Some(Waiting::Idle) if self.goodbye.is_none() => {
                    CloseReason::Limit(Limit::IdleTime)
                }
                Some(waiting) => return Poll::Ready(Finish::Expired(waiting)),
                None if self.goodbye.is_some() => return Poll::Pending,
                None if is_draining => CloseReason::Drained,
                None if self.requests >= self.state.settings.requests_per_connection => {
                    self.shared.limit_hit(Limit::RequestsPerConnection);
                    CloseReason::Answered
                }
                None => return Poll::Pending,
            };
            // GOAWAY in two steps, so that no request on its way is lost (RFC 9113 6.8). The
            // second comes when the client has answered the library's PING; one that does not
            // answer is refused what it asks for later.
            self.goodbye = Some(reason);
            self.refuses_from = Some(self.state.deadlines.now() + self.state.linger());
            if let Library::Serving(connection) = &mut self.library {
                connection.graceful_shutdown();
            }
            self.state.said_goodbye();
        }
    }

    /// Lets the library read and write, and begins the requests that it has read.
    fn poll_library(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        if let Library::Handshaking(handshake) = &mut self.library {
            let mut connection = ready!(Pin::new(handshake.as_mut()).poll(context))?;
            if self.goodbye.is_some() {
                connection.graceful_shutdown();
            }
            let settings = &self.state.settings.http2;
            let pings = connection.ping_pong();
            self.keep_alive = pings.map(|pings| KeepAlive::new(pings, settings));
            self.library = Library::Serving(Box::new(connection));
        }
        self.poll_keep_alive(context);
        let mut room = REQUESTS_PER_TURN;
        loop {
            let taken = self.take_arrived(&mut room, context);
            let has_begun = self.begin_arrived(context);
            match taken {
                Taken::Ended(result) => return Poll::Ready(result),
                Taken::Enough => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                // The library writes what was answered.
                Taken::All if has_begun => {}
                Taken::All => return Poll::Pending,
            }
        }
    }

    /// Asks a client that is silent, and says goodbye to one that does not answer.
    fn poll_keep_alive(&mut self, context: &mut Context<'_>) {
        if let (Some(keep_alive), Library::Serving(connection)) =
            (&mut self.keep_alive, &mut self.library)
            && keep_alive.poll_silent(&self.state, context).is_ready()
        {
            self.keep_alive = None;
            self.is_silent = true;
            connection.abrupt_shutdown(Reason::NO_ERROR);
        }
    }

    fn take_arrived(&mut self, room: &mut usize, context: &mut Context<'_>) -> Taken {
        let Library::Serving(connection) = &mut self.library else {
            return Taken::All;
        };
        while *room > 0 {
            match pin!(connection.accept()).poll(context) {
                Poll::Ready(Some(Ok(arrived))) => self.arrived.push(arrived),
                Poll::Ready(Some(Err(error))) => return Taken::Ended(Err(error)),
                Poll::Ready(None) => return Taken::Ended(Ok(())),
                Poll::Pending => return Taken::All,
            }
            *room -= 1;
        }
        Taken::Enough
    }

    /// Begins what has arrived, and returns whether there was anything.
    fn begin_arrived(&mut self, context: &mut Context<'_>) -> bool {
        if self.arrived.is_empty() {
            return false;
        }
        let mut arrived = std::mem::take(&mut self.arrived);
        if self.refuses() {
            for (_, mut reply) in arrived.drain(..) {
                // Nothing was done of it: the client may ask again elsewhere (RFC 9113 8.7).
                reply.send_reset(Reason::REFUSED_STREAM);
            }
        } else {
            self.tail = None;
            for (request, reply) in arrived.drain(..) {
                self.begin(request, reply, context);
            }
            if self.state.is_idle() {
                self.state.expect_request();
            }
        }
        // Its memory serves the next ones.
        self.arrived = arrived;
        true
    }

    /// Whether requests come too late to be answered.
    fn refuses(&self) -> bool {
        self.refuses_from
            .is_some_and(|from| self.state.deadlines.now() >= from)
    }

    /// Whether a response that is handed to the library is still on its way to the client.
    fn is_sending(&self) -> bool {
        let holds = match &self.library {
            Library::Handshaking(_) => false,
            Library::Serving(connection) => connection.has_streams(),
        };
        holds || self.state.deadlines.is_sending_blocked()
    }

    /// Whether the client has used up its patience with what the library holds for it.
    fn is_taken_too_slowly(&mut self) -> bool {
        let floor = self.state.settings.send_floor;
        let tail = self.tail.get_or_insert_with(|| Patience::new(floor));
        tail.looked_at(self.state.take_sent(), self.state.deadlines.now())
    }

    fn begin(
        &mut self,
        request: Request<RecvStream>,
        reply: SendResponse<Bytes>,
        context: &mut Context<'_>,
    ) {
        self.requests += 1;
        let shared = &self.shared;
        let mut interim = self.spare.take().unwrap_or_else(|| {
            let events: Arc<dyn EventSink> = Arc::clone(&shared.context.handler) as _;
            Arc::new(Http2Interim::new(shared.context.settings.interim, events))
        });
        let mut stream = Box::pin(http2_stream::serve(
            Arc::clone(shared),
            request,
            reply,
            Arc::clone(&interim),
        ));
        match catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(context))) {
            Ok(Poll::Pending) => {
                let held = (shared.context.drain.guard(), StreamGuard::new(&self.state));
                tokio::spawn(async move {
                    stream.await;
                    drop(held);
                });
                return;
            }
            Ok(Poll::Ready(())) => {}
            Err(_panic) => {
                let event = ConnectionEvent::HandlerPanicked;
                Handler::event(shared.context.handler.as_ref(), event);
            }
        }
        if let Some(unused) = Arc::get_mut(&mut interim) {
            unused.reset();
            self.spare = Some(interim);
        }
    }
}
