//! The writer of a fill: it takes the content from the origin and, in the
//! end, stores the response.

mod keeping;

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use verge_http::Failure;
use verge_http::failure::{NodeFault, OriginFault, Side};
use verge_http::range::ByteRange;

use super::fill::{Fill, Room};
use crate::collapse::Lead;
use crate::key::Key;
use crate::partial::{FillTarget, Part, PiecePlace, if_range_value};
use crate::policy::RefuseReason;
use crate::refusals::NotStored;
use crate::response::{StoredHead, StoredResponse};
use crate::segment::{self, SEGMENT_BYTES};

/// The obligation to bring a fill to its end. Dropping it aborts the fill:
/// readers get what has arrived and then [`NodeFault::FillAbandoned`].
#[must_use = "dropping a fill writer aborts the fill"]
pub struct FillWriter {
    fill: Arc<Fill>,
    head: Arc<StoredHead>,
    lead: Lead,
    /// Others may share the response: it was fresh when it arrived.
    is_shared: bool,
    target: FillTarget,
    keeping: Keeping,
    written: u64,
    small_pieces: usize,
    small_bytes: usize,
    is_ended: bool,
}

/// Whether the content is kept to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    All,
    Window(RefuseReason),
}

/// Why the writer must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Nobody reads, and the response cannot be stored: the origin connection
    /// may be dropped.
    NoReaders,
    /// The content is longer than its Content-Length; the fill has failed.
    Failed(Failure),
}

/// How a complete fill ended.
#[derive(Clone, Debug)]
pub enum Finished {
    /// The response is stored: requests find it from now on.
    Stored(Arc<StoredResponse>),
    /// The fill was of a part. A whole response is stored under this key: the origin sent it
    /// in place of the part, or the part was the last that was missing.
    StoredWhole(Key, Arc<StoredResponse>),
    /// The part is stored with others of a response that is still incomplete.
    StoredPiece,
    /// It was passed on to its readers only.
    Passed(RefuseReason),
}

/// What [`FillWriter::new`] needs.
pub(crate) struct FillWriterParts {
    pub(crate) fill: Arc<Fill>,
    pub(crate) head: Arc<StoredHead>,
    pub(crate) lead: Lead,
    pub(crate) is_shared: bool,
    pub(crate) target: FillTarget,
}

impl FillWriter {
    pub(crate) fn new(parts: FillWriterParts) -> Self {
        let FillWriterParts {
            fill,
            head,
            lead,
            is_shared,
            target,
        } = parts;
        lead.inner().stats.fill_began();
        Self {
            fill,
            head,
            lead,
            is_shared,
            target,
            keeping: Keeping::All,
            written: 0,
            small_pieces: 0,
            small_bytes: 0,
            is_ended: false,
        }
    }

    /// Takes the next `data` of the content.
    ///
    /// Returns at once while the response can be stored; else waits until the
    /// furthest reader has come near enough. Dropping the future loses the rest
    /// of `data`, so the fill must be aborted then.
    ///
    /// # Errors
    /// [`Stopped`]: the fill is over, and nothing more may be pushed.
    pub async fn push(&mut self, mut data: Bytes) -> Result<(), Stopped> {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(SEGMENT_BYTES));
            self.push_piece(piece).await?;
        }
        Ok(())
    }

    async fn push_piece(&mut self, piece: Bytes) -> Result<(), Stopped> {
        let len = piece.len() as u64;
        let end = self.written.saturating_add(len);
        if self.fill.expected().is_some_and(|expected| end > expected) {
            let failure = Failure::responding(OriginFault::ResponseMalformed);
            self.fail(failure);
            return Err(Stopped::Failed(failure));
        }
        if self.keeping == Keeping::All {
            match self.keep(&piece, end) {
                Ok(()) => {
                    self.written = end;
                    return Ok(());
                }
                Err(reason) => self.give_up(reason),
            }
        }
        let inner = Arc::clone(self.lead.inner());
        stop_without_readers(poll_fn(|context| self.fill.poll_room(context, len)).await)?;
        let passed = match inner.reserve(segment::segment_cost(piece.len())) {
            Some(reservation) => segment::shared(piece, reservation),
            None => {
                // Without memory for a window, one piece at a time goes through.
                stop_without_readers(poll_fn(|context| self.fill.poll_drained(context)).await)?;
                piece
            }
        };
        self.fill.append(passed);
        self.written = end;
        Ok(())
    }

    /// Whether as much has come as the response's Content-Length says.
    #[must_use]
    pub fn is_all_there(&self) -> bool {
        self.fill.expected() == Some(self.written)
    }

    /// Returns once nobody reads what is written.
    pub async fn unread(&self) {
        poll_fn(|context| self.fill.poll_unread(context)).await;
    }

    /// Whether the content only passes through: nothing of it will be stored.
    #[must_use]
    pub fn has_given_up(&self) -> bool {
        matches!(self.keeping, Keeping::Window(_))
    }

    /// From now on the content passes through; requests are not collapsed any more.
    fn give_up(&mut self, reason: RefuseReason) {
        self.keeping = Keeping::Window(reason);
        self.lead.inner().stats.fill_gave_up();
        self.lead
            .inner()
            .note_not_stored(self.lead.key(), NotStored::Refused(reason));
        self.lead.leave_marked();
        self.fill.keep_window();
    }

    /// The content is complete; `trailers` go to those that read now, and are
    /// not stored (RFC 9111 3.1 leaves that open).
    ///
    /// A response that is stored is found by every request from before this
    /// returns, and new requests are collapsed with this fill until then.
    ///
    /// # Errors
    /// The failure that readers get if the content is shorter than its
    /// Content-Length: such a response is never stored (RFC 9111 3.3).
    pub fn finish(mut self, trailers: Option<HeaderMap>) -> Result<Finished, Failure> {
        let expected = self.fill.expected();
        if expected.is_some_and(|expected| self.written < expected) {
            let failure = Failure::responding(OriginFault::ResponseIncomplete);
            self.keep_beginning();
            self.fail(failure);
            return Err(failure);
        }
        let finished = match self.keeping {
            Keeping::All => {
                self.merge_small();
                self.store()
            }
            Keeping::Window(reason) => Finished::Passed(reason),
        };
        self.is_ended = true;
        self.lead.leave();
        self.fill.complete(trailers);
        Ok(finished)
    }

    fn store(&self) -> Finished {
        let inner = self.lead.inner();
        let stored = match &self.target {
            FillTarget::Own => self.store_as(self.lead.key()).map(Finished::Stored),
            FillTarget::Whole(key) => {
                let stored = self.store_as(key);
                stored.map(|response| Finished::StoredWhole(key.clone(), response))
            }
            FillTarget::Piece {
                whole,
                request,
                part,
            } => {
                let place = PiecePlace {
                    whole,
                    part: *part,
                    request: Some(request),
                };
                let kept = inner.keep_piece(&place, &self.head, self.fill.segments());
                let kept = kept.map(|response| match response.pieces() {
                    None => Finished::StoredWhole(whole.clone(), response),
                    Some(_) => Finished::StoredPiece,
                });
                kept.ok_or(RefuseReason::Purged)
            }
        };
        let finished = match stored {
            Ok(finished) => finished,
            // What took its place was noted.
            Err(RefuseReason::Superseded) => return Finished::Passed(RefuseReason::Superseded),
            Err(reason) => {
                inner.note_not_stored(self.lead.key(), NotStored::Refused(reason));
                return Finished::Passed(reason);
            }
        };
        inner.note_stored(self.lead.key());
        if let FillTarget::Whole(key) | FillTarget::Piece { whole: key, .. } = &self.target {
            inner.note_superseded(key);
        }
        if self.is_shared {
            self.lead.unmark();
        }
        finished
    }

    /// Stores the whole response under `key`, unless that was purged meanwhile, or a response
    /// that was asked for later stands there.
    fn store_as(&self, key: &Key) -> Result<Arc<StoredResponse>, RefuseReason> {
        let inner = self.lead.inner();
        let response = StoredResponse::new(Arc::clone(&self.head), self.fill.segments());
        let response = Arc::new(response);
        let refused = Cell::new(None);
        inner.store.insert(key, &response, &|| {
            refused.set(inner.refusal_of(key, &response));
            refused.get().is_none()
        });
        inner.whole_stored(key);
        refused.get().map_or(Ok(response), Err)
    }

    /// Keeps what has arrived of a 200 whose length is known as an incomplete
    /// response, if the rest can be asked for (RFC 9111 3.3).
    fn keep_beginning(&self) {
        let whole = match &self.target {
            FillTarget::Own => self.lead.key(),
            FillTarget::Whole(key) => key,
            FillTarget::Piece { .. } => return,
        };
        let inner = self.lead.inner();
        let is_kept = self.keeping == Keeping::All && self.head.status() == StatusCode::OK;
        let (Some(last), Some(total)) = (self.written.checked_sub(1), self.fill.expected()) else {
            return;
        };
        let now = inner.clock.wall();
        if !is_kept || last >= total || if_range_value(self.head.fields(), now).is_none() {
            return;
        }
        let part = Part {
            range: ByteRange { first: 0, last },
            total: Some(total),
        };
        let place = PiecePlace {
            whole,
            part,
            request: None,
        };
        if inner
            .keep_piece(&place, &self.head, self.fill.segments())
            .is_some()
        {
            inner.note_stored(whole);
        }
    }

    /// The content will never be complete: readers get what has arrived, then
    /// `failure`, and no complete response is stored.
    pub fn abort(mut self, failure: Failure) {
        if failure.side() == Side::Origin {
            self.keep_beginning();
        }
        self.fail(failure);
    }

    fn fail(&mut self, failure: Failure) {
        if !self.is_ended {
            self.is_ended = true;
            // Out of the way of new requests before readers hear of it.
            self.lead.leave();
            self.fill.fail(failure);
        }
    }

    /// The key of its fill.
    #[must_use]
    pub fn key(&self) -> &Key {
        self.lead.key()
    }

    /// Bytes of content so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The head under which the response is stored.
    #[must_use]
    pub fn head(&self) -> &Arc<StoredHead> {
        &self.head
    }
}

fn stop_without_readers(room: Room) -> Result<(), Stopped> {
    match room {
        Room::Free => Ok(()),
        Room::NoReaders => Err(Stopped::NoReaders),
    }
}

impl Drop for FillWriter {
    fn drop(&mut self) {
        self.fail(NodeFault::FillAbandoned.into());
        self.lead.inner().stats.fill_ended();
    }
}

impl fmt::Debug for FillWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FillWriter")
            .field("key", self.lead.key())
            .field("written", &self.written)
            .field("keeping", &self.keeping)
            .finish_non_exhaustive()
    }
}
