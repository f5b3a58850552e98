//! Content from Redis that somebody holds: counted until its last byte is let go, however long
//! that takes a client for which memory had no room.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use verge_http::{Body, Failure};

/// The unit in which bytes are counted.
const UNIT: u64 = 1 << 10;

/// A bound on bytes that are held; cheap to clone.
#[derive(Clone)]
pub(super) struct Loads(Arc<Semaphore>);

/// Room for content that has not come yet.
pub(super) struct Room(OwnedSemaphorePermit);

struct Held {
    bytes: Bytes,
    #[expect(dead_code, reason = "held for its Drop")]
    room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Loads {
    /// A bound of `most` bytes.
    pub(super) fn new(most: u64) -> Self {
        let units = usize::try_from(most / UNIT).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// Room for `length` bytes in pieces of whole units but for the last; `None` if there is none.
    pub(super) fn room_for(&self, length: u64) -> Option<Room> {
        let semaphore = Arc::clone(&self.0);
        semaphore
            .try_acquire_many_owned(units(length))
            .ok()
            .map(Room)
    }
}

impl Room {
    /// `piece`, with its part of the room for as long as anybody holds any of it.
    pub(super) fn hold(&mut self, piece: Bytes) -> Bytes {
        let room = self.0.split(units(piece.len() as u64) as usize);
        Bytes::from_owner(Held { bytes: piece, room })
    }
}

fn units(length: u64) -> u32 {
    u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// The pieces one after the other. What was given out is not held here any more.
struct LoadedBody {
    pieces: VecDeque<Bytes>,
    left: u64,
}

/// `content` as a body.
pub(crate) fn body(mut content: Vec<Bytes>) -> Body {
    match content.len() {
        0 => Body::Empty,
        1 => content.pop().map_or(Body::Empty, Body::Full),
        _ => Body::stream(LoadedBody {
            left: content.iter().map(|piece| piece.len() as u64).sum(),
            pieces: content.into(),
        }),
    }
}

impl http_body::Body for LoadedBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let piece = self.pieces.pop_front();
        let length = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        self.left = self.left.saturating_sub(length);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
