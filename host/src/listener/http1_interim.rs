//! Interim responses (RFC 9110 15.2) to the client of an HTTP/1.1 connection.
//!
//! hyper's server sends none but 100. But all of its bytes go through [`ScannedIo`], which sees
//! when it has written everything it had, and it gets the next request only when the former
//! response is at the client: so between those moments and the first byte of a final response,
//! whole interim heads can be written to the socket, in front of what hyper writes next.
//!
//! [`ScannedIo`]: super::scanned_io::ScannedIo

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use verge_http::interim::InterimSink;

use super::event::{ConnectionEvent, Limit};
use super::exchange::EventSink;
use super::http1_state::Http1State;
use super::interim::InterimLimits;

/// Interim responses that wait to be written, and the exchange they belong to.
///
/// Exchanges are numbered: while one may have interim responses its number is odd, and the
/// even number after it stands for its final response and for the time until the next.
#[derive(Default)]
pub(super) struct InterimOutbox {
    stage: AtomicU64,
    is_pending: AtomicBool,
    heads: Mutex<Heads>,
}

#[derive(Default)]
struct Heads {
    exchange: u64,
    count: usize,
    total: usize,
    bytes: BytesMut,
}

/// Whether an interim response was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Yes,
    /// Its exchange has its final response.
    TooLate,
    /// The exchange had its share.
    OverLimit,
}

impl InterimOutbox {
    /// A request begins, whose client may get interim responses.
    fn open(&self) {
        self.stage.fetch_add(1, Ordering::AcqRel);
    }

    /// Its final response is about to be written. Only after [`InterimOutbox::open`].
    fn close(&self) {
        self.stage.fetch_add(1, Ordering::AcqRel);
    }

    /// Where the connection stands.
    pub(super) fn stage(&self) -> u64 {
        self.stage.load(Ordering::Acquire)
    }

    /// Whether the client may get interim responses now.
    pub(super) fn is_open(&self) -> bool {
        is_open(self.stage())
    }

    pub(super) fn is_pending(&self) -> bool {
        self.is_pending.load(Ordering::Acquire)
    }

    /// What waits for the exchange that is open, or was until now.
    pub(super) fn take(&self) -> BytesMut {
        let mut heads = self.heads.lock();
        self.is_pending.store(false, Ordering::Release);
        let bytes = std::mem::take(&mut heads.bytes);
        let stage = self.stage();
        if heads.exchange == stage || heads.exchange + 1 == stage {
            bytes
        } else {
            BytesMut::new()
        }
    }

    fn push(&self, exchange: u64, head: &[u8], settings: InterimLimits) -> Taken {
        let mut heads = self.heads.lock();
        if exchange != self.stage() {
            return Taken::TooLate;
        }
        if heads.exchange != exchange {
            *heads = Heads {
                exchange,
                ..Heads::default()
            };
        }
        let total = heads.total.saturating_add(head.len());
        if heads.count >= settings.responses || total > settings.bytes {
            return Taken::OverLimit;
        }
        heads.count += 1;
        heads.total = total;
        heads.bytes.extend_from_slice(head);
        self.is_pending.store(true, Ordering::Release);
        Taken::Yes
    }
}

const fn is_open(stage: u64) -> bool {
    stage % 2 == 1
}

/// A request whose client may get interim responses, until this is dropped.
pub(super) struct InterimOpen<'a>(&'a InterimOutbox);

impl<'a> InterimOpen<'a> {
    pub(super) fn new(state: &'a Http1State) -> Self {
        state.interim.open();
        Self(&state.interim)
    }

    /// The number of the exchange.
    pub(super) fn exchange(&self) -> u64 {
        self.0.stage()
    }
}

impl Drop for InterimOpen<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The way for interim responses to one connection's client.
pub(super) struct Http1Interim {
    state: Arc<Http1State>,
    events: Arc<dyn EventSink>,
}

impl Http1Interim {
    pub(super) fn new(state: Arc<Http1State>, events: Arc<dyn EventSink>) -> Self {
        Self { state, events }
    }
}

impl InterimSink for Http1Interim {
    fn send(&self, exchange: u64, status: StatusCode, fields: HeaderMap) {
        let head = encode(status, &fields);
        let limits = self.state.settings.interim;
        match self.state.interim.push(exchange, &head, limits) {
            Taken::Yes => self.state.wake(),
            Taken::TooLate => {}
            Taken::OverLimit => self
                .events
                .event(ConnectionEvent::LimitHit(Limit::InterimResponses)),
        }
    }
}

impl fmt::Debug for Http1Interim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Http1Interim")
    }
}

/// An interim response in HTTP/1.1 (RFC 9112 4).
fn encode(status: StatusCode, fields: &HeaderMap) -> BytesMut {
    let mut out = BytesMut::with_capacity(256);
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    for (name, value) in fields {
        out.put_slice(name.as_str().as_bytes());
        out.put_slice(b": ");
        out.put_slice(value.as_bytes());
        out.put_slice(b"\r\n");
    }
    out.put_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: InterimLimits = InterimLimits {
        responses: 2,
        bytes: 10,
    };

    #[test]
    fn each_exchange_gets_its_own_and_no_more_than_its_share() {
        let outbox = InterimOutbox::default();
        assert!(!outbox.is_open());
        outbox.open();
        let first = outbox.stage();
        assert_eq!(outbox.push(first, b"one", TWO), Taken::Yes);
        assert!(outbox.is_pending());
        assert_eq!(outbox.take(), "one");
        assert!(!outbox.is_pending());
        assert_eq!(outbox.push(first, b"too many", TWO), Taken::OverLimit);
        assert_eq!(outbox.push(first, b"two", TWO), Taken::Yes);
        assert_eq!(outbox.push(first, b"", TWO), Taken::OverLimit);
        outbox.close();
        // What came before the final response goes before it.
        assert_eq!(outbox.take(), "two");
        assert_eq!(outbox.push(first, b"late", TWO), Taken::TooLate);
        outbox.open();
        assert_eq!(outbox.push(first, b"late", TWO), Taken::TooLate);
        assert_eq!(outbox.push(outbox.stage(), b"next", TWO), Taken::Yes);
        outbox.close();
        outbox.open();
        assert_eq!(outbox.take(), "", "of an exchange that is over");
    }

    #[test]
    fn an_interim_head_is_whole() {
        let mut fields = HeaderMap::new();
        fields.insert("link", "</a>".parse().expect("a value"));
        let status = StatusCode::from_u16(103).expect("a status");
        let head = encode(status, &fields);
        let text = String::from_utf8(head.to_vec()).expect("text");
        assert!(text.starts_with("HTTP/1.1 103 "), "{text:?}");
        assert!(text.ends_with("\r\nlink: </a>\r\n\r\n"), "{text:?}");
    }
}
