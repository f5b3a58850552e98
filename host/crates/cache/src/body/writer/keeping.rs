//! Content that is kept to be stored: small pieces become larger segments.

use bytes::Bytes;

use super::FillWriter;
use crate::policy::RefuseReason;
use crate::segment::{self, SEGMENT_BYTES};

/// Pieces below this size are put together into larger segments.
const SMALL_PIECE: usize = SEGMENT_BYTES / 2;

/// Most small pieces that stand side by side.
const SMALL_PIECES_MAX: usize = 32;

impl FillWriter {
    /// Keeps a copy of `piece`, after which the content has `end` bytes.
    pub(super) fn keep(&mut self, piece: &Bytes, end: u64) -> Result<(), RefuseReason> {
        let inner = self.lead.inner();
        if end > inner.settings.max_object {
            return Err(RefuseReason::ObjectTooLarge);
        }
        let reservation = inner
            .reserve(segment::segment_cost(piece.len()))
            .ok_or(RefuseReason::MemoryExhausted)?;
        let is_small = piece.len() < SMALL_PIECE;
        if !is_small || self.small_bytes.saturating_add(piece.len()) > SEGMENT_BYTES {
            self.merge_small();
            self.small_pieces = 0;
            self.small_bytes = 0;
        }
        self.fill.append(segment::copied(piece, reservation));
        if is_small {
            self.small_pieces += 1;
            self.small_bytes += piece.len();
            if self.small_pieces >= SMALL_PIECES_MAX && self.merge_small() {
                self.small_pieces = 1;
            }
        }
        Ok(())
    }

    /// Puts the small pieces at the end into one segment, if there is room to.
    pub(super) fn merge_small(&mut self) -> bool {
        if self.small_pieces < 2 {
            return false;
        }
        let cost = segment::segment_cost(self.small_bytes);
        let Some(reservation) = self.lead.inner().reserve(cost) else {
            return false;
        };
        let mut merged = Vec::with_capacity(self.small_bytes);
        for piece in self.fill.last(self.small_pieces) {
            merged.extend_from_slice(&piece);
        }
        let merged = segment::owned(merged.into_boxed_slice(), reservation);
        self.fill.replace_last(self.small_pieces, merged);
        true
    }
}
