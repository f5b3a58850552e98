//! How a record stands in a segment.
//!
//! A header of fixed size, the encoded head, a table with the checksum of each
//! chunk of content, the content. Header, head, table and chunks have
//! checksums of their own, so that each can be trusted as soon as it is read.
//! A newer head of content that is there already has a link to it in the place
//! of table and content. A header alone says that all before it of a key is
//! gone. Pure: bytes in, values out.

use bytes::Bytes;

use crate::record::{HEAD_BYTES_MAX, checksum};

/// Content is checked in pieces of this many bytes.
pub(super) const CHUNK_BYTES: u64 = 64 * 1024;

/// Bytes of a record's header.
pub(super) const HEADER_BYTES: usize = 96;

/// Bytes of a checksum in the table.
const SUM_BYTES: u64 = 8;

/// Bytes of a link.
pub(super) const LINK_BYTES: usize = 16;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Head and content.
    Whole,
    /// A newer head, and a link to the record that has its content.
    Head,
    /// Nothing: what was written of the key before counts no more.
    Gone,
}

impl Kind {
    /// What a header begins with; the digit goes up with the format.
    const fn magic(self) -> [u8; 4] {
        match self {
            Self::Whole => *b"VGD1",
            Self::Head => *b"VGF1",
            Self::Gone => *b"VGN1",
        }
    }
}

/// The record in which the content of a newer head stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

impl Link {
    /// As it stands in a segment.
    pub(super) fn to_bytes(self) -> [u8; LINK_BYTES] {
        let mut bytes = [0; LINK_BYTES];
        let (segment, offset) = bytes.split_at_mut(LINK_BYTES / 2);
        segment.copy_from_slice(&self.segment.to_le_bytes());
        offset.copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    /// Out of bytes with the checksum `sum`; `None` if they are no link.
    pub(super) fn parse(mut bytes: &[u8], sum: u64) -> Option<Self> {
        if bytes.len() != LINK_BYTES || checksum(bytes) != sum {
            return None;
        }
        Some(Self {
            segment: number(&mut bytes)?,
            offset: number(&mut bytes)?,
        })
    }
}

/// What stands in front of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) head_len: u32,
    pub(super) content_len: u64,
    /// [`crate::Key::digest`].
    pub(super) digest: [u8; 32],
    /// The beginning of [`crate::Key::uri_digest`].
    pub(super) uri: u64,
    /// Which variant of the key it is.
    pub(super) variant: u64,
    /// The segment that it was written to: bytes of another one are not taken for it.
    pub(super) segment: u64,
    /// When it was written, in microseconds since 1970.
    pub(super) saved: u64,
    /// The checksum of the table, or of the link.
    pub(super) table_sum: u64,
}

impl Header {
    /// Bytes of the table, or of the link.
    pub(super) fn table_len(&self) -> u64 {
        match self.kind {
            Kind::Whole => self
                .content_len
                .div_ceil(CHUNK_BYTES)
                .saturating_mul(SUM_BYTES),
            Kind::Head => LINK_BYTES as u64,
            Kind::Gone => 0,
        }
    }

    /// Bytes before the content.
    pub(super) fn content_start(&self) -> u64 {
        (HEADER_BYTES as u64)
            .saturating_add(u64::from(self.head_len))
            .saturating_add(self.table_len())
    }

    /// Bytes of the whole record.
    pub(super) fn record_len(&self) -> u64 {
        match self.kind {
            Kind::Whole => self.content_start().saturating_add(self.content_len),
            Kind::Head => self.content_start(),
            Kind::Gone => HEADER_BYTES as u64,
        }
    }

    /// What of a key was written before counts no more.
    pub(super) fn gone(digest: [u8; 32], uri: u64, segment: u64, saved: u64) -> Self {
        Self {
            kind: Kind::Gone,
            head_len: 0,
            content_len: 0,
            digest,
            uri,
            variant: 0,
            segment,
            saved,
            table_sum: 0,
        }
    }

    /// As it stands in a segment.
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut end = 0;
        for part in [
            &self.kind.magic()[..],
            &self.head_len.to_le_bytes(),
            &self.content_len.to_le_bytes(),
            &self.digest,
            &self.uri.to_le_bytes(),
            &self.variant.to_le_bytes(),
            &self.segment.to_le_bytes(),
            &self.saved.to_le_bytes(),
            &self.table_sum.to_le_bytes(),
        ] {
            let start = end;
            end += part.len();
            if let Some(place) = bytes.get_mut(start..end) {
                place.copy_from_slice(part);
            }
        }
        if let Some((body, sum)) = bytes.split_last_chunk_mut::<8>() {
            *sum = checksum(body).to_le_bytes();
        }
        bytes
    }

    /// Out of bytes of `segment`; `None` if they are not a header of it.
    pub(super) fn parse(bytes: &[u8], segment: u64) -> Option<Self> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>()?;
        let (body, sum) = bytes.split_last_chunk::<8>()?;
        if checksum(body) != u64::from_le_bytes(*sum) {
            return None;
        }
        let (magic, mut rest) = body.split_first_chunk::<4>()?;
        let kind = [Kind::Whole, Kind::Head, Kind::Gone]
            .into_iter()
            .find(|kind| kind.magic() == *magic)?;
        let header = Self {
            kind,
            head_len: u32::from_le_bytes(take(&mut rest)?),
            content_len: number(&mut rest)?,
            digest: take(&mut rest)?,
            uri: number(&mut rest)?,
            variant: number(&mut rest)?,
            segment: number(&mut rest)?,
            saved: number(&mut rest)?,
            table_sum: number(&mut rest)?,
        };
        let is_right = header.segment == segment && header.head_len as usize <= HEAD_BYTES_MAX;
        is_right.then_some(header)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*chunk)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

/// The table of content that stands in `segments`.
pub(super) fn table_of(segments: &[Bytes]) -> Vec<u8> {
    let mut table = Vec::new();
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    let mut filled = 0_u64;
    for segment in segments {
        let mut rest: &[u8] = segment;
        while !rest.is_empty() {
            let room = usize::try_from(CHUNK_BYTES - filled).unwrap_or(usize::MAX);
            let (piece, tail) = rest.split_at(rest.len().min(room));
            hasher.update(piece);
            filled += piece.len() as u64;
            rest = tail;
            if filled == CHUNK_BYTES {
                table.extend_from_slice(&hasher.digest().to_le_bytes());
                hasher.reset();
                filled = 0;
            }
        }
    }
    if filled > 0 {
        table.extend_from_slice(&hasher.digest().to_le_bytes());
    }
    table
}

/// Whether `chunk` is the one with number `index` of the table.
pub(super) fn is_chunk(table: &[u8], index: u64, chunk: &[u8]) -> bool {
    let place = usize::try_from(index.saturating_mul(SUM_BYTES)).ok();
    let sum = place
        .and_then(|place| table.get(place..))
        .and_then(<[u8]>::first_chunk::<8>);
    sum.is_some_and(|sum| u64::from_le_bytes(*sum) == checksum(chunk))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Whole,
            head_len: 300,
            content_len: 200_000,
            digest: [7; 32],
            uri: 1,
            variant: 2,
            segment: 3,
            saved: 4,
            table_sum: 5,
        }
    }

    #[test]
    fn a_header_round_trips_in_its_own_segment_only() {
        let bytes = header().to_bytes();
        assert_eq!(Header::parse(&bytes, 3), Some(header()));
        assert_eq!(Header::parse(&bytes, 4), None);
        assert_eq!(header().table_len(), 4 * 8);
        assert_eq!(header().record_len(), 96 + 300 + 32 + 200_000);
        let newer = Header {
            kind: Kind::Head,
            ..header()
        };
        assert_eq!(Header::parse(&newer.to_bytes(), 3), Some(newer));
        assert_eq!(newer.record_len(), 96 + 300 + 16);
        let gone = Header::gone([7; 32], 1, 3, 4);
        assert_eq!(Header::parse(&gone.to_bytes(), 3), Some(gone));
        assert_eq!(gone.record_len(), 96);
    }

    #[test]
    fn a_link_is_whole_or_none() {
        let link = Link {
            segment: 7,
            offset: 1 << 40,
        };
        let bytes = link.to_bytes();
        let sum = checksum(&bytes);
        assert_eq!(Link::parse(&bytes, sum), Some(link));
        assert_eq!(Link::parse(&bytes, sum + 1), None);
        assert_eq!(Link::parse(&bytes[1..], checksum(&bytes[1..])), None);
    }

    #[test]
    fn chunks_are_found_however_the_content_is_cut() {
        let content: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let whole = table_of(&[Bytes::from(content.clone())]);
        let pieces: Vec<Bytes> = content.chunks(1000).map(Bytes::copy_from_slice).collect();
        assert_eq!(table_of(&pieces), whole);
        for (index, chunk) in content.chunks(CHUNK_BYTES as usize).enumerate() {
            assert!(is_chunk(&whole, index as u64, chunk));
            assert!(!is_chunk(&whole, index as u64 + 1, chunk));
        }
        assert!(table_of(&[]).is_empty() && !is_chunk(&[], 0, b""));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::parse(&bytes, 0);
        }

        #[test]
        fn a_changed_byte_is_refused(place in 0..HEADER_BYTES, mask in 1_u8..) {
            let mut bytes = header().to_bytes();
            bytes[place] ^= mask;
            prop_assert_eq!(Header::parse(&bytes, 3), None);
        }
    }
}
