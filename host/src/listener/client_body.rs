//! A request body on its way from the client to whoever wants it: errors get
//! their names, a client that is too slow is given up, and what nobody reads
//! is handed back to the connection.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant as TimerInstant, Sleep};
use verge_base::Clock;
use verge_http::Failure;
use verge_http::failure::ClientFault;

use super::event::{ConnectionEvent, Limit};
use super::exchange::EventSink;
use super::http1_state::Http1State;
use super::http2_body::Http2Content;
use super::http2_interim::Http2Interim;
use super::patience::{Patience, RateFloor};

/// What a body is read from.
pub(super) enum Source {
    Http1(Incoming),
    Http2(Box<Http2Content>),
}

/// Who is told that a client waits before it sends its body (RFC 9110 10.1.1).
enum Expectation {
    None,
    /// hyper says 100 when it is asked for the body.
    OfHttp1,
    /// The stream's task says it.
    OfHttp2(Arc<Http2Interim>),
}

/// The body of one request.
pub(super) struct ClientBody {
    source: Option<Source>,
    /// The connection, if it must read the body before its next request.
    http1: Option<Arc<Http1State>>,
    expectation: Expectation,
    was_polled: bool,
    patience: Patience,
    sleep: Option<Pin<Box<Sleep>>>,
    clock: Clock,
    events: Arc<dyn EventSink>,
}

impl Source {
    /// Why it failed is not told apart.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
        match self {
            Self::Http1(incoming) => Pin::new(incoming).poll_frame(context).map_err(|_error| ()),
            Self::Http2(content) => Pin::new(content.as_mut())
                .poll_frame(context)
                .map_err(|_error| ()),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(incoming) => incoming.is_end_stream(),
            Self::Http2(content) => content.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(incoming) => incoming.size_hint(),
            Self::Http2(content) => content.size_hint(),
        }
    }
}

impl ClientBody {
    /// The body that comes from `source`.
    pub(super) fn new(
        source: Source,
        floor: RateFloor,
        clock: Clock,
        events: Arc<dyn EventSink>,
    ) -> Self {
        Self {
            source: Some(source),
            http1: None,
            expectation: Expectation::None,
            was_polled: false,
            patience: Patience::new(floor),
            sleep: None,
            clock,
            events,
        }
    }

    /// Makes it the body of an HTTP/1 request.
    pub(super) fn on_http1(mut self, state: Arc<Http1State>, expects_continue: bool) -> Self {
        self.http1 = Some(state);
        if expects_continue {
            self.expectation = Expectation::OfHttp1;
        }
        self
    }

    /// Makes it the body of an HTTP/2 request whose client waits for 100.
    pub(super) fn awaited_on_http2(mut self, interim: Arc<Http2Interim>) -> Self {
        self.expectation = Expectation::OfHttp2(interim);
        self
    }

    /// Somebody wants the body and there is none: a client that waits for 100 is told so, once.
    fn say_continue(&mut self) {
        if let Expectation::OfHttp2(interim) = &self.expectation {
            interim.proceed();
            self.expectation = Expectation::None;
        }
    }

    /// The client sends, and waits for nothing any more.
    fn note_begun(&mut self) {
        if let Expectation::OfHttp2(_) = &self.expectation {
            self.expectation = Expectation::None;
        }
    }

    /// The client makes us wait: ready once it has done so for too long.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.clock.now();
            let end = self.patience.blocked(|| now);
            if self.patience.is_exhausted(now) {
                return Poll::Ready(());
            }
            let rest = end.saturating_duration_since(now);
            // The end never moves forward in time by less than the clock
            // does, so a timer that is armed never fires too late.
            let sleep = self
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(rest)));
            if sleep.is_elapsed() {
                sleep.as_mut().reset(TimerInstant::now() + rest);
            }
            if pin!(tokio::task::coop::unconstrained(sleep.as_mut()))
                .poll(context)
                .is_pending()
            {
                return Poll::Pending;
            }
        }
    }

    fn fail(&mut self, fault: ClientFault) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        // hyper closes the connection of a body that is dropped unread.
        self.source = None;
        Poll::Ready(Some(Err(Failure::Client(fault))))
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = self.get_mut();
        let Some(source) = &mut this.source else {
            return Poll::Ready(None);
        };
        this.was_polled = true;
        match source.poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let clock = &this.clock;
                this.patience.moved(bytes, || clock.now());
                this.note_begun();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.source = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(()))) => {
                let known = this.http1.as_ref().and_then(|state| state.body_fault());
                this.fail(known.unwrap_or(ClientFault::BodyIncomplete))
            }
            Poll::Pending => {
                this.say_continue();
                if this.poll_too_slow(context).is_pending() {
                    return Poll::Pending;
                }
                if let Some(state) = &this.http1 {
                    state.set_body_fault(ClientFault::BodyTooSlow);
                }
                let event = ConnectionEvent::LimitHit(Limit::ReceiveFloor);
                this.events.event(event);
                this.fail(ClientFault::BodyTooSlow)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(Source::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.source
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Source::size_hint)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        let (Some(Source::Http1(incoming)), Some(state)) = (self.source.take(), &self.http1) else {
            return;
        };
        if incoming.is_end_stream() {
            return;
        }
        if matches!(self.expectation, Expectation::OfHttp1) && !self.was_polled {
            // The client may send the body or not after a final status
            // without 100 (RFC 9110 10.1.1); only closing is unambiguous.
            state.set_closing();
        } else {
            state.discard(incoming);
        }
    }
}
