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
pub(crate) const SEGMENT_OVERHEAD: u64 = 160;

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

/// What has to be reserved for a segment of `len` bytes.
pub(crate) fn segment_cost(len: usize) -> u64 {
    (len as u64).saturating_add(SEGMENT_OVERHEAD)
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
        assert_eq!(ledger.used(), 5 + SEGMENT_OVERHEAD);
        drop(slice);
        assert_eq!(ledger.used(), 0);
    }
}
