//! What the parts of one HTTP/1 connection tell each other: the scanned I/O
//! below hyper, the exchange above it, and the task that drives both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use http_body::Body as _;
use hyper::body::Incoming;
use parking_lot::Mutex;
use verge_http::failure::ClientFault;

use super::deadlines::{Deadlines, Waiting};
use super::http1_interim::InterimOutbox;
use super::settings::ListenerSettings;

/// Where the current exchange stands, as far as its response goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// There is none, or its response has been written to the client.
    Done,
    /// The request was delivered; its response is not complete.
    Open,
    /// hyper has taken all of the response and is writing it.
    Answered,
}

/// Shared by the parts of one HTTP/1 connection.
pub(super) struct Http1State {
    pub(super) settings: Arc<ListenerSettings>,
    pub(super) deadlines: Deadlines,
    exchange: AtomicU8,
    /// How the client broke the body of the current request.
    body_fault: Mutex<Option<ClientFault>>,
    has_body_fault: AtomicBool,
    /// Whether a response has said that the connection will close.
    closing: AtomicBool,
    /// Whether idle connections end soon.
    draining: AtomicBool,
    unread: Mutex<Unread>,
    /// What is sent before a final response.
    pub(super) interim: InterimOutbox,
}

/// A request body that nobody wants.
#[derive(Default)]
struct Unread {
    body: Option<Incoming>,
    taken: u64,
    /// The connection's task.
    waker: Option<Waker>,
}

/// What came of reading an unwanted body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Discarded {
    /// There is none, or more of it must arrive first.
    Waiting,
    /// It ended; the connection can be used again.
    Ended,
    /// It is too long: it was dropped, which closes the connection.
    TooLong,
}

impl Http1State {
    pub(super) fn new(settings: Arc<ListenerSettings>, deadlines: Deadlines) -> Self {
        Self {
            settings,
            deadlines,
            exchange: AtomicU8::new(Exchange::Done as u8),
            body_fault: Mutex::new(None),
            has_body_fault: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            unread: Mutex::new(Unread::default()),
            interim: InterimOutbox::default(),
        }
    }

    /// Wakes the connection's task.
    pub(super) fn wake(&self) {
        let waker = self.unread.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn exchange(&self) -> Exchange {
        match self.exchange.load(Ordering::Acquire) {
            0 => Exchange::Done,
            1 => Exchange::Open,
            _ => Exchange::Answered,
        }
    }

    pub(super) fn set_exchange(&self, exchange: Exchange) {
        self.exchange.store(exchange as u8, Ordering::Release);
    }

    /// The connection has nothing to do until the next request begins.
    pub(super) fn expect_request(&self) {
        let time = if self.draining.load(Ordering::Relaxed) {
            self.settings.idle_time.min(self.settings.drain_idle_time)
        } else {
            self.settings.idle_time
        };
        self.deadlines.expect_within(Waiting::Idle, time);
    }

    /// From now on idle connections end soon.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.deadlines.shorten_idle(self.settings.drain_idle_time);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn set_closing(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Notes how the client broke the current body; the first fault stays.
    pub(super) fn set_body_fault(&self, fault: ClientFault) {
        self.body_fault.lock().get_or_insert(fault);
        self.has_body_fault.store(true, Ordering::Release);
    }

    pub(super) fn has_body_fault(&self) -> bool {
        self.has_body_fault.load(Ordering::Acquire)
    }

    pub(super) fn body_fault(&self) -> Option<ClientFault> {
        *self.body_fault.lock()
    }

    /// Names the task that reads unwanted bodies.
    pub(super) fn set_waker(&self, waker: &Waker) {
        self.unread.lock().waker = Some(waker.clone());
    }

    /// Leaves a body that nobody wants to the connection's task.
    pub(super) fn discard(&self, body: Incoming) {
        let mut unread = self.unread.lock();
        unread.taken = 0;
        let former = unread.body.replace(body);
        let waker = unread.waker.clone();
        drop(unread);
        drop(former);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Gives up an unwanted body if it is known to be too long to be read;
    /// returns whether it did. The connection closes then.
    pub(super) fn refuse_unread(&self) -> bool {
        let mut unread = self.unread.lock();
        let too_long = unread
            .body
            .as_ref()
            .is_some_and(|body| body.size_hint().lower() > self.settings.unread_body_bytes);
        let body = if too_long { unread.body.take() } else { None };
        drop(unread);
        body.is_some()
    }

    /// Reads on an unwanted body and throws it away.
    pub(super) fn poll_discard(&self, context: &mut Context<'_>) -> Discarded {
        let mut unread = self.unread.lock();
        let Unread { body, taken, .. } = &mut *unread;
        let Some(incoming) = body else {
            return Discarded::Waiting;
        };
        loop {
            match std::pin::Pin::new(&mut *incoming).poll_frame(context) {
                Poll::Pending => return Discarded::Waiting,
                Poll::Ready(Some(Ok(frame))) => {
                    let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
                    *taken = taken.saturating_add(bytes as u64);
                    if *taken > self.settings.unread_body_bytes {
                        *body = None;
                        return Discarded::TooLong;
                    }
                }
                Poll::Ready(None | Some(Err(_))) => {
                    *body = None;
                    return Discarded::Ended;
                }
            }
        }
    }
}
