//! Interim responses (RFC 9110 15.2) to the client of one HTTP/2 stream.
//!
//! Who has one need not be the stream's task, which alone can write to the
//! stream: it waits here, and the task is woken.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use http::{HeaderMap, Response, StatusCode};
use parking_lot::Mutex;
use verge_http::interim::InterimSink;

use super::event::{ConnectionEvent, Limit};
use super::exchange::EventSink;
use super::interim::InterimLimits;

/// Interim responses that wait to be written to one stream.
pub(super) struct Http2Interim {
    /// Whether the final response has begun.
    is_closed: AtomicBool,
    /// Whether any waits; what a stream that has none looks at.
    is_waiting: AtomicBool,
    queue: Mutex<Queue>,
    limits: InterimLimits,
    events: Arc<dyn EventSink>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Response<()>>,
    /// Of what was taken from origins so far.
    count: usize,
    bytes: usize,
    /// The stream's task.
    waker: Option<Waker>,
}

impl Http2Interim {
    pub(super) fn new(limits: InterimLimits, events: Arc<dyn EventSink>) -> Self {
        Self {
            is_closed: AtomicBool::new(false),
            is_waiting: AtomicBool::new(false),
            queue: Mutex::new(Queue::default()),
            limits,
            events,
        }
    }

    /// Makes it ready for another stream.
    pub(super) fn reset(&mut self) {
        *self.is_closed.get_mut() = false;
        *self.is_waiting.get_mut() = false;
        *self.queue.get_mut() = Queue::default();
    }

    /// Tells the client to go on with its content (RFC 9110 15.2.1).
    pub(super) fn proceed(&self) {
        let mut queue = self.queue.lock();
        self.push(&mut queue, StatusCode::CONTINUE, HeaderMap::new());
        let waker = queue.waker.clone();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What waits; `waker` is woken when there is more.
    pub(super) fn take(&self, waker: &Waker) -> Vec<Response<()>> {
        let mut queue = self.queue.lock();
        match &mut queue.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        self.is_waiting.store(false, Ordering::Relaxed);
        std::mem::take(&mut queue.waiting)
    }

    /// What waits as the final response begins; nothing is taken any more.
    pub(super) fn close(&self) -> Vec<Response<()>> {
        self.is_closed.store(true, Ordering::Release);
        if self.is_waiting.load(Ordering::Acquire) {
            std::mem::take(&mut self.queue.lock().waiting)
        } else {
            Vec::new()
        }
    }

    fn push(&self, queue: &mut Queue, status: StatusCode, fields: HeaderMap) {
        if self.is_closed.load(Ordering::Acquire) {
            return;
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        queue.waiting.push(response);
        self.is_waiting.store(true, Ordering::Release);
    }
}

impl InterimSink for Http2Interim {
    fn send(&self, _exchange: u64, status: StatusCode, fields: HeaderMap) {
        let bytes = size(&fields);
        let mut queue = self.queue.lock();
        let total = queue.bytes.saturating_add(bytes);
        if queue.count >= self.limits.responses || total > self.limits.bytes {
            drop(queue);
            self.events
                .event(ConnectionEvent::LimitHit(Limit::InterimResponses));
            return;
        }
        queue.count += 1;
        queue.bytes = total;
        self.push(&mut queue, status, fields);
        let waker = queue.waker.clone();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for Http2Interim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Http2Interim")
    }
}

/// The bytes of an interim response: `:status` and its value, then each field with 4 more, as
/// in HTTP/1.1, where they are line ends and colons. How HPACK writes it does not matter.
fn size(fields: &HeaderMap) -> usize {
    const STATUS: usize = 10;
    fields.iter().fold(STATUS, |sum, (name, value)| {
        sum.saturating_add(name.as_str().len() + value.len() + 4)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Events(Mutex<Vec<ConnectionEvent>>);

    impl EventSink for Events {
        fn event(&self, event: ConnectionEvent) {
            self.0.lock().push(event);
        }
    }

    fn hint() -> StatusCode {
        StatusCode::from_u16(103).expect("a status")
    }

    fn statuses(taken: &[Response<()>]) -> Vec<u16> {
        taken.iter().map(|one| one.status().as_u16()).collect()
    }

    #[test]
    fn a_stream_gets_its_own_before_its_response_and_no_more_than_its_share() {
        let events = Arc::new(Events(Mutex::default()));
        let limits = InterimLimits {
            responses: 2,
            bytes: 1000,
        };
        let mut interim = Http2Interim::new(limits, Arc::clone(&events) as _);
        interim.send(0, hint(), HeaderMap::new());
        // Ours, which counts for nothing.
        interim.proceed();
        assert_eq!(statuses(&interim.take(Waker::noop())), [103, 100]);
        interim.send(0, hint(), HeaderMap::new());
        interim.send(0, hint(), HeaderMap::new());
        assert_eq!(statuses(&interim.close()), [103]);
        let hit = ConnectionEvent::LimitHit(Limit::InterimResponses);
        assert_eq!(*events.0.lock(), [hit]);
        interim.reset();
        interim.send(0, hint(), HeaderMap::new());
        assert_eq!(statuses(&interim.close()), [103]);
        interim.send(0, hint(), HeaderMap::new());
        assert!(interim.close().is_empty(), "after the final response");
    }

    #[test]
    fn bytes_are_bounded() {
        let events = Arc::new(Events(Mutex::default()));
        let limits = InterimLimits {
            responses: 100,
            bytes: 64,
        };
        let interim = Http2Interim::new(limits, Arc::clone(&events) as _);
        let mut fields = HeaderMap::new();
        fields.insert("link", "</a.css>; rel=preload".parse().expect("a value"));
        interim.send(0, hint(), fields.clone());
        interim.send(0, hint(), fields);
        assert_eq!(interim.close().len(), 1);
        assert_eq!(events.0.lock().len(), 1);
    }
}
