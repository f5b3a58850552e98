//! Cache keys: what a stored response is found by.
//!
//! A key always names scheme, authority, path and query, and then the parts
//! that functions declared. Its encoding is length-prefixed, so that no two
//! different inputs have the same key. It must not normalise anything: what
//! comes in has its normal form already.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;
use verge_http::Scheme;

/// Most bytes of a key that are put together without a second allocation.
const KEY_INLINE: usize = 512;

/// The length that stands for a query that is absent, as against one that is empty.
const QUERY_ABSENT: u32 = u32::MAX;

/// What a response is stored under and found by; cheap to clone.
#[derive(Clone)]
pub struct Key {
    hash: u64,
    uri_hash: u64,
    uri_len: u32,
    encoded: Arc<[u8]>,
}

/// The target URI of a request (RFC 9110 7.1), each part in normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// How the client's connection was made.
    pub scheme: Scheme,
    /// Host and port; [`verge_http::Authority::as_str`].
    pub authority: &'a str,
    /// The path, beginning with a slash.
    pub path: &'a str,
    /// What stands after the question mark; `Some("")` is not `None`.
    pub query: Option<&'a str>,
}

/// A part of the key that a function declared, or a field that one changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPart<'a> {
    /// What the part is called; a field name in lower case for fields.
    pub name: &'a str,
    /// The part's value; may be a secret, so it is never shown.
    pub value: &'a [u8],
}

/// The secret with which keys are hashed, so that no client can choose
/// requests whose keys collide.
#[derive(Clone, Debug)]
pub struct KeyHasher(ahash::RandomState);

impl KeyHasher {
    /// A hasher with a secret of its own.
    #[must_use]
    pub fn new() -> Self {
        Self(ahash::RandomState::new())
    }

    /// A hasher with the same secret, for what comes in pieces.
    pub(crate) fn hasher(&self) -> ahash::AHasher {
        self.0.build_hasher()
    }

    /// The keyed hash of `text`, for tables that hold what clients chose.
    #[must_use]
    pub fn hash_text(&self, text: &str) -> u64 {
        self.hash(text.as_bytes())
    }

    /// The keyed hash of `bytes`.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        self.0.hash_one(bytes)
    }
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl Key {
    /// The key of `target` with the declared `parts`, whose order does not matter.
    #[must_use]
    pub fn new(hasher: &KeyHasher, target: Target<'_>, parts: &[KeyPart<'_>]) -> Self {
        let mut encoded: SmallVec<[u8; KEY_INLINE]> = SmallVec::new();
        push(&mut encoded, target.scheme.as_str().as_bytes());
        push(&mut encoded, target.authority.as_bytes());
        push(&mut encoded, target.path.as_bytes());
        match target.query {
            Some(query) => push(&mut encoded, query.as_bytes()),
            None => encoded.extend_from_slice(&QUERY_ABSENT.to_le_bytes()),
        }
        let uri_len = length(encoded.len());
        let uri_hash = hasher.hash(&encoded);
        let hash = if parts.is_empty() {
            uri_hash
        } else {
            let mut sorted: SmallVec<[KeyPart<'_>; 8]> = SmallVec::from_slice(parts);
            sorted.sort_unstable();
            for part in sorted {
                push(&mut encoded, part.name.as_bytes());
                push(&mut encoded, part.value);
            }
            hasher.hash(&encoded)
        };
        Self {
            hash,
            uri_hash,
            uri_len,
            encoded: Arc::from(encoded.as_slice()),
        }
    }

    /// This key with one more part, which the cache itself adds: a key of its own for the
    /// same URI. Such parts stand behind all others.
    #[must_use]
    pub(crate) fn with_part(&self, hasher: &KeyHasher, name: &str, value: &[u8]) -> Self {
        let mut encoded: SmallVec<[u8; KEY_INLINE]> = SmallVec::from_slice(&self.encoded);
        push(&mut encoded, name.as_bytes());
        push(&mut encoded, value);
        Self {
            hash: hasher.hash(&encoded),
            uri_hash: self.uri_hash,
            uri_len: self.uri_len,
            encoded: Arc::from(encoded.as_slice()),
        }
    }

    /// Whether functions declared parts, or changed fields, of this key's request.
    #[must_use]
    pub fn has_parts(&self) -> bool {
        self.encoded.len() > self.uri_len as usize
    }

    /// The SHA-256 of the key's encoding: the same in every process, for what outlives one or
    /// is shared by several.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        digest(&self.encoded)
    }

    /// The SHA-256 of the target URI's encoding alone: the same for all keys of one URI.
    #[must_use]
    pub fn uri_digest(&self) -> [u8; 32] {
        let uri = self.encoded.get(..self.uri_len as usize);
        digest(uri.unwrap_or(&self.encoded))
    }

    /// The keyed hash of the whole key.
    #[must_use]
    pub fn hash_value(&self) -> u64 {
        self.hash
    }

    /// The keyed hash of the target URI alone: the same for all keys of one URI.
    pub(crate) fn uri_hash(&self) -> u64 {
        self.uri_hash
    }

    /// The target URI.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        let mut rest: &[u8] = &self.encoded;
        let scheme = match take(&mut rest) {
            Some("http") => Scheme::Http,
            _ => Scheme::Https,
        };
        Target {
            scheme,
            authority: take(&mut rest).unwrap_or_default(),
            path: take(&mut rest).unwrap_or_default(),
            query: take(&mut rest),
        }
    }

    /// Bytes that the key takes.
    pub(crate) fn len(&self) -> usize {
        self.encoded.len()
    }
}

/// Tells these digests from those of anything else; the digit goes up with the encoding.
const DIGEST_DOMAIN: &[u8] = b"verge-key-1\0";

fn digest(encoded: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(DIGEST_DOMAIN);
    hasher.update(encoded);
    hasher.finalize().into()
}

fn length(len: usize) -> u32 {
    // Far below: a request head is limited to kilobytes. Saturating keeps the
    // prefix distinct from QUERY_ABSENT.
    u32::try_from(len)
        .unwrap_or(QUERY_ABSENT - 1)
        .min(QUERY_ABSENT - 1)
}

fn push(encoded: &mut SmallVec<[u8; KEY_INLINE]>, bytes: &[u8]) {
    encoded.extend_from_slice(&length(bytes.len()).to_le_bytes());
    encoded.extend_from_slice(bytes);
}

/// Takes one length-prefixed text off the front of `rest`; `None` for an
/// absent query or at the end.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (prefix, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    let len = u32::from_le_bytes(*prefix);
    if len == QUERY_ABSENT {
        return None;
    }
    let (text, tail) = tail.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && (Arc::ptr_eq(&self.encoded, &other.encoded) || self.encoded == other.encoded)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// For logs: the URI and the names of declared parts, never their values.
impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest: &[u8] = &self.encoded;
        let scheme = take(&mut rest).unwrap_or_default();
        let authority = take(&mut rest).unwrap_or_default();
        let path = take(&mut rest).unwrap_or_default();
        write!(formatter, "{scheme}://{authority}{path}")?;
        if let Some(query) = take(&mut rest) {
            write!(formatter, "?{query}")?;
        }
        while !rest.is_empty() {
            let name = take(&mut rest).unwrap_or("?");
            write!(formatter, " {{{name}}}")?;
            // The value may be any bytes: skip it without reading it as text.
            let Some((prefix, tail)) = rest.split_first_chunk::<4>() else {
                break;
            };
            let len = u32::from_le_bytes(*prefix) as usize;
            rest = tail.get(len..).unwrap_or_default();
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({self})")
    }
}

/// Passes a [`Key`]'s own hash through; it is keyed already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PrecomputedHash;

/// See [`PrecomputedHash`].
#[derive(Debug, Default)]
pub(crate) struct PrecomputedHasher(u64);

impl BuildHasher for PrecomputedHash {
    type Hasher = PrecomputedHasher;

    fn build_hasher(&self) -> PrecomputedHasher {
        PrecomputedHasher(0)
    }
}

impl Hasher for PrecomputedHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not taken for the keys of this crate, which write one u64.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 ^= value;
    }
}

#[cfg(test)]
mod tests;
