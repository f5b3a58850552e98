//! The content that a fill keeps, and where its readers are: what may be
//! dropped, who is cut. No locks and no waiting here.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;
use smallvec::SmallVec;
use verge_http::Failure;

pub(super) type Wakers = SmallVec<[Waker; 8]>;

/// What writer and readers share.
pub(super) struct State {
    pub(super) segments: VecDeque<Segment>,
    /// Position of the first byte that is still kept.
    pub(super) base: u64,
    /// Position after the last byte that arrived.
    pub(super) end: u64,
    pub(super) keep: Keep,
    pub(super) progress: Progress,
    pub(super) readers: Vec<Option<Reader>>,
    /// Places in `readers` that are `None`.
    pub(super) free: Vec<usize>,
    /// The writer, if it waits for room.
    pub(super) writer: Option<Waker>,
}

pub(super) struct Segment {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
}

pub(super) struct Reader {
    pub(super) position: u64,
    pub(super) waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// All of the content: it may be stored, and readers may still join.
    All,
    /// A window around the furthest reader.
    Window,
}

pub(super) enum Progress {
    Filling,
    Complete(Option<HeaderMap>),
    Failed(Failure),
}

impl Segment {
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

impl State {
    pub(super) fn readers(&self) -> impl Iterator<Item = &Reader> {
        // A reader that was cut is none: it neither holds up the window nor
        // makes the writer wait.
        self.readers
            .iter()
            .flatten()
            .filter(|reader| reader.position >= self.base)
    }

    /// The position of the furthest reader.
    pub(super) fn furthest(&self) -> Option<u64> {
        self.readers().map(|reader| reader.position).max()
    }

    /// Drops what no reader may read any more; returns those that are cut by it.
    pub(super) fn trim(&mut self, half_window: u64) -> Wakers {
        let mut cut = Wakers::new();
        if self.keep == Keep::All {
            return cut;
        }
        let Some(furthest) = self.furthest() else {
            return cut;
        };
        let nearest = self.readers().map(|r| r.position).min().unwrap_or(furthest);
        let keep_from = furthest.saturating_sub(half_window).max(nearest);
        while let Some(first) = self.segments.front()
            && first.end() <= keep_from
        {
            self.base = first.end();
            self.segments.pop_front();
        }
        let base = self.base;
        for reader in self.readers.iter_mut().flatten() {
            if reader.position < base {
                cut.extend(reader.waker.take());
            }
        }
        cut
    }

    pub(super) fn take_reader_wakers(&mut self) -> Wakers {
        self.readers
            .iter_mut()
            .flatten()
            .filter_map(|reader| reader.waker.take())
            .collect()
    }

    /// The bytes from `position` to the end of their segment.
    pub(super) fn bytes_at(&self, position: u64) -> Option<Bytes> {
        let index = self
            .segments
            .partition_point(|segment| segment.end() <= position);
        let segment = self.segments.get(index)?;
        let skip = usize::try_from(position.checked_sub(segment.start)?).ok()?;
        (skip < segment.bytes.len()).then(|| segment.bytes.slice(skip..))
    }
}
