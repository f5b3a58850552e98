//! The content of an incomplete response: pieces of it in order, each byte
//! once. Nothing here decides whether pieces belong together.

use bytes::Bytes;
use verge_http::range::ByteRange;

use super::extents::Extents;

/// Separate pieces of one incomplete response, by default.
pub const PIECES_MAX: usize = 64;

/// Most segments of one incomplete response; what is fetched in crumbs is not
/// worth more.
pub const PIECE_SEGMENTS_MAX: usize = 4096;

/// Which pieces of a representation are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    extents: Extents,
    /// Bytes of the whole representation, where that is known.
    total: Option<u64>,
}

impl Pieces {
    /// One piece of a representation with `total` bytes.
    #[must_use]
    pub fn of(range: ByteRange, total: Option<u64>) -> Self {
        Self {
            extents: Extents::of(range),
            total,
        }
    }

    /// Which bytes are there.
    #[must_use]
    pub fn extents(&self) -> &Extents {
        &self.extents
    }

    /// Bytes of the whole representation, where that is known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// All positions of the representation; `None` if the total is not known, or 0.
    #[must_use]
    pub fn whole(&self) -> Option<ByteRange> {
        let last = self.total?.checked_sub(1)?;
        Some(ByteRange { first: 0, last })
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.whole()
            .is_some_and(|whole| self.extents.contains(whole))
    }

    /// Adds the piece `range` with the content `added` to the content `held` of
    /// these pieces. Where both have bytes, the added ones are taken. `None` if
    /// that made more than `most` pieces, or too many segments.
    pub(crate) fn combined(
        &self,
        held: &[Bytes],
        range: ByteRange,
        added: &[Bytes],
        most: usize,
    ) -> Option<(Self, Vec<Bytes>)> {
        let mut content = Vec::with_capacity(held.len().saturating_add(added.len()));
        cut(held, 0, self.extents.rank(range.first), &mut content);
        content.extend(added.iter().cloned());
        let behind = self.extents.rank(range.last.saturating_add(1));
        cut(held, behind, u64::MAX, &mut content);
        let mut extents = self.extents.clone();
        extents.insert(range);
        let fits = extents.ranges().len() <= most && content.len() <= PIECE_SEGMENTS_MAX;
        let total = self.total;
        fits.then_some((Self { extents, total }, content))
    }
}

/// The bytes of `segments` from `from` up to `to`, without a copy.
fn cut(segments: &[Bytes], from: u64, to: u64, into: &mut Vec<Bytes>) {
    let mut start = 0_u64;
    for segment in segments {
        let end = start.saturating_add(segment.len() as u64);
        let (first, last) = (from.max(start), to.min(end));
        if first < last {
            let within = |position: u64| usize::try_from(position - start).unwrap_or(usize::MAX);
            into.push(segment.slice(within(first)..within(last)));
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 64;

    fn content(range: ByteRange, piece: usize) -> Vec<Bytes> {
        let bytes: Vec<u8> = (range.first..=range.last).map(|n| n as u8).collect();
        bytes.chunks(piece).map(Bytes::copy_from_slice).collect()
    }

    proptest! {
        /// However pieces overlap and however they are cut, each byte is there once, in order.
        #[test]
        fn combined_content_is_that_of_the_extents(
            added in proptest::collection::vec((0..SIZE, 1..20_u64, 1..9_usize), 1..12),
        ) {
            let mut stored: Option<(Pieces, Vec<Bytes>)> = None;
            for (first, len, piece) in added {
                let range = ByteRange { first, last: (first + len - 1).min(SIZE - 1) };
                let new = content(range, piece);
                stored = Some(match stored {
                    None => (Pieces::of(range, Some(SIZE)), new),
                    Some((pieces, held)) => pieces.combined(&held, range, &new, PIECES_MAX).expect("few"),
                });
            }
            let (pieces, held) = stored.expect("one at least");
            let expected: Vec<u8> = pieces
                .extents()
                .ranges()
                .iter()
                .flat_map(|range| range.first..=range.last)
                .map(|position| position as u8)
                .collect();
            prop_assert_eq!(held.concat(), expected);
            prop_assert_eq!(pieces.is_complete(), held.concat().len() as u64 == SIZE);
        }
    }

    #[test]
    fn pieces_are_bounded() {
        let one = |at: u64| ByteRange {
            first: at * 2,
            last: at * 2,
        };
        let mut pieces = Pieces::of(one(0), None);
        let mut held = content(one(0), 1);
        for at in 1..PIECES_MAX as u64 {
            let added = content(one(at), 1);
            (pieces, held) = pieces
                .combined(&held, one(at), &added, PIECES_MAX)
                .expect("few");
        }
        let more = one(PIECES_MAX as u64);
        assert!(
            pieces
                .combined(&held, more, &content(more, 1), PIECES_MAX)
                .is_none()
        );
    }
}
