//! What writer and readers of a fill share. Every method takes the lock once,
//! does a bounded step, and wakes outside of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use verge_base::Reservation;
use verge_http::Failure;
use verge_http::failure::NodeFault;

use super::state::{Keep, Progress, Reader, Segment, State, Wakers};

/// A fill in progress, or a complete one with readers.
pub(crate) struct Fill {
    state: Mutex<State>,
    /// The Content-Length, if the response has one.
    expected: Option<u64>,
    /// Bytes on each side of the furthest reader that are kept once not all is.
    half_window: u64,
    /// What the fill itself takes.
    #[expect(dead_code, reason = "held for its Drop")]
    reservation: Option<Reservation>,
}

/// What a reader gets next.
pub(crate) enum Read {
    /// Content.
    Data(Bytes),
    /// The trailers, after which nothing comes.
    Trailers(HeaderMap),
}

/// Whether a new reader can read from the beginning.
pub(crate) enum Attach {
    /// It can; its place.
    Attached(usize),
    /// The beginning is gone.
    WindowMoved,
    /// The fill has failed.
    Failed(Failure),
}

/// Whether the writer may append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// It may.
    Free,
    /// Nobody reads any more.
    NoReaders,
}

/// Bytes that a fill takes beside its content, for as long as somebody reads it: writer, reader,
/// flight and lists; and the second head, once the length is known that the first one does not tell.
pub(crate) fn fill_cost(fields: usize, expected: Option<u64>) -> u64 {
    match expected {
        Some(_) => FILL_BYTES,
        None => FILL_BYTES + HEAD_COPY_BYTES + FIELD_COPY_BYTES * fields as u64,
    }
}

/// A fill without content.
const FILL_BYTES: u64 = 512;

/// A copy of a head without fields.
const HEAD_COPY_BYTES: u64 = 512;

/// A field in such a copy, which shares names and values.
const FIELD_COPY_BYTES: u64 = 104;

fn wake(wakers: Wakers) {
    for waker in wakers {
        waker.wake();
    }
}

impl Fill {
    /// An empty fill that keeps everything; `window` is the bytes kept once
    /// that ends, and `reservation` is for the fill itself.
    pub(crate) fn new(
        expected: Option<u64>,
        window: u64,
        reservation: Option<Reservation>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                segments: VecDeque::new(),
                base: 0,
                end: 0,
                keep: Keep::All,
                progress: Progress::Filling,
                readers: Vec::new(),
                free: Vec::new(),
                writer: None,
            }),
            expected,
            half_window: window / 2,
            reservation,
        }
    }

    /// The Content-Length, if the response has one.
    pub(crate) fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Bytes that have arrived.
    pub(crate) fn reach(&self) -> u64 {
        self.state.lock().end
    }

    /// Adds a reader at the beginning.
    pub(crate) fn attach(&self) -> Attach {
        let mut state = self.state.lock();
        if let Progress::Failed(failure) = state.progress {
            return Attach::Failed(failure);
        }
        if state.base > 0 || state.keep == Keep::Window {
            return Attach::WindowMoved;
        }
        Attach::Attached(add_reader(&mut state))
    }

    /// Adds the first reader.
    pub(crate) fn add_reader(&self) -> usize {
        add_reader(&mut self.state.lock())
    }

    /// Removes a reader; the writer may have waited for it.
    pub(crate) fn detach(&self, place: usize) {
        let (writer, cut) = {
            let mut state = self.state.lock();
            if let Some(reader) = state.readers.get_mut(place)
                && reader.take().is_some()
            {
                state.free.push(place);
            }
            let cut = state.trim(self.half_window);
            (state.writer.take(), cut)
        };
        if let Some(writer) = writer {
            writer.wake();
        }
        wake(cut);
    }

    /// What comes next for the reader at `place`: data, trailers, the end, or
    /// the failure that ended the fill.
    pub(crate) fn poll_read(
        &self,
        place: usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Read, Failure>>> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (base, end) = (state.base, state.end);
        let Some(position) = state.readers.get(place).and_then(Option::as_ref) else {
            return Poll::Ready(None);
        };
        let position = position.position;
        if position < base {
            return Poll::Ready(Some(Err(NodeFault::ReaderTooSlow.into())));
        }
        if position < end
            && let Some(bytes) = state.bytes_at(position)
        {
            if let Some(Some(reader)) = state.readers.get_mut(place) {
                reader.position = position.saturating_add(bytes.len() as u64);
            }
            let cut = state.trim(self.half_window);
            let writer = state.writer.take();
            drop(guard);
            if let Some(writer) = writer {
                writer.wake();
            }
            wake(cut);
            return Poll::Ready(Some(Ok(Read::Data(bytes))));
        }
        match &state.progress {
            Progress::Filling => {
                if let Some(Some(reader)) = state.readers.get_mut(place) {
                    match &mut reader.waker {
                        Some(waker) => waker.clone_from(context.waker()),
                        none => *none = Some(context.waker().clone()),
                    }
                }
                Poll::Pending
            }
            Progress::Complete(Some(trailers)) => {
                Poll::Ready(Some(Ok(Read::Trailers(trailers.clone()))))
            }
            Progress::Complete(None) => Poll::Ready(None),
            Progress::Failed(failure) => Poll::Ready(Some(Err(*failure))),
        }
    }

    /// Whether the reader at `position` has nothing more to come.
    pub(crate) fn is_complete_at(&self, position: u64) -> bool {
        let state = self.state.lock();
        matches!(state.progress, Progress::Complete(None)) && position >= state.end
    }

    /// Appends `bytes` and wakes readers.
    pub(crate) fn append(&self, bytes: Bytes) {
        let wakers = {
            let mut state = self.state.lock();
            let start = state.end;
            state.end = start.saturating_add(bytes.len() as u64);
            state.segments.push_back(Segment { start, bytes });
            state.take_reader_wakers()
        };
        wake(wakers);
    }

    /// The last `count` segments, for [`Fill::replace_last`].
    pub(crate) fn last(&self, count: usize) -> SmallVec<[Bytes; 8]> {
        let state = self.state.lock();
        let skipped = state.segments.len().saturating_sub(count);
        state
            .segments
            .iter()
            .skip(skipped)
            .map(|segment| segment.bytes.clone())
            .collect()
    }

    /// Puts `merged`, which has the bytes of the last `count` segments, in
    /// their place. Readers go by position and do not notice.
    pub(crate) fn replace_last(&self, count: usize, merged: Bytes) {
        let mut state = self.state.lock();
        let kept = state.segments.len().saturating_sub(count);
        let Some(first) = state.segments.get(kept) else {
            return;
        };
        let start = first.start;
        state.segments.truncate(kept);
        state.segments.push_back(Segment {
            start,
            bytes: merged,
        });
    }

    /// From now on only a window is kept.
    pub(crate) fn keep_window(&self) {
        let cut = {
            let mut state = self.state.lock();
            state.keep = Keep::Window;
            let cut = state.trim(self.half_window);
            // The list has room for all of the content.
            state.segments.shrink_to_fit();
            cut
        };
        wake(cut);
    }

    /// Ready when `len` more bytes may be appended to a window, or when nobody reads.
    pub(crate) fn poll_room(&self, context: &mut Context<'_>, len: u64) -> Poll<Room> {
        let half_window = self.half_window;
        self.poll_ahead(context, |ahead| {
            // What is larger than the window passes once all before it is read.
            ahead == 0 || ahead.saturating_add(len) <= half_window
        })
    }

    /// Ready when a reader has read all there is, or when nobody reads.
    pub(crate) fn poll_drained(&self, context: &mut Context<'_>) -> Poll<Room> {
        self.poll_ahead(context, |ahead| ahead == 0)
    }

    /// Ready when nobody reads.
    pub(crate) fn poll_unread(&self, context: &mut Context<'_>) -> Poll<()> {
        // A reader that has read all there is reads on when more comes.
        self.poll_ahead(context, |_| false).map(|_| ())
    }

    fn poll_ahead(&self, context: &mut Context<'_>, is_room: impl Fn(u64) -> bool) -> Poll<Room> {
        let mut state = self.state.lock();
        let Some(furthest) = state.furthest() else {
            return Poll::Ready(Room::NoReaders);
        };
        if is_room(state.end.saturating_sub(furthest)) {
            return Poll::Ready(Room::Free);
        }
        match &mut state.writer {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// All segments, once all are there.
    pub(crate) fn segments(&self) -> Arc<[Bytes]> {
        let state = self.state.lock();
        state
            .segments
            .iter()
            .map(|segment| segment.bytes.clone())
            .collect()
    }

    /// The content is complete.
    pub(crate) fn complete(&self, trailers: Option<HeaderMap>) {
        self.end(Progress::Complete(trailers));
    }

    /// The content will never be complete; readers get what there is, then the failure.
    pub(crate) fn fail(&self, failure: Failure) {
        self.end(Progress::Failed(failure));
    }

    fn end(&self, progress: Progress) {
        let wakers = {
            let mut state = self.state.lock();
            if !matches!(state.progress, Progress::Filling) {
                return;
            }
            state.progress = progress;
            state.take_reader_wakers()
        };
        wake(wakers);
    }
}

fn add_reader(state: &mut State) -> usize {
    let reader = Some(Reader {
        position: 0,
        waker: None,
    });
    match state.free.pop() {
        Some(place) => {
            state.readers[place] = reader;
            place
        }
        None => {
            state.readers.push(reader);
            state.readers.len() - 1
        }
    }
}
