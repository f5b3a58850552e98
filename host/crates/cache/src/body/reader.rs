//! One reader of a fill.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use verge_base::Reservation;
use verge_http::Failure;

use super::fill::{Attach, Fill, Read};

/// Content from its beginning while it arrives. Dropping it tells the fill
/// that this reader is gone, which ends the fill only if nobody else reads and
/// it cannot be stored.
///
/// Ends in [`verge_http::failure::NodeFault::ReaderTooSlow`] if it fell out of
/// the window, or in the failure that ended the fill.
pub struct FillReader {
    fill: Arc<Fill>,
    place: usize,
    position: u64,
    /// Trailers or a failure were given out: nothing comes after them.
    is_ended: bool,
}

impl FillReader {
    /// A fill with nothing in it yet, and its first reader.
    pub(crate) fn open(
        expected: Option<u64>,
        window: u64,
        reservation: Option<Reservation>,
    ) -> (Arc<Fill>, Self) {
        let fill = Arc::new(Fill::new(expected, window, reservation));
        let place = fill.add_reader();
        let reader = Self::at(&fill, place);
        (fill, reader)
    }

    fn at(fill: &Arc<Fill>, place: usize) -> Self {
        Self {
            fill: Arc::clone(fill),
            place,
            position: 0,
            is_ended: false,
        }
    }

    /// A reader of `fill`, if it can read from the beginning.
    pub(crate) fn attach(fill: &Arc<Fill>) -> Result<Self, Attach> {
        match fill.attach() {
            Attach::Attached(place) => Ok(Self::at(fill, place)),
            refused => Err(refused),
        }
    }
}

impl Body for FillReader {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(polled) = self.fill.poll_read(self.place, context) else {
            return Poll::Pending;
        };
        Poll::Ready(match polled {
            Some(Ok(Read::Data(data))) => {
                self.position = self.position.saturating_add(data.len() as u64);
                Some(Ok(Frame::data(data)))
            }
            Some(Ok(Read::Trailers(trailers))) => {
                self.is_ended = true;
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(Err(failure)) => {
                self.is_ended = true;
                Some(Err(failure))
            }
            None => {
                self.is_ended = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_ended || self.fill.is_complete_at(self.position)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(expected) = self.fill.expected() else {
            return SizeHint::default();
        };
        SizeHint::with_exact(expected.saturating_sub(self.position))
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.detach(self.place);
    }
}

impl fmt::Debug for FillReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FillReader")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
