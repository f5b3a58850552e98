//! What a client's bytes on an HTTP/1 connection are, decided before hyper
//! sees them: how many of them may be delivered, and why no more are. Looks
//! at bytes and moves none.

use std::sync::Arc;

use verge_http::chunk_scan::ChunkScanner;
use verge_http::failure::ClientFault;
use verge_http::framing::Framing;
use verge_http::head_scan::{HeadFacts, HeadScan, HeadScanner};

use super::deadlines::Waiting;
use super::http1_state::{Exchange, Http1State};

/// The first line of an HTTP/2 connection preface (RFC 9113 3.4) and its end.
const HTTP2_PREFACE_HEAD: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// The client's side of one connection.
pub(super) struct Inbound {
    state: Arc<Http1State>,
    next: Next,
    scanner: HeadScanner,
    /// Whether the connection may still turn out to speak HTTP/2.
    may_be_http2: bool,
    ended: Option<Ended>,
}

/// What the next bytes from the client are.
enum Next {
    /// A request head, or the space before one.
    Head,
    /// A body of so many more bytes.
    Length(u64),
    /// A chunked body.
    Chunked(ChunkScanner),
    /// The next request, while the current one is not answered.
    Request,
    /// Nothing that would be delivered.
    Nothing,
}

/// Why nothing more is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client closed the connection between requests.
    Closed,
    /// The client closed or broke the connection within a request.
    Aborted,
    /// A request head breaks a rule; it is still to be answered.
    HeadFault(ClientFault),
    /// A request body breaks a rule; the handler was told by an error.
    BodyFault(ClientFault),
    /// The client speaks HTTP/2 by prior knowledge.
    Http2,
}

/// Whether the client's next bytes can be looked at now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A head begins with them, or goes on.
    Head,
    /// They belong to a body.
    Body,
    /// They must wait until the current request is answered.
    Wait,
    /// They are of no use.
    Never,
}

impl Inbound {
    /// At the first byte of a connection.
    pub(super) fn new(state: Arc<Http1State>, may_be_http2: bool) -> Self {
        state.expect_request();
        Self {
            next: Next::Head,
            scanner: HeadScanner::new(state.settings.head),
            may_be_http2,
            ended: None,
            state,
        }
    }

    /// Why nothing more is delivered, if so.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Whether the next bytes can be looked at. Goes over to the next head
    /// once the current request is answered.
    pub(super) fn turn(&mut self) -> Turn {
        match self.next {
            Next::Head => Turn::Head,
            Next::Length(_) | Next::Chunked(_) => Turn::Body,
            Next::Nothing => Turn::Never,
            Next::Request if self.state.exchange() != Exchange::Done => Turn::Wait,
            Next::Request => {
                self.next = Next::Head;
                self.scanner = HeadScanner::new(self.state.settings.head);
                Turn::Head
            }
        }
    }

    /// How many of `bytes` may be delivered. For a head these are all bytes
    /// since its first, and it is delivered whole or not at all; what follows
    /// it is looked at too.
    pub(super) fn admit(&mut self, bytes: &[u8]) -> usize {
        match &self.next {
            Next::Head => self.admit_head(bytes),
            Next::Length(_) | Next::Chunked(_) => self.admit_body(bytes),
            Next::Request | Next::Nothing => 0,
        }
    }

    /// The connection ended; `has_bytes` says whether a head had begun.
    pub(super) fn end_of_input(&mut self, has_bytes: bool) {
        let ended = match self.next {
            Next::Head if !has_bytes => Ended::Closed,
            Next::Request if self.state.exchange() == Exchange::Done => Ended::Closed,
            Next::Length(_) | Next::Chunked(_) => {
                self.state.set_body_fault(ClientFault::BodyIncomplete);
                Ended::Aborted
            }
            Next::Head | Next::Request | Next::Nothing => Ended::Aborted,
        };
        self.end(ended);
    }

    /// The connection broke while writing.
    pub(super) fn broke(&mut self) {
        self.ended.get_or_insert(Ended::Aborted);
    }

    /// The response to the current request has been written.
    pub(super) fn answered(&mut self) {
        self.state.set_exchange(Exchange::Done);
        match self.next {
            Next::Request => self.state.expect_request(),
            Next::Length(_) | Next::Chunked(_) => {
                let time = self.state.settings.unread_body_time;
                self.state
                    .deadlines
                    .expect_within(Waiting::UnreadBody, time);
            }
            Next::Head | Next::Nothing => {}
        }
    }

    fn admit_head(&mut self, bytes: &[u8]) -> usize {
        if self.may_be_http2 && begins_preface(bytes) {
            if bytes.len() >= HTTP2_PREFACE_HEAD.len() {
                self.end(Ended::Http2);
            } else {
                self.expect_rest_of_head();
            }
            return 0;
        }
        match self.scanner.scan(bytes) {
            Ok(HeadScan::Complete(head)) => {
                self.begin_request(&head);
                let body = bytes.get(head.len..).unwrap_or_default();
                head.len + self.admit_body(body)
            }
            Ok(HeadScan::Incomplete) => {
                self.expect_rest_of_head();
                0
            }
            Err(fault) => {
                self.end(Ended::HeadFault(fault));
                0
            }
        }
    }

    /// A head has begun: the time for it runs from its first byte.
    fn expect_rest_of_head(&self) {
        if self.state.deadlines.expected() != Some(Waiting::Head) {
            let time = self.state.settings.head_time;
            self.state.deadlines.expect_within(Waiting::Head, time);
        }
    }

    fn begin_request(&mut self, head: &HeadFacts) {
        self.may_be_http2 = false;
        self.next = match head.framing {
            Framing::None | Framing::Length(0) => Next::Request,
            Framing::Length(length) => Next::Length(length),
            Framing::Chunked => Next::Chunked(ChunkScanner::new(self.state.settings.chunks)),
        };
        self.state.deadlines.expect_nothing();
        self.state.set_exchange(Exchange::Open);
    }

    fn admit_body(&mut self, bytes: &[u8]) -> usize {
        let (admitted, ended) = match &mut self.next {
            Next::Length(left) => {
                let admitted = usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                *left -= admitted as u64;
                (admitted, *left == 0)
            }
            Next::Chunked(scanner) => match scanner.scan(bytes) {
                Ok(scan) => (scan.consumed, scan.ended),
                Err(fault) => {
                    self.state.set_body_fault(fault);
                    self.end(Ended::BodyFault(fault));
                    return 0;
                }
            },
            Next::Head | Next::Request | Next::Nothing => return 0,
        };
        if ended {
            self.next = Next::Request;
            if self.state.exchange() == Exchange::Done {
                // It was an unwanted body, read to its end after the response.
                self.state.expect_request();
            }
        }
        admitted
    }

    fn end(&mut self, ended: Ended) {
        self.ended.get_or_insert(ended);
        self.next = Next::Nothing;
        self.state.deadlines.expect_nothing();
    }
}

/// Whether `bytes` can be the beginning of an HTTP/2 connection.
fn begins_preface(bytes: &[u8]) -> bool {
    let count = bytes.len().min(HTTP2_PREFACE_HEAD.len());
    bytes.get(..count) == HTTP2_PREFACE_HEAD.get(..count)
}
