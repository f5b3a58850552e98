//! One HTTP/2 stream's own task, watched: a client that keeps its stream's
//! flow-control window shut loses that stream, and no other.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant as TimerInstant, Sleep};
use verge_base::Clock;

use super::drain::{Drain, DrainGuard};
use super::event::{ConnectionEvent, Limit};
use super::exchange::EventSink;
use super::http2::Http2State;
use super::patience::{Patience, RateFloor};

/// How far a stream's response has come.
#[derive(Debug, Default)]
pub(super) struct StreamProgress {
    /// Bytes handed over for sending.
    handed_over: AtomicU64,
    /// Whether hyper holds a piece and waits for room in the client's window.
    waits_for_client: AtomicBool,
}

impl StreamProgress {
    /// hyper asks for more: the client took what there was.
    pub(super) fn ask(&self) {
        self.waits_for_client.store(false, Ordering::Relaxed);
    }

    /// hyper was given a piece.
    pub(super) fn hand_over(&self, bytes: usize) {
        self.handed_over.fetch_add(bytes as u64, Ordering::Relaxed);
        self.waits_for_client.store(true, Ordering::Relaxed);
    }
}

/// Spawns the tasks of a connection's streams.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    pub(super) state: Arc<Http2State>,
    pub(super) events: Arc<dyn EventSink>,
    pub(super) clock: Clock,
    pub(super) drain: Drain,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(WatchedStream {
            future: Some(future),
            progress: self.state.take_newest(),
            seen: 0,
            patience: Patience::new(self.floor()),
            sleep: None,
            clock: self.clock.clone(),
            events: Arc::clone(&self.events),
            _drain: self.drain.guard(),
        });
    }
}

impl StreamExecutor {
    fn floor(&self) -> RateFloor {
        self.state.settings.send_floor
    }
}

pin_project! {
    /// The task of one stream.
    struct WatchedStream<F> {
        #[pin]
        future: Option<F>,
        progress: Option<Arc<StreamProgress>>,
        seen: u64,
        patience: Patience,
        sleep: Option<Pin<Box<Sleep>>>,
        clock: Clock,
        events: Arc<dyn EventSink>,
        _drain: DrainGuard,
    }
}

impl<F: Future<Output = ()>> Future for WatchedStream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Ready(());
        };
        if future.poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(progress) = this.progress else {
            return Poll::Pending;
        };
        let handed_over = progress.handed_over.load(Ordering::Relaxed);
        if handed_over != *this.seen {
            let bytes = usize::try_from(handed_over - *this.seen).unwrap_or(usize::MAX);
            *this.seen = handed_over;
            this.patience.moved(bytes, || this.clock.now());
        }
        if !progress.waits_for_client.load(Ordering::Relaxed) {
            this.patience.unblocked(|| this.clock.now());
            return Poll::Pending;
        }
        loop {
            let now = this.clock.now();
            let end = this.patience.blocked(|| now);
            if this.patience.is_exhausted(now) {
                let event = ConnectionEvent::LimitHit(Limit::SendFloor);
                this.events.event(event);
                // Dropping the stream's handles resets it (RFC 9113 5.4.2).
                this.future.set(None);
                return Poll::Ready(());
            }
            let rest = end.saturating_duration_since(now);
            let sleep = this
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
}
