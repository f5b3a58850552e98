//! A purge as bytes: for the stream between nodes and for a disk's log.
//!
//! The first byte is the version. What comes from elsewhere is hostile: every
//! length is checked before it is used, and bytes that are left over are an
//! error. Nothing is guessed: a purge that cannot be read is told, because the
//! reader must then count more as purged, not less.

use std::time::{Duration, SystemTime};

use verge_http::Scheme;
use verge_http::surrogate::SurrogateKey;

use super::scope::{PurgeScope, PurgeTarget, SCOPE_TEXT_MAX, ScopeInvalid};
use super::{Hardness, Purge, PurgeCause, PurgeId};
use crate::key::Target;

/// The version that this program writes.
const VERSION: u8 = 1;

/// Most bytes of a purge.
pub const PURGE_WIRE_MAX: usize = 4 * SCOPE_TEXT_MAX;

/// Why bytes are no purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireInvalid {
    /// They are of another version.
    Version(u8),
    /// They end too early, or go on too long.
    Length,
    /// A number or text has no meaning.
    Value,
    /// There is no such scope.
    Scope(ScopeInvalid),
}

impl Purge {
    /// The purge as bytes, at most [`PURGE_WIRE_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![
            VERSION,
            u8::from(self.hardness == Hardness::Soft),
            u8::from(self.cause == PurgeCause::Invalidation),
        ];
        out.extend_from_slice(&millis(self.at).to_le_bytes());
        out.extend_from_slice(&self.id.node.to_le_bytes());
        out.extend_from_slice(&self.id.number.to_le_bytes());
        out.push(self.scope.kind().index() as u8);
        match &self.scope {
            PurgeScope::Uri(target) | PurgeScope::Prefix(target) => push_target(&mut out, target),
            PurgeScope::SurrogateKey(key) => push(&mut out, key.as_str()),
            PurgeScope::Group(target, key) => {
                push_target(&mut out, target);
                push(&mut out, key.as_str());
            }
            PurgeScope::Site(text) | PurgeScope::Function(text) => push(&mut out, text),
            PurgeScope::Everything => {}
            PurgeScope::SiteKey(site, key) => {
                push(&mut out, site);
                push(&mut out, key.as_str());
            }
        }
        out
    }

    /// The purge that `bytes` are.
    ///
    /// # Errors
    /// [`WireInvalid`] if they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireInvalid> {
        if bytes.len() > PURGE_WIRE_MAX {
            return Err(WireInvalid::Length);
        }
        let mut rest = Rest(bytes);
        match rest.byte()? {
            VERSION => {}
            other => return Err(WireInvalid::Version(other)),
        }
        let hardness = match rest.flag()? {
            true => Hardness::Soft,
            false => Hardness::Hard,
        };
        let cause = match rest.flag()? {
            true => PurgeCause::Invalidation,
            false => PurgeCause::Operator,
        };
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(rest.number()?));
        let at = at.ok_or(WireInvalid::Value)?;
        let id = PurgeId {
            node: rest.number()?,
            number: rest.number()?,
        };
        let scope = rest.scope()?;
        if !rest.0.is_empty() {
            return Err(WireInvalid::Length);
        }
        Ok(Self {
            id,
            scope,
            hardness,
            cause,
            at,
        })
    }
}

/// Milliseconds since 1970, 0 before.
pub(super) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn push(out: &mut Vec<u8>, text: &str) {
    // Far below 32 bits: texts are limited where they are made.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn push_target(out: &mut Vec<u8>, target: &PurgeTarget) {
    let target = target.target();
    out.push(u8::from(target.scheme == Scheme::Https));
    push(out, target.authority);
    push(out, target.path);
    out.push(u8::from(target.query.is_some()));
    if let Some(query) = target.query {
        push(out, query);
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireInvalid> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireInvalid::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, WireInvalid> {
        let [byte] = self.take()?;
        Ok(byte)
    }

    fn flag(&mut self) -> Result<bool, WireInvalid> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireInvalid::Value),
        }
    }

    fn number(&mut self) -> Result<u64, WireInvalid> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn text(&mut self) -> Result<&'a str, WireInvalid> {
        let length = u32::from_le_bytes(self.take()?);
        let length = usize::try_from(length).map_err(|_| WireInvalid::Length)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(WireInvalid::Length)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| WireInvalid::Value)
    }

    fn key(&mut self) -> Result<SurrogateKey, WireInvalid> {
        SurrogateKey::new(self.text()?).ok_or(WireInvalid::Value)
    }

    fn target(&mut self) -> Result<Target<'a>, WireInvalid> {
        let scheme = match self.flag()? {
            true => Scheme::Https,
            false => Scheme::Http,
        };
        let (authority, path) = (self.text()?, self.text()?);
        let query = match self.flag()? {
            true => Some(self.text()?),
            false => None,
        };
        Ok(Target {
            scheme,
            authority,
            path,
            query,
        })
    }

    fn scope(&mut self) -> Result<PurgeScope, WireInvalid> {
        let scope = match self.byte()? {
            0 => PurgeTarget::new(self.target()?).map(PurgeScope::Uri),
            1 => PurgeScope::prefix(self.target()?),
            2 => Ok(PurgeScope::SurrogateKey(self.key()?)),
            3 => {
                let target = PurgeTarget::new(self.target()?);
                let key = self.key()?;
                target.map(|target| PurgeScope::Group(target, key))
            }
            4 => PurgeScope::site(self.text()?),
            5 => PurgeScope::function(self.text()?),
            6 => Ok(PurgeScope::Everything),
            7 => {
                let site = self.text()?;
                let key = self.key()?;
                PurgeScope::site_key(site, key)
            }
            _ => return Err(WireInvalid::Value),
        };
        scope.map_err(WireInvalid::Scope)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target<'a>(path: &'a str, query: Option<&'a str>) -> Target<'a> {
        Target {
            scheme: Scheme::Https,
            authority: "shop.example",
            path,
            query,
        }
    }

    fn scopes() -> Vec<PurgeScope> {
        let key = || SurrogateKey::new("a b").expect("a key");
        let owned = |path, query| PurgeTarget::new(target(path, query)).expect("a target");
        vec![
            PurgeScope::Uri(owned("/a", Some(""))),
            PurgeScope::Uri(owned("/a", None)),
            PurgeScope::prefix(target("/a/", None)).expect("a prefix"),
            PurgeScope::SurrogateKey(key()),
            PurgeScope::Group(owned("/", None), key()),
            PurgeScope::site("shop").expect("a site"),
            PurgeScope::function("resize").expect("a function"),
            PurgeScope::Everything,
            PurgeScope::site_key("shop", key()).expect("a site"),
        ]
    }

    fn purges() -> Vec<Purge> {
        let purge = |(number, scope): (usize, PurgeScope)| Purge {
            id: PurgeId {
                node: u64::MAX - 1,
                number: number as u64,
            },
            scope,
            hardness: [Hardness::Hard, Hardness::Soft][number % 2],
            cause: [PurgeCause::Operator, PurgeCause::Invalidation][number / 2 % 2],
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        };
        scopes().into_iter().enumerate().map(purge).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        for purge in purges() {
            assert_eq!(Purge::decode(&purge.encode()), Ok(purge));
        }
    }

    #[test]
    fn a_cut_or_longer_purge_is_refused() {
        for purge in purges() {
            let bytes = purge.encode();
            for end in 0..bytes.len() {
                assert!(Purge::decode(&bytes[..end]).is_err(), "{purge:?} {end}");
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            assert_eq!(Purge::decode(&longer), Err(WireInvalid::Length));
        }
    }

    #[test]
    fn another_version_is_told_apart() {
        let mut bytes = purges()[0].encode();
        bytes[0] = 2;
        assert_eq!(Purge::decode(&bytes), Err(WireInvalid::Version(2)));
    }

    #[test]
    fn the_encoding_stays_as_it_is() {
        let purge = Purge {
            id: PurgeId { node: 1, number: 2 },
            scope: PurgeScope::site("ab").expect("a site"),
            hardness: Hardness::Soft,
            cause: PurgeCause::Operator,
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(3),
        };
        let mut expected = vec![1, 1, 0];
        for number in [3_u64, 1, 2] {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        expected.extend_from_slice(&[4, 2, 0, 0, 0, b'a', b'b']);
        assert_eq!(purge.encode(), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(purge) = Purge::decode(&bytes) {
                prop_assert_eq!(purge.encode(), bytes);
            }
        }

        #[test]
        fn a_changed_byte_is_survived(which in 0_usize..8, at in any::<usize>(), to in any::<u8>()) {
            let mut bytes = purges()[which].encode();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(purge) = Purge::decode(&bytes) {
                prop_assert_eq!(purge.encode(), bytes);
            }
        }
    }
}
