//! Surrogate keys: names that an origin gives to responses, so that they can
//! be purged together. They come as Surrogate-Key (separated by spaces), as
//! Cache-Tag (separated by commas) and as Cache-Groups (RFC 9875). Functions
//! declare others for the responses to a request.
//!
//! Nothing is left out silently: a response whose keys are more than the limits
//! is told apart, because a purge by a key that was dropped would miss it.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

/// Most surrogate keys of one response. RFC 9875 2 asks for at least 32.
pub const SURROGATE_KEYS_MAX: usize = 128;
/// Most bytes of all surrogate keys of one response.
pub const SURROGATE_KEYS_BYTES_MAX: usize = 8 * 1024;
/// Most bytes of one surrogate key. RFC 9875 2 asks for at least 32.
pub const SURROGATE_KEY_BYTES_MAX: usize = 1024;

/// Surrogate-Key: names separated by spaces. For this node, not for clients.
pub static SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// Cache-Tag: names separated by commas. For this node, not for clients.
pub static CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
/// Cache-Groups: a structured list of strings (RFC 9875 2). It is passed on.
pub static CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// Cache-Group-Invalidation: a structured list of strings (RFC 9875 3).
pub static CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// One surrogate key: visible ASCII, spaces only in those of Cache-Tag and
/// Cache-Groups; case matters. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SurrogateKey {
    hash: u64,
    text: Arc<str>,
}

/// The surrogate keys of a response, each once. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurrogateKeys {
    /// From Surrogate-Key and Cache-Tag, sorted; then those that functions declared, sorted.
    tags: Arc<[SurrogateKey]>,
    /// How many of the tags the origin named.
    named: usize,
    /// From Cache-Groups.
    groups: Arc<[SurrogateKey]>,
}

/// A response has more surrogate keys than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyKeys;

impl SurrogateKey {
    /// A key with this text; `None` if it is empty, longer than
    /// [`SURROGATE_KEY_BYTES_MAX`], or not printable ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_valid = !text.is_empty()
            && text.len() <= SURROGATE_KEY_BYTES_MAX
            && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        is_valid.then(|| Self {
            hash: hash(text),
            text: text.into(),
        })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A hash of the text: the same in every process, and no secret. Texts
    /// that differ may share it.
    #[must_use]
    pub fn hash_value(&self) -> u64 {
        self.hash
    }
}

impl fmt::Debug for SurrogateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, formatter)
    }
}

impl fmt::Display for SurrogateKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl SurrogateKeys {
    /// The keys of a response. Names that are no valid keys are left out, and
    /// so is a Cache-Groups field that is no list of strings (RFC 9875 2).
    ///
    /// # Errors
    /// [`TooManyKeys`] if there are more than the limits allow.
    pub fn of(response: &HeaderMap) -> Result<Self, TooManyKeys> {
        if !has_keys(response) {
            return Ok(Self::default());
        }
        Self::checked(tags(response), Vec::new(), groups(response))
    }

    /// These keys and those that functions `declared` for the response.
    ///
    /// # Errors
    /// [`TooManyKeys`] as for [`SurrogateKeys::of`].
    pub fn with_declared(self, declared: &[SurrogateKey]) -> Result<Self, TooManyKeys> {
        if declared.iter().all(|key| self.declared().contains(key)) {
            return Ok(self);
        }
        let declared = [self.declared(), declared].concat();
        Self::checked(self.named().to_vec(), declared, self.groups.to_vec())
    }

    /// The keys of a stored response with these ones after it was updated by
    /// `newer`: tags stay unless `newer` names others, and so do groups
    /// (RFC 9111 3.2). What functions declared stays: no field names it anew.
    ///
    /// # Errors
    /// [`TooManyKeys`] as for [`SurrogateKeys::of`].
    pub fn updated(&self, newer: &HeaderMap) -> Result<Self, TooManyKeys> {
        if !has_keys(newer) {
            return Ok(self.clone());
        }
        let has_tags = newer.contains_key(&SURROGATE_KEY) || newer.contains_key(&CACHE_TAG);
        let named = if has_tags {
            tags(newer)
        } else {
            self.named().to_vec()
        };
        let groups = if newer.contains_key(&CACHE_GROUPS) {
            groups(newer)
        } else {
            self.groups.to_vec()
        };
        Self::checked(named, self.declared().to_vec(), groups)
    }

    /// These keys and all of `other`.
    ///
    /// # Errors
    /// [`TooManyKeys`] as for [`SurrogateKeys::of`].
    pub fn joined(&self, other: &Self) -> Result<Self, TooManyKeys> {
        Self::checked(
            [self.named(), other.named()].concat(),
            [self.declared(), other.declared()].concat(),
            [self.groups(), other.groups()].concat(),
        )
    }

    /// From texts that were stored before, without those that are no keys: what the origin named,
    /// what functions declared, and groups.
    ///
    /// # Errors
    /// [`TooManyKeys`] as for [`SurrogateKeys::of`].
    pub fn from_stored<'a>(
        named: impl IntoIterator<Item = &'a str>,
        declared: impl IntoIterator<Item = &'a str>,
        groups: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, TooManyKeys> {
        Self::checked(
            named.into_iter().filter_map(SurrogateKey::new).collect(),
            declared.into_iter().filter_map(SurrogateKey::new).collect(),
            groups.into_iter().filter_map(SurrogateKey::new).collect(),
        )
    }

    /// All keys: tags, then groups.
    pub fn iter(&self) -> impl Iterator<Item = &SurrogateKey> {
        self.tags.iter().chain(self.groups.iter())
    }

    /// The keys of Surrogate-Key and Cache-Tag, and those that functions declared.
    #[must_use]
    pub fn tags(&self) -> &[SurrogateKey] {
        &self.tags
    }

    /// The keys of Surrogate-Key and Cache-Tag.
    #[must_use]
    pub fn named(&self) -> &[SurrogateKey] {
        self.tags.get(..self.named).unwrap_or_default()
    }

    /// Those that functions declared.
    #[must_use]
    pub fn declared(&self) -> &[SurrogateKey] {
        self.tags.get(self.named..).unwrap_or_default()
    }

    /// The groups of Cache-Groups.
    #[must_use]
    pub fn groups(&self) -> &[SurrogateKey] {
        &self.groups
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.groups.is_empty()
    }

    /// Bytes of memory that the keys take.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.iter()
            .map(|key| (key.text.len() + size_of::<SurrogateKey>() + 2 * size_of::<usize>()) as u64)
            .sum()
    }

    fn checked(
        mut named: Vec<SurrogateKey>,
        mut declared: Vec<SurrogateKey>,
        mut groups: Vec<SurrogateKey>,
    ) -> Result<Self, TooManyKeys> {
        for keys in [&mut named, &mut declared, &mut groups] {
            keys.sort_unstable();
            keys.dedup();
        }
        // What is named today and declared, too, is still declared when it is named no more.
        named.retain(|key| declared.binary_search(key).is_err());
        let count = named.len();
        let mut tags = named;
        tags.append(&mut declared);
        let bytes: usize = tags.iter().chain(&groups).map(|key| key.text.len()).sum();
        if tags.len() + groups.len() > SURROGATE_KEYS_MAX || bytes > SURROGATE_KEYS_BYTES_MAX {
            return Err(TooManyKeys);
        }
        Ok(Self {
            tags: tags.into(),
            named: count,
            groups: groups.into(),
        })
    }
}

/// The groups that the response to an unsafe request invalidates; empty if the
/// field is absent or no list of strings (RFC 9875 3). At most
/// [`SURROGATE_KEYS_MAX`] are read: a client that can make an origin name more
/// has named enough.
#[must_use]
pub fn invalidated_groups(response: &HeaderMap) -> Vec<SurrogateKey> {
    let mut groups = strings(response, &CACHE_GROUP_INVALIDATION);
    groups.truncate(SURROGATE_KEYS_MAX);
    groups
}

/// Removes what is for this node alone.
pub fn remove_keys(response: &mut HeaderMap) {
    response.remove(&SURROGATE_KEY);
    response.remove(&CACHE_TAG);
}

fn has_keys(response: &HeaderMap) -> bool {
    [&SURROGATE_KEY, &CACHE_TAG, &CACHE_GROUPS]
        .iter()
        .any(|name| response.contains_key(*name))
}

/// The keys of Surrogate-Key and Cache-Tag, as many as a response head holds.
fn tags(response: &HeaderMap) -> Vec<SurrogateKey> {
    let named = |name, separator: fn(char) -> bool| {
        let lines = response.get_all(name).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(move |line| line.split(separator))
            .filter_map(|text| SurrogateKey::new(text.trim_matches([' ', '\t'])))
    };
    named(&SURROGATE_KEY, |c| c == ' ' || c == '\t')
        .chain(named(&CACHE_TAG, |c| c == ','))
        .collect()
}

fn groups(response: &HeaderMap) -> Vec<SurrogateKey> {
    strings(response, &CACHE_GROUPS)
}

/// The strings of a structured list; empty if any member is something else.
fn strings(response: &HeaderMap, name: &HeaderName) -> Vec<SurrogateKey> {
    let Some(list) = crate::structured::parse_list(response, name) else {
        return Vec::new();
    };
    let text = |entry: &sfv::ListEntry| match entry {
        sfv::ListEntry::Item(item) => match &item.bare_item {
            sfv::BareItem::String(text) => Some(text.as_str().to_owned()),
            _ => None,
        },
        sfv::ListEntry::InnerList(_) => None,
    };
    let texts: Option<Vec<String>> = list.iter().map(text).collect();
    let texts = texts.unwrap_or_default();
    texts.iter().filter_map(|t| SurrogateKey::new(t)).collect()
}

/// FNV-1a, stirred so that its low bits are good enough for tables.
fn hash(text: &str) -> u64 {
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::fields;

    fn texts(lines: &[(&str, &str)]) -> Vec<String> {
        let keys = SurrogateKeys::of(&fields(lines)).expect("within the limits");
        keys.iter().map(ToString::to_string).collect()
    }

    fn sorted(lines: &[(&str, &str)]) -> Vec<String> {
        let mut texts = texts(lines);
        texts.sort_unstable();
        texts
    }

    #[test]
    fn keys_come_from_three_fields() {
        assert_eq!(texts(&[("x", "y")]), [""; 0]);
        assert_eq!(
            sorted(&[("surrogate-key", " b  a\tb"), ("surrogate-key", "c")]),
            ["a", "b", "c"]
        );
        assert_eq!(
            sorted(&[("cache-tag", "two words ,b,, a"), ("cache-tag", "b")]),
            ["a", "b", "two words"]
        );
        assert_eq!(
            sorted(&[
                ("cache-groups", "\"g 1\";x=1, \"g,2\""),
                ("surrogate-key", "a")
            ]),
            ["a", "g 1", "g,2"]
        );
    }

    #[test]
    fn groups_that_are_no_strings_are_ignored_whole_rfc_9875_2() {
        for value in [
            "a",
            "\"a\", b",
            "(\"a\")",
            "\"a",
            "\"a\",",
            "\"a\" \"b\"",
            "1",
        ] {
            assert_eq!(texts(&[("cache-groups", value)]), [""; 0], "{value}");
        }
        // Lines are one list, as RFC 9651 4.2 says.
        assert_eq!(
            sorted(&[("cache-groups", "\"a\""), ("cache-groups", "\"b\"")]),
            ["a", "b"]
        );
    }

    #[test]
    fn more_than_the_limits_is_told() {
        let many: Vec<String> = (0..=SURROGATE_KEYS_MAX).map(|n| n.to_string()).collect();
        let full = many[1..].join(" ");
        assert_eq!(texts(&[("surrogate-key", &full)]).len(), SURROGATE_KEYS_MAX);
        let over = many.join(" ");
        assert_eq!(
            SurrogateKeys::of(&fields(&[("surrogate-key", &over)])),
            Err(TooManyKeys)
        );
        let long: Vec<String> = (0..9).map(|n| n.to_string().repeat(1000)).collect();
        assert_eq!(
            SurrogateKeys::of(&fields(&[("cache-tag", &long.join(","))])),
            Err(TooManyKeys)
        );
        // The same key again is one key.
        let same = "a ".repeat(SURROGATE_KEYS_MAX + 1);
        assert_eq!(texts(&[("surrogate-key", &same)]), ["a"]);
        assert_eq!(SurrogateKey::new(&"a".repeat(1025)), None);
        assert_eq!(SurrogateKey::new(""), None);
    }

    #[test]
    fn an_update_replaces_what_it_names_rfc_9111_3_2() {
        let stored = fields(&[("surrogate-key", "a"), ("cache-groups", "\"g\"")]);
        let stored = SurrogateKeys::of(&stored).expect("within the limits");
        let after = |lines: &[(&str, &str)]| {
            let keys = stored.updated(&fields(lines)).expect("within the limits");
            keys.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(after(&[]), ["a", "g"]);
        assert_eq!(after(&[("cache-tag", "b")]), ["b", "g"]);
        assert_eq!(after(&[("cache-groups", "\"h\"")]), ["a", "h"]);
        assert_eq!(after(&[("surrogate-key", "")]), ["g"]);
    }

    #[test]
    fn what_functions_declared_stays_whatever_an_update_names() {
        let key = |text: &str| SurrogateKey::new(text).expect("a key");
        let texts = |keys: &SurrogateKeys| {
            let mut texts: Vec<_> = keys.named().iter().map(SurrogateKey::as_str).collect();
            texts.sort_unstable();
            let mut declared: Vec<_> = keys.declared().iter().map(SurrogateKey::as_str).collect();
            declared.sort_unstable();
            assert_eq!(keys.tags().len(), texts.len() + declared.len());
            format!("{} {}", texts.join(""), declared.join(""))
        };
        let stored = SurrogateKeys::of(&fields(&[("surrogate-key", "a f")]));
        let stored = stored.and_then(|keys| keys.with_declared(&[key("f"), key("b")]));
        let stored = stored.expect("within the limits");
        assert_eq!(texts(&stored), "a bf");
        let updated = stored.updated(&fields(&[("surrogate-key", "c")]));
        let updated = updated.expect("within the limits");
        assert_eq!(texts(&updated), "c bf");
        let joined = updated.joined(&stored).expect("within the limits");
        assert_eq!(texts(&joined), "ac bf");
        let many: Vec<_> = (0..SURROGATE_KEYS_MAX)
            .map(|n| key(&n.to_string()))
            .collect();
        assert_eq!(joined.with_declared(&many), Err(TooManyKeys));
    }

    #[test]
    fn what_is_for_the_node_is_removed() {
        let mut response = fields(&[
            ("surrogate-key", "a"),
            ("cache-tag", "b"),
            ("cache-groups", "\"c\""),
        ]);
        remove_keys(&mut response);
        assert_eq!(response, fields(&[("cache-groups", "\"c\"")]));
    }

    #[test]
    fn invalidated_groups_are_strings_rfc_9875_3() {
        let groups = |value: &str| {
            let groups = invalidated_groups(&fields(&[("cache-group-invalidation", value)]));
            groups.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(groups("\"a\", \"b\""), ["a", "b"]);
        assert_eq!(groups("a"), [""; 0]);
        assert!(invalidated_groups(&fields(&[])).is_empty());
    }

    proptest! {
        #[test]
        fn any_value_is_survived(
            tag in "[ -~\t]{0,60}", key in "[ -~\t]{0,60}", group in "[ -~]{0,40}",
        ) {
            let lines = [
                ("cache-tag", tag.as_str()),
                ("surrogate-key", key.as_str()),
                ("cache-groups", group.as_str()),
            ];
            let keys = SurrogateKeys::of(&fields(&lines)).expect("short");
            // What is kept can be stored and read again.
            let again = SurrogateKeys::from_stored(
                keys.named().iter().map(SurrogateKey::as_str),
                keys.declared().iter().map(SurrogateKey::as_str),
                keys.groups().iter().map(SurrogateKey::as_str),
            );
            prop_assert_eq!(again, Ok(keys));
        }
    }
}
