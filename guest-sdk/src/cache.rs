//! The node's cache, for what a function makes itself: a rendered page, an exchange rate, the
//! answer of a slow service.
//!
//! ```
//! # let _host = verge_sdk::testing::Host::new();
//! use std::time::Duration;
//! use verge_sdk::cache::{self, Found, Key, Options};
//!
//! let key = Key::new("rates").part("currency", "EUR");
//! let options = Options::max_age(Duration::from_secs(60))
//!     .stale_while_revalidate(Duration::from_secs(600))
//!     .surrogate_key("rates");
//!
//! let rates = match cache::transact(&key, Duration::from_secs(2))? {
//!     Found::Hit(entry) | Found::Stale(entry) => entry.content,
//!     // This call makes it; others that ask meanwhile wait for it.
//!     Found::Lead(lead) => {
//!         let made = b"1.08".to_vec();
//!         lead.insert(&made, &options)?;
//!         made
//!     }
//! };
//! assert_eq!(rates, b"1.08");
//! assert_eq!(cache::lookup(&key)?.unwrap().content, b"1.08");
//!
//! cache::purge_surrogate_key("rates", cache::Hardness::Hard)?;
//! assert_eq!(cache::lookup(&key)?, None);
//! # Ok::<(), cache::CacheError>(())
//! ```
//!
//! Entries belong to the function, in all its versions, and stand in the node's own memory: they
//! may go at any time. An operator purges them by their surrogate keys or the function's name.

use std::time::Duration;

use crate::backend::imp;

/// What an entry is found by: a name and further parts, whose order does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub(crate) name: String,
    pub(crate) parts: Vec<(String, String)>,
}

impl Key {
    /// The key of that name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            parts: Vec::new(),
        }
    }

    /// The same with one more part.
    #[must_use]
    pub fn part(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parts.push((name.into(), value.into()));
        self
    }
}

/// How an entry is kept. Times count in whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub(crate) max_age: u32,
    pub(crate) stale_while_revalidate: u32,
    pub(crate) stale_if_error: u32,
    pub(crate) surrogate_keys: Vec<String>,
}

impl Options {
    /// Fresh for that long, and gone then.
    #[must_use]
    pub fn max_age(fresh: Duration) -> Self {
        Self {
            max_age: seconds(fresh),
            stale_while_revalidate: 0,
            stale_if_error: 0,
            surrogate_keys: Vec::new(),
        }
    }

    /// The same, and then given out for that long while one caller makes it anew.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = seconds(window);
        self
    }

    /// The same, and then a fallback for that long, should making it anew fail.
    #[must_use]
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = seconds(window);
        self
    }

    /// The same with one more name by which it is purged: visible ASCII without spaces.
    #[must_use]
    pub fn surrogate_key(mut self, key: impl Into<String>) -> Self {
        self.surrogate_keys.push(key.into());
        self
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its content.
    pub content: Vec<u8>,
    /// How long ago it was made.
    pub age: Duration,
    /// Whether it is fresh.
    pub is_fresh: bool,
}

/// Why the cache did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The key is empty or longer than 2048 bytes, its parts included, or has over 16 parts.
    #[error("the key is empty, too long, or has too many parts")]
    KeyInvalid,
    /// A surrogate key is none, or there are too many.
    #[error("a surrogate key is not valid, or there are too many")]
    SurrogateKeyInvalid,
    /// The content is larger than the function's body limit.
    #[error("the content is over the function's body limit")]
    TooLarge,
    /// The cache does not take it: no memory, it was purged meanwhile, or the function purges more than 100 times a
    /// second, a thousand at once.
    #[error("the cache does not take it")]
    Refused,
    /// Another caller makes the entry, and did not end in time.
    #[error("another caller makes the entry, and did not end in time")]
    WaitedTooLong,
    /// The URL is none, or not of this site.
    #[error("the URL is not valid, or not of this site")]
    Forbidden,
    /// There is no cache for this call.
    #[error("there is no cache for this call")]
    Unavailable,
}

/// Whether a purge removes entries or only makes them stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardness {
    /// They are gone.
    Hard,
    /// They are stale from now on.
    Soft,
}

/// What [`transact`] finds.
#[derive(Debug)]
pub enum Found {
    /// A fresh entry.
    Hit(Entry),
    /// A stale one that may be given out: another caller makes it anew.
    Stale(Entry),
    /// This caller is to make it.
    Lead(Lead),
}

/// The duty to make an entry that others wait for. Dropping it cancels, and the next caller gets
/// the duty.
#[derive(Debug)]
#[must_use = "dropping it cancels, and others wait in vain"]
pub struct Lead {
    pub(crate) raw: imp::cache::RawLead,
    pub(crate) stale: Option<Entry>,
    pub(crate) may_serve_stale: bool,
}

impl Lead {
    /// The stale entry, as a fallback.
    #[must_use]
    pub fn stale(&self) -> Option<&Entry> {
        self.stale.as_ref()
    }

    /// Whether the stale entry may be given out at once, and the new one be made afterwards.
    #[must_use]
    pub fn may_serve_stale(&self) -> bool {
        self.may_serve_stale
    }

    /// Stores the entry.
    ///
    /// # Errors
    /// The cache does not take it; those that wait are released.
    pub fn insert(self, content: &[u8], options: &Options) -> Result<(), CacheError> {
        self.raw.insert(content, options)
    }

    /// The stale entry is still right: it is kept on as `options` say.
    ///
    /// # Errors
    /// There was none, or the cache does not take it.
    pub fn refresh(self, options: &Options) -> Result<(), CacheError> {
        self.raw.refresh(options)
    }

    /// There will be no entry. The same as dropping it.
    pub fn cancel(self) {
        drop(self);
    }
}

/// The entry of `key`, fresh or within its stale windows.
///
/// # Errors
/// The key is not valid, or the entry is over the body limit.
pub fn lookup(key: &Key) -> Result<Option<Entry>, CacheError> {
    imp::cache::lookup(key)
}

/// Stores an entry in place of the one that is there.
///
/// # Errors
/// The cache does not take it.
pub fn insert(key: &Key, content: &[u8], options: &Options) -> Result<(), CacheError> {
    imp::cache::insert(key, content, options)
}

/// Finds an entry, or makes this the one caller that makes it; others wait for it, at most for
/// `wait` and for a minute.
///
/// # Errors
/// The key is not valid, or another caller did not end in time.
pub fn transact(key: &Key, wait: Duration) -> Result<Found, CacheError> {
    let wait = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
    imp::cache::transact(key, wait)
}

/// Purges the function's entries of that name, whatever their parts.
///
/// # Errors
/// The name is not valid.
pub fn purge(name: &str, hardness: Hardness) -> Result<(), CacheError> {
    imp::cache::purge(name, hardness)
}

/// Purges all of this request's site that has a surrogate key: responses and entries.
///
/// # Errors
/// It is no surrogate key.
pub fn purge_surrogate_key(key: &str, hardness: Hardness) -> Result<(), CacheError> {
    imp::cache::purge_surrogate_key(key, hardness)
}

/// Purges a URL of this request's site.
///
/// # Errors
/// It is no URL, or of another site.
pub fn purge_url(url: &str, hardness: Hardness) -> Result<(), CacheError> {
    imp::cache::purge_url(url, hardness)
}
