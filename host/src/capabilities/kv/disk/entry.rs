//! An entry as it stands in the file: version, end, value.

/// What an entry costs beside key and value.
pub(super) const OVERHEAD: u64 = 64;

/// Bytes in front of the value.
const HEAD: usize = 16;

/// What is known of an entry without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: u64,
    /// When it ends, in milliseconds of wall time; 0 for never.
    pub(super) ends: u64,
    /// Bytes of its value.
    pub(super) length: usize,
}

impl Head {
    pub(super) fn is_live(&self, now: u64) -> bool {
        self.ends == 0 || now < self.ends
    }
}

/// What an entry counts for a store's limit.
pub(super) fn cost(key: &str, length: usize) -> u64 {
    key.len() as u64 + length as u64 + OVERHEAD
}

pub(super) fn encode(version: u64, ends: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + value.len());
    bytes.extend(version.to_le_bytes());
    bytes.extend(ends.to_le_bytes());
    bytes.extend(value);
    bytes
}

/// Head and value; `None` for what is no entry.
pub(super) fn decode(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (ends, value) = rest.split_first_chunk()?;
    let head = Head {
        version: u64::from_le_bytes(*version),
        ends: u64::from_le_bytes(*ends),
        length: value.len(),
    };
    Some((head, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let bytes = encode(7, 9, b"value");
        let head = Head {
            version: 7,
            ends: 9,
            length: 5,
        };
        assert_eq!(decode(&bytes), Some((head, &b"value"[..])));
        assert!(head.is_live(8) && !head.is_live(9));
        for length in 0..HEAD {
            assert_eq!(decode(&bytes[..length]), None);
        }
        assert_eq!(cost("key", 5), 72);
    }
}
