//! Content that the host gives to a guest of `wasi:http`, bounded while the guest
//! reads it, and had back as it was when the guest hands it on: then it passes
//! the guest by, past its limit of content, and needs its instance no longer.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use verge_http::Body;
use wasmtime_wasi_http::{Error, WasiBody};

use super::Shared;
use super::fetches::UnderWay;
use crate::record;

thread_local! {
    /// What passes between [`reclaim`] and the [`Incoming`] that it asks, through wrappers which
    /// hide what they hold and hand on the question whether it has ended.
    static ASKED: RefCell<Ask> = const { RefCell::new(Ask::Nobody) };
}

enum Ask {
    Nobody,
    /// Whether it was read; what was not is given out.
    Reclaiming,
    /// Whether it was read.
    Peeking,
    Found(HandedOn),
}

/// Content of a message of a guest, as the host knows it.
pub(crate) enum HandedOn {
    /// The host's own, of which the guest read nothing.
    Whole(Body),
    /// The host's own, of which the guest read something. A guest takes from a piece what it has
    /// room for, and what is left of the piece is lost when it hands the stream on: so this cannot
    /// be sent, as nobody would see that something is missing.
    PartlyRead,
    /// None that is given out: the guest writes it, or fetched it.
    Nothing,
}

/// What a guest is told that hands on content of which it has read some.
pub(crate) const PARTLY_READ: &str = "it hands on content of which it has read a part: content has \
                                      to be handed on unread, or copied to a stream of its own";

/// A request for a guest, with its content bounded.
pub(crate) fn incoming(
    request: http::Request<Body>,
    shared: &Arc<Shared>,
    limit: u64,
) -> http::Request<Incoming> {
    request.map(|body| Incoming::new(body, shared, limit, None))
}

/// Where content comes back of which nothing was read.
#[derive(Clone, Default)]
pub(crate) struct Unread(Arc<Mutex<Option<Body>>>);

impl Unread {
    pub(crate) fn take(&self) -> Option<Body> {
        self.0.lock().take()
    }
}

/// See the file's head.
pub(crate) struct Incoming {
    /// Only this can give the content out behind a shared reference, which is all that wrappers
    /// pass on.
    held: RefCell<Held>,
    shared: Arc<Shared>,
    left: u64,
    waiting: Option<PeerWait>,
    /// Of a response: it counts as under way for as long as the guest has it.
    under_way: Option<UnderWay>,
}

/// Something of a guest waits for a peer, until this is dropped.
pub(super) struct PeerWait(Arc<Shared>);

impl PeerWait {
    pub(super) fn begin(shared: &Arc<Shared>) -> Self {
        shared.meter.add_peer();
        Self(Arc::clone(shared))
    }
}

impl Drop for PeerWait {
    fn drop(&mut self) {
        self.0.meter.remove_peer();
    }
}

struct Held {
    body: Body,
    is_touched: bool,
    unread: Option<Unread>,
}

impl Incoming {
    /// Content of which a guest may read `limit` bytes, and which comes back to `unread` when it
    /// is dropped untouched.
    pub(crate) fn new(
        body: Body,
        shared: &Arc<Shared>,
        limit: u64,
        unread: Option<Unread>,
    ) -> Self {
        Self {
            held: RefCell::new(Held {
                body,
                is_touched: false,
                unread,
            }),
            shared: Arc::clone(shared),
            left: limit,
            waiting: None,
            under_way: None,
        }
    }

    /// The same, which ends what is under way when it is dropped.
    pub(super) fn until_read(mut self, under_way: UnderWay) -> Self {
        self.under_way = Some(under_way);
        self
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let held = self.held.get_mut();
        if let Some(unread) = held.unread.take()
            && !held.is_touched
        {
            *unread.0.lock() = Some(std::mem::take(&mut held.body));
        }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let held = this.held.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut held.body).poll_frame(context) else {
            let shared = &this.shared;
            this.waiting.get_or_insert_with(|| PeerWait::begin(shared));
            return Poll::Pending;
        };
        this.waiting = None;
        held.is_touched = true;
        if let Some(tape) = &this.shared.tape {
            let noted = frame
                .as_ref()
                .map(|frame| frame.as_ref().map_err(|failure| *failure));
            tape.roll.note_frame(record::REQUEST, noted);
        }
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(_)) | None => 0,
        };
        let left = this.left.checked_sub(length);
        if left.is_none() || matches!(frame, Some(Err(_))) {
            this.shared.note_given_less();
        }
        let Some(left) = left else {
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
        };
        this.left = left;
        Poll::Ready(frame.map(|frame| frame.map_err(|_| Error::ConnectionTerminated)))
    }

    fn is_end_stream(&self) -> bool {
        ASKED.with_borrow_mut(|ask| {
            let Ok(mut held) = self.held.try_borrow_mut() else {
                return;
            };
            match ask {
                Ask::Reclaiming | Ask::Peeking if held.is_touched => {
                    *ask = Ask::Found(HandedOn::PartlyRead);
                }
                Ask::Reclaiming => {
                    held.unread = None;
                    *ask = Ask::Found(HandedOn::Whole(std::mem::take(&mut held.body)));
                }
                Ask::Nobody | Ask::Peeking | Ask::Found(_) => {}
            }
        });
        self.held.borrow().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.held.borrow().body.size_hint()
    }
}

/// Takes the host's own content out of what a guest hands on.
pub(crate) fn reclaim(body: &WasiBody) -> HandedOn {
    ask(Ask::Reclaiming, body)
}

/// Whether a guest hands on what it has read a part of.
pub(crate) fn is_partly_read(body: &WasiBody) -> bool {
    matches!(ask(Ask::Peeking, body), HandedOn::PartlyRead)
}

fn ask(question: Ask, body: &WasiBody) -> HandedOn {
    ASKED.set(question);
    let _ = body.is_end_stream();
    match ASKED.replace(Ask::Nobody) {
        Ask::Found(found) => found,
        Ask::Nobody | Ask::Reclaiming | Ask::Peeking => HandedOn::Nothing,
    }
}

/// Content that a guest has fetched, and whether it read some of it.
pub(crate) struct Told {
    body: WasiBody,
    is_touched: bool,
}

impl Told {
    pub(crate) fn new(body: WasiBody) -> Self {
        Self {
            body,
            is_touched: false,
        }
    }
}

impl http_body::Body for Told {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
        this.is_touched = true;
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        ASKED.with_borrow_mut(|ask| {
            if self.is_touched && matches!(ask, Ask::Reclaiming | Ask::Peeking) {
                *ask = Ask::Found(HandedOn::PartlyRead);
            }
        });
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Content that a guest writes, held to its declared length and to a limit. The declared length is
/// not left to `wasmtime-wasi-http`: for what has no content, as an answer to HEAD, it would be an
/// error, and its wrapper hides what it holds from [`reclaim`].
pub(crate) struct Written {
    body: WasiBody,
    /// Bytes that it may still have.
    left: u64,
    /// Bytes that are still to come by its Content-Length.
    declared: Option<u64>,
    /// Whose end looks like the end of the content.
    writer: Option<Arc<Shared>>,
}

impl Written {
    pub(crate) fn new(body: WasiBody, limit: u64, declared: Option<u64>) -> Self {
        Self {
            body,
            left: limit,
            declared,
            writer: None,
        }
    }

    /// Content of a request of this guest: when the guest ends first, it is not complete.
    pub(crate) fn of(mut self, guest: &Arc<Shared>) -> Self {
        self.writer = Some(Arc::clone(guest));
        self
    }

    /// Whether it may be complete where it has no more.
    fn may_end(&self) -> bool {
        match (self.declared, &self.writer) {
            (Some(left), _) => left == 0,
            (None, Some(writer)) => !writer.is_over.load(Ordering::Relaxed),
            (None, None) => true,
        }
    }

    /// Whether content of this length may follow.
    fn take(&mut self, length: u64) -> bool {
        let left = self.left.checked_sub(length);
        let declared = match self.declared {
            None => Some(None),
            Some(declared) => declared.checked_sub(length).map(Some),
        };
        let (Some(left), Some(declared)) = (left, declared) else {
            return false;
        };
        (self.left, self.declared) = (left, declared);
        true
    }
}

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
        let is_right = match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => this.take(data.len() as u64),
                None => this.declared.is_none_or(|left| left == 0),
            },
            Some(Err(_)) => true,
            None => this.may_end(),
        };
        if !is_right {
            this.declared = None;
            return Poll::Ready(Some(Err(Error::HttpResponseBodySize(None))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.declared.is_none_or(|left| left == 0) && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(left) => SizeHint::with_exact(left),
            None => self.body.size_hint(),
        }
    }
}
