//! The content of a response in slices: one after the other, and one ahead.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use verge_http::failure::OriginFault;
use verge_http::range::ByteRange;
use verge_http::{Body, Failure};

use super::slice::{Found, Slices, Stage};
use crate::telemetry::Receipt;

type NextSlice = Pin<Box<dyn Future<Output = Result<Body, Failure>> + Send>>;

/// The slice behind the one that is being sent: one, so that memory stays bounded and the
/// origin is not asked for what nobody may read.
enum Next {
    None,
    Asked(NextSlice),
    Here(Result<Body, Failure>),
}

/// The parts of slices one after the other.
pub(super) struct SlicedBody {
    slices: Arc<Slices>,
    found: Found,
    want: ByteRange,
    current: Option<Body>,
    next: Next,
    /// The slice that `current` is of.
    number: u64,
    /// The last slice that is wanted.
    last: u64,
    left: u64,
}

impl SlicedBody {
    /// The bytes `want`, of which `first` is the content of the slice where they begin, and
    /// `ahead` that of the next one, if it is known.
    pub(super) fn new(
        slices: Arc<Slices>,
        found: Found,
        want: ByteRange,
        first: Body,
        ahead: Option<Body>,
    ) -> Self {
        let (number, last) = (slices.number(want.first), slices.number(want.last));
        Self {
            current: Some(slices.part_of_slice(number, first, &found, want)),
            next: ahead.map_or(Next::None, |ahead| Next::Here(Ok(ahead))),
            number,
            last,
            left: want.len(),
            want,
            found,
            slices,
        }
    }

    /// Asks for the next slice while this one is sent.
    fn look_ahead(&mut self, context: &mut Context<'_>) {
        if matches!(self.next, Next::None) && self.number < self.last {
            let (slices, found) = (Arc::clone(&self.slices), self.found.clone());
            let number = self.number + 1;
            self.next = Next::Asked(Box::pin(async move {
                let node = &slices.routed.node;
                let (now, wall) = (node.clock.now(), node.clock.wall());
                // Told to nobody: what the origin cost is counted where it is asked.
                let mut receipt = Receipt::begin(slices.routed.id, now, wall);
                let place = (number, Stage::Sending);
                let next = slices.next(&mut receipt, place, &found).await;
                next.map_err(Failure::from)
            }));
        }
        if let Next::Asked(asked) = &mut self.next
            && let Poll::Ready(here) = asked.as_mut().poll(context)
        {
            self.next = Next::Here(here);
        }
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        while self.left > 0 {
            self.look_ahead(context);
            if let Some(current) = &mut self.current {
                match ready!(Pin::new(current).poll_frame(context)) {
                    Some(Ok(frame)) => {
                        let data = frame.into_data().unwrap_or_default();
                        if !data.is_empty() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                    Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                    None => self.current = None,
                }
                continue;
            }
            match std::mem::replace(&mut self.next, Next::None) {
                Next::Here(Ok(content)) => {
                    self.number += 1;
                    let part =
                        self.slices
                            .part_of_slice(self.number, content, &self.found, self.want);
                    self.current = Some(part);
                }
                Next::Here(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                Next::Asked(asked) => {
                    self.next = Next::Asked(asked);
                    return Poll::Pending;
                }
                Next::None => {
                    let failure = Failure::responding(OriginFault::ResponseIncomplete);
                    return Poll::Ready(Some(Err(failure)));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl http_body::Body for SlicedBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let data = match ready!(self.poll_data(context)) {
            Some(Ok(data)) => data,
            Some(Err(failure)) => {
                self.left = 0;
                return Poll::Ready(Some(Err(failure)));
            }
            None => return Poll::Ready(None),
        };
        self.left = self.left.saturating_sub(data.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
