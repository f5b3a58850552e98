//! What a stored response looks like in Redis: a head for each variant, and
//! content in chunks that belong to one fill. All numbers are big-endian.
//!
//! ```text
//! head:  "VGH" version | key 32 | incarnation 8 | number 8 | saved at 8 | fill 16
//!        | content length 8 | content's checksum 8 | chunk size 4 | record length 4 | record
//!        | content, if it is small | checksum 8
//! chunk: "VGC" version | key 32 | fill 16 | index 4 | content | checksum 8
//! ```
//!
//! Whatever Redis gives back is looked at in full before any of it is used: what
//! is short, long, damaged, of another version, key or fill does not exist. Pure.

use bytes::Bytes;
use verge_cache::record::checksum;

use crate::stream::chain::Incarnation;
use crate::stream::positions::Position;

const HEAD: [u8; 4] = *b"VGH\x02";
const CHUNK: [u8; 4] = *b"VGC\x01";

/// Bytes of content of one chunk.
pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// Content of at most this stands in the head itself.
pub(crate) const INLINE_BYTES: usize = 16 << 10;

const CHECKSUM_BYTES: usize = 8;

/// The digest of a cache key.
pub(crate) type KeyDigest = [u8; 32];

/// Names one fill, so that chunks of two never mix.
pub(crate) type Fill = u128;

/// A head, apart from the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// What purges were known when the response was asked for.
    pub(crate) position: Position,
    /// When it was saved, by the wall clock of the node that did, in microseconds.
    pub(crate) saved_us: u64,
    pub(crate) fill: Fill,
    pub(crate) content_length: u64,
    /// The checksum of all of the content, by which a later save knows it again.
    pub(crate) content_sum: u64,
    /// The record of the response's head.
    pub(crate) record: Bytes,
    /// The content, if it stands here.
    pub(crate) inline: Option<Bytes>,
}

impl Head {
    /// How many chunks the content is in.
    pub(crate) fn chunks(&self) -> u32 {
        if self.inline.is_some() {
            return 0;
        }
        let chunks = self.content_length.div_ceil(CHUNK_BYTES as u64);
        u32::try_from(chunks).unwrap_or(u32::MAX)
    }

    pub(crate) fn encode(&self, key: &KeyDigest) -> Vec<u8> {
        let inline = self.inline.as_deref().unwrap_or_default();
        let mut out = Vec::with_capacity(104 + self.record.len() + inline.len());
        out.extend_from_slice(&HEAD);
        out.extend_from_slice(key);
        out.extend_from_slice(&self.position.incarnation.0.to_be_bytes());
        out.extend_from_slice(&self.position.number.to_be_bytes());
        out.extend_from_slice(&self.saved_us.to_be_bytes());
        out.extend_from_slice(&self.fill.to_be_bytes());
        out.extend_from_slice(&self.content_length.to_be_bytes());
        out.extend_from_slice(&self.content_sum.to_be_bytes());
        out.extend_from_slice(&(CHUNK_BYTES as u32).to_be_bytes());
        // A record is far below 4 GiB; one that is not is refused when it is read.
        let record_len = u32::try_from(self.record.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&record_len.to_be_bytes());
        out.extend_from_slice(&self.record);
        out.extend_from_slice(inline);
        seal(out)
    }

    /// The head, if it is whole and of this key.
    pub(crate) fn decode(bytes: &Bytes, key: &KeyDigest) -> Option<Self> {
        let sealed = unseal(bytes)?;
        let mut rest = sealed;
        expect(&mut rest, &HEAD)?;
        expect(&mut rest, key)?;
        let incarnation = Incarnation(u64::from_be_bytes(take(&mut rest)?));
        let number = u64::from_be_bytes(take(&mut rest)?);
        let saved_us = u64::from_be_bytes(take(&mut rest)?);
        let fill = u128::from_be_bytes(take(&mut rest)?);
        let content_length = u64::from_be_bytes(take(&mut rest)?);
        let content_sum = u64::from_be_bytes(take(&mut rest)?);
        if u32::from_be_bytes(take(&mut rest)?) as usize != CHUNK_BYTES {
            return None;
        }
        let record_len = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
        let (record, inline) = rest.split_at_checked(record_len)?;
        let is_inline = content_length <= INLINE_BYTES as u64;
        let expected = if is_inline { content_length } else { 0 };
        if inline.len() as u64 != expected {
            return None;
        }
        Some(Self {
            position: Position {
                incarnation,
                number,
            },
            saved_us,
            fill,
            content_length,
            content_sum,
            record: bytes.slice_ref(record),
            inline: is_inline.then(|| bytes.slice_ref(inline)),
        })
    }
}

/// One chunk, ready to be stored.
pub(crate) fn encode_chunk(key: &KeyDigest, fill: Fill, index: u32, content: &[Bytes]) -> Vec<u8> {
    let length: usize = content.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(64 + length);
    out.extend_from_slice(&CHUNK);
    out.extend_from_slice(key);
    out.extend_from_slice(&fill.to_be_bytes());
    out.extend_from_slice(&index.to_be_bytes());
    for piece in content {
        out.extend_from_slice(piece);
    }
    seal(out)
}

/// The content of a chunk, if it is whole, in its place, and as long as it has to be.
pub(crate) fn decode_chunk(
    bytes: &Bytes,
    key: &KeyDigest,
    head: &Head,
    index: u32,
) -> Option<Bytes> {
    let mut rest = unseal(bytes)?;
    expect(&mut rest, &CHUNK)?;
    expect(&mut rest, key)?;
    expect(&mut rest, &head.fill.to_be_bytes())?;
    expect(&mut rest, &index.to_be_bytes())?;
    let begin = u64::from(index).checked_mul(CHUNK_BYTES as u64)?;
    let left = head.content_length.checked_sub(begin)?;
    let is_right = rest.len() as u64 == left.min(CHUNK_BYTES as u64);
    is_right.then(|| bytes.slice_ref(rest))
}

fn seal(mut out: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&out);
    out.extend_from_slice(&sum.to_be_bytes());
    out
}

fn unseal(bytes: &Bytes) -> Option<&[u8]> {
    let end = bytes.len().checked_sub(CHECKSUM_BYTES)?;
    let (sealed, sum) = bytes.split_at_checked(end)?;
    (checksum(sealed).to_be_bytes() == sum).then_some(sealed)
}

fn expect(rest: &mut &[u8], expected: &[u8]) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: KeyDigest = [7; 32];

    fn head(content_length: u64, inline: Option<&'static [u8]>) -> Head {
        Head {
            position: Position {
                incarnation: Incarnation(3),
                number: 9,
            },
            saved_us: 1_000,
            fill: 77,
            content_length,
            content_sum: 4,
            record: Bytes::from_static(b"the record"),
            inline: inline.map(Bytes::from_static),
        }
    }

    #[test]
    fn heads_come_back_as_they_were() {
        for head in [
            head(5, Some(b"hello")),
            head(0, Some(b"")),
            head(1 << 20, None),
        ] {
            let bytes = Bytes::from(head.encode(&KEY));
            assert_eq!(Head::decode(&bytes, &KEY), Some(head));
            assert_eq!(Head::decode(&bytes, &[8; 32]), None);
        }
    }

    #[test]
    fn other_versions_do_not_exist() {
        for version in [0, 1, 3, 255] {
            let mut bytes = head(5, Some(b"hello")).encode(&KEY);
            bytes.truncate(bytes.len() - CHECKSUM_BYTES);
            bytes[3] = version;
            let bytes = Bytes::from(seal(bytes));
            assert_eq!(Head::decode(&bytes, &KEY), None, "{version}");
        }
    }

    #[test]
    fn chunks_belong_to_one_place_of_one_fill() {
        let whole = head(CHUNK_BYTES as u64 + 5, None);
        assert_eq!(whole.chunks(), 2);
        let last = [Bytes::from_static(b"la"), Bytes::from_static(b"st!")];
        let bytes = Bytes::from(encode_chunk(&KEY, whole.fill, 1, &last));
        let found = decode_chunk(&bytes, &KEY, &whole, 1);
        assert_eq!(found, Some(Bytes::from_static(b"last!")));
        assert_eq!(decode_chunk(&bytes, &KEY, &whole, 0), None);
        assert_eq!(decode_chunk(&bytes, &[0; 32], &whole, 1), None);
        let other = Head {
            fill: 78,
            ..whole.clone()
        };
        assert_eq!(decode_chunk(&bytes, &KEY, &other, 1), None);
        let longer = Head {
            content_length: CHUNK_BYTES as u64 + 6,
            ..whole
        };
        assert_eq!(decode_chunk(&bytes, &KEY, &longer, 1), None);
    }

    proptest! {
        #[test]
        fn damage_is_noticed(place in 0usize..120, flip in 1u8..=255, cut in 0usize..120) {
            let bytes = head(5, Some(b"hello")).encode(&KEY);
            let mut damaged = bytes.clone();
            let place = place % damaged.len();
            damaged[place] ^= flip;
            prop_assert_eq!(Head::decode(&Bytes::from(damaged), &KEY), None);
            let short = &bytes[..cut % bytes.len()];
            prop_assert_eq!(Head::decode(&Bytes::copy_from_slice(short), &KEY), None);
        }

        #[test]
        fn noise_is_nothing(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let noise = Bytes::from(noise);
            prop_assert_eq!(Head::decode(&noise, &KEY), None);
            prop_assert_eq!(decode_chunk(&noise, &KEY, &head(5, Some(b"hello")), 0), None);
        }

        #[test]
        fn sealed_nonsense_does_not_panic(inner in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut sealed = HEAD.to_vec();
            sealed.extend_from_slice(&KEY);
            sealed.extend_from_slice(&inner);
            let _ = Head::decode(&Bytes::from(seal(sealed)), &KEY);
        }
    }
}
