//! Coded representations of a response: made once, and kept beside the content
//! that they are made of.
//!
//! They hang on the stored head, so that they share its fate: what is purged,
//! invalidated or evicted takes them along, and what is freshened keeps them,
//! because a 304 changes no content. Their bytes are reserved like any other.
//! Nothing here compresses, and nothing here knows fields: the caller pumps
//! coded content into a [`DerivedWriter`].

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use verge_base::Reservation;
use verge_http::coding::Coding;
use verge_http::failure::NodeFault;
use verge_http::{Body, Failure, StoredBody};

use crate::body::{Fill, FillReader, Room, Stopped};
use crate::cache::{Cache, Inner};
use crate::segment::{self, SEGMENT_BYTES};

/// The coded representations of one content; shared by all heads of it.
#[derive(Default)]
pub struct Derived {
    slots: [Mutex<Slot>; Coding::ALL.len()],
}

/// What there is in one coding.
#[derive(Default)]
enum Slot {
    #[default]
    Empty,
    /// It is being made.
    Making(Arc<Fill>),
    /// All of it.
    Ready(DerivedContent),
    /// It would not be smaller.
    NoGain,
}

/// A coded representation that is complete.
#[derive(Clone)]
pub struct DerivedContent {
    segments: Arc<[Bytes]>,
    length: u64,
}

/// What [`Cache::derive`] found.
#[derive(Debug)]
#[must_use = "a writer must be brought to its end"]
pub enum Derive {
    /// It was made before.
    Ready(DerivedContent),
    /// It is being made for somebody else; the reader has it from its beginning.
    Following(FillReader),
    /// It is this caller's to make; the reader has it from its beginning.
    Make(DerivedWriter, FillReader),
    /// It was found not to be smaller than the content as it is.
    NoGain,
    /// Its beginning is gone, or there is no memory to make it.
    Refused,
}

/// The obligation to bring a coded representation to its end. Dropping it ends its readers
/// with [`NodeFault::FillAbandoned`], and the next request begins anew.
#[must_use = "dropping a writer abandons the representation"]
pub struct DerivedWriter {
    inner: Arc<Inner>,
    fill: Arc<Fill>,
    /// Where it is kept; `None` for one that is passed on only.
    place: Option<(Arc<Derived>, Coding)>,
    /// Most bytes that are kept.
    kept_max: u64,
    written: u64,
    is_ended: bool,
    /// What the coder itself takes.
    #[expect(dead_code, reason = "held for its Drop")]
    reservation: Reservation,
}

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct DerivePlan {
    /// The coding.
    pub coding: Coding,
    /// Most bytes of it that are kept; what is longer is passed on only.
    pub kept_max: u64,
    /// Bytes that the coder itself takes.
    pub coder_bytes: u64,
}

impl Derived {
    fn slot(&self, coding: Coding) -> Option<&Mutex<Slot>> {
        self.slots.get(coding.index())
    }

    /// The complete representation in `coding`, if there is one.
    #[must_use]
    pub fn ready(&self, coding: Coding) -> Option<DerivedContent> {
        match &*self.slot(coding)?.lock() {
            Slot::Ready(content) => Some(content.clone()),
            Slot::Empty | Slot::Making(_) | Slot::NoGain => None,
        }
    }

    /// Whether it was found that the representation in `coding` is not smaller.
    #[must_use]
    pub fn gains_nothing(&self, coding: Coding) -> bool {
        let slot = self.slot(coding).map(Mutex::lock);
        slot.is_some_and(|slot| matches!(*slot, Slot::NoGain))
    }

    /// Puts `next` in the place of what `fill` was making there.
    fn settle(&self, coding: Coding, fill: &Arc<Fill>, next: Slot) {
        if let Some(slot) = self.slot(coding) {
            let mut slot = slot.lock();
            if matches!(&*slot, Slot::Making(making) if Arc::ptr_eq(making, fill)) {
                *slot = next;
            }
        }
    }
}

impl DerivedContent {
    /// All of it; allocates nothing.
    #[must_use]
    pub fn body(&self) -> Body {
        match &*self.segments {
            [] => Body::Empty,
            [only] => Body::Full(only.clone()),
            _ => Body::Stored(StoredBody::new(Arc::clone(&self.segments))),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Cache {
    /// The representation of `derived` in a coding, or the obligation to make it: one caller
    /// makes it, and all that come meanwhile read along.
    pub fn derive(&self, derived: &Arc<Derived>, plan: &DerivePlan) -> Derive {
        let Some(slot) = derived.slot(plan.coding) else {
            return Derive::Refused;
        };
        let mut slot = slot.lock();
        match &*slot {
            Slot::Ready(content) => Derive::Ready(content.clone()),
            Slot::NoGain => Derive::NoGain,
            Slot::Making(fill) => match FillReader::attach(fill) {
                Ok(reader) => Derive::Following(reader),
                Err(_) => Derive::Refused,
            },
            Slot::Empty => {
                let place = Some((Arc::clone(derived), plan.coding));
                match self.inner().begin_derived(plan, place) {
                    Some((writer, reader)) => {
                        *slot = Slot::Making(Arc::clone(&writer.fill));
                        Derive::Make(writer, reader)
                    }
                    None => Derive::Refused,
                }
            }
        }
    }

    /// The same for content that is not stored: it is passed on as it is made, and kept by
    /// nobody.
    pub fn derive_once(&self, plan: &DerivePlan) -> Derive {
        match self.inner().begin_derived(plan, None) {
            Some((writer, reader)) => {
                writer.fill.keep_window();
                Derive::Make(writer, reader)
            }
            None => Derive::Refused,
        }
    }
}

impl Inner {
    fn begin_derived(
        self: &Arc<Self>,
        plan: &DerivePlan,
        place: Option<(Arc<Derived>, Coding)>,
    ) -> Option<(DerivedWriter, FillReader)> {
        let reservation = self.reserve(plan.coder_bytes)?;
        let fill = Arc::new(Fill::new(None, self.settings.fill_window, None));
        let reader = FillReader::attach(&fill).ok()?;
        let writer = DerivedWriter {
            inner: Arc::clone(self),
            fill,
            place,
            kept_max: plan.kept_max.min(self.settings.max_object),
            written: 0,
            is_ended: false,
            reservation,
        };
        Some((writer, reader))
    }
}

impl DerivedWriter {
    /// Takes the next coded bytes. Returns at once while they are kept; else waits until the
    /// furthest reader has come near enough.
    ///
    /// # Errors
    /// Nobody reads, and it is not kept: it may be dropped.
    pub async fn push(&mut self, mut data: Bytes) -> Result<(), Stopped> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(SEGMENT_BYTES));
            self.push_piece(piece).await?;
        }
        Ok(())
    }

    async fn push_piece(&mut self, piece: Bytes) -> Result<(), Stopped> {
        let len = piece.len() as u64;
        let cost = segment::segment_cost(piece.len());
        self.written = self.written.saturating_add(len);
        if self.place.is_some() {
            if self.written <= self.kept_max
                && let Some(reservation) = self.inner.reserve(cost)
            {
                self.fill.append(segment::copied(&piece, reservation));
                return Ok(());
            }
            self.give_up();
        }
        if poll_fn(|context| self.fill.poll_room(context, len)).await == Room::NoReaders {
            return Err(Stopped::NoReaders);
        }
        let passed = match self.inner.reserve(cost) {
            Some(reservation) => segment::shared(piece, reservation),
            None => {
                // Without memory for a window, one piece at a time goes through.
                let drained = poll_fn(|context| self.fill.poll_drained(context)).await;
                if drained == Room::NoReaders {
                    return Err(Stopped::NoReaders);
                }
                piece
            }
        };
        self.fill.append(passed);
        Ok(())
    }

    /// From now on it is passed on only, and the next request begins anew.
    fn give_up(&mut self) {
        if let Some((derived, coding)) = self.place.take() {
            derived.settle(coding, &self.fill, Slot::Empty);
            self.fill.keep_window();
        }
    }

    /// Waits until nobody reads any more.
    pub async fn unread(&self) {
        poll_fn(|context| self.fill.poll_unread(context)).await;
    }

    /// Coded bytes so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// It is complete, out of content of `source` bytes: kept if it is smaller than that.
    /// Returns whether it is.
    pub fn finish(mut self, source: u64, trailers: Option<HeaderMap>) -> bool {
        self.is_ended = true;
        let is_smaller = self.written < source;
        let is_kept = self.place.is_some() && is_smaller;
        if let Some((derived, coding)) = self.place.take() {
            let next = if is_smaller {
                Slot::Ready(DerivedContent {
                    segments: self.fill.segments(),
                    length: self.written,
                })
            } else {
                Slot::NoGain
            };
            derived.settle(coding, &self.fill, next);
        }
        self.fill.complete(trailers);
        is_kept
    }

    /// It will never be complete: readers get what has come, then `failure`.
    pub fn abort(mut self, failure: Failure) {
        self.fail(failure);
    }

    fn fail(&mut self, failure: Failure) {
        if !self.is_ended {
            self.is_ended = true;
            if let Some((derived, coding)) = self.place.take() {
                derived.settle(coding, &self.fill, Slot::Empty);
            }
            self.fill.fail(failure);
        }
    }
}

impl Drop for DerivedWriter {
    fn drop(&mut self) {
        self.fail(NodeFault::FillAbandoned.into());
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready = Coding::ALL.map(|coding| self.ready(coding).map(|content| content.length));
        formatter.debug_tuple("Derived").field(&ready).finish()
    }
}

impl fmt::Debug for DerivedContent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DerivedContent({} bytes)", self.length)
    }
}

impl fmt::Debug for DerivedWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DerivedWriter")
            .field("written", &self.written)
            .field("is_kept", &self.place.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
