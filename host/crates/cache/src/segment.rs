//! Bytes that the ledger knows of, for as long as anyone holds them.
//!
//! A segment's reservation lives inside of its `Bytes`: a slow client that
//! still reads an evicted response keeps its bytes counted. Nothing here
//! decides who has to make room.

use bytes::Bytes;
use verge_base::Reservation;

/// Content is kept in pieces of at most this many bytes, so that a reader
/// takes a bounded piece at a time and a window moves in small steps.
pub(crate) const SEGMENT_BYTES: usize = 64 * 1024;

/// What a segment costs beside its bytes: allocations, their headers, its
/// place in a list.
const SEGMENT_OVERHEAD: u64 = 160;

/// Bytes with what is reserved for them.
struct Counted<T> {
    bytes: T,
    #[expect(dead_code, reason = "held for its Drop")]
    reservation: Reservation,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Counted<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// Bytes of a page from which the node's allocator cuts small blocks.
const SMALL_PAGE: u64 = 64 * 1024;

/// Bytes of a page for larger blocks.
const LARGE_PAGE: u64 = 512 * 1024;

/// The largest block in a small page.
const SMALL_BLOCK: u64 = 8 * 1024;

/// What has to be reserved for a segment of `len` bytes.
pub(crate) fn segment_cost(len: usize) -> u64 {
    allocated(len as u64).saturating_add(SEGMENT_OVERHEAD)
}

/// What the node's allocator (mimalloc) takes for a block of `len` bytes: it
/// has four sizes for each doubling, and what is left of a page when it is cut
/// into blocks is lost: at 5,000 bytes that is a tenth. Of the larger pages, of
/// which each holds few blocks, a thirty-second part is free between others.
/// Measured by `benches/tests/resident.rs`.
fn allocated(len: u64) -> u64 {
    let len = len.max(32);
    let step = 1_u64 << ((len - 1).ilog2() - 2);
    let block = len.next_multiple_of(step);
    if block <= SMALL_BLOCK {
        return SMALL_PAGE / (SMALL_PAGE / block);
    }
    let block = match LARGE_PAGE / block {
        0 => block,
        count => LARGE_PAGE / count,
    };
    block + block / 32
}

/// A copy of `bytes` in an allocation of exactly its size. What comes from a
/// connection is a slice of a read buffer, and to keep it would keep that.
pub(crate) fn copied(bytes: &[u8], reservation: Reservation) -> Bytes {
    owned(bytes.into(), reservation)
}

/// The same without a copy.
pub(crate) fn owned(bytes: Box<[u8]>, reservation: Reservation) -> Bytes {
    Bytes::from_owner(Counted { bytes, reservation })
}

/// `bytes` as they are, for content that passes through and is not kept.
pub(crate) fn shared(bytes: Bytes, reservation: Reservation) -> Bytes {
    Bytes::from_owner(Counted { bytes, reservation })
}

#[cfg(test)]
mod tests {
    use verge_base::Ledger;

    use super::*;

    #[test]
    fn bytes_stay_counted_while_a_slice_is_held() {
        let ledger = Ledger::new(1000);
        let reservation = ledger.try_reserve(segment_cost(5)).expect("there is room");
        let segment = copied(b"hello", reservation);
        let slice = segment.slice(1..2);
        drop(segment);
        assert_eq!(ledger.used(), segment_cost(5));
        drop(slice);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn blocks_cost_what_is_left_of_a_page_too() {
        for (len, expected) in [
            (0, 32),
            (1024, 1024),
            (1025, 65_536 / 51),
            // Twelve blocks of 5,120 bytes in a page of 65,536.
            (5000, 65_536 / 12),
            (8192, 8192),
            (40_000, 524_288 / 12 + 524_288 / 12 / 32),
            (65_536, 65_536 + 2048),
            (1 << 32, (1 << 32) + (1 << 27)),
        ] {
            assert_eq!(allocated(len), expected, "{len}");
        }
    }
}
