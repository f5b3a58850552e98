//! Key-value stores: entries that stay from request to request, shared by all functions that the
//! operator granted the store.
//!
//! ```
//! # use verge_sdk::testing::Host;
//! # let _host = Host::new().kv_store("sessions");
//! use std::time::Duration;
//! use verge_sdk::kv::Store;
//!
//! let sessions = Store::open("sessions")?;
//! sessions.set_for("s:42", "Ada", Duration::from_secs(3600))?;
//! let entry = sessions.get("s:42")?.expect("it was just written");
//! assert_eq!(entry.value, b"Ada");
//!
//! assert_eq!(sessions.increment("visits", 1)?, 1);
//! assert_eq!(sessions.increment("visits", 1)?, 2);
//! # Ok::<(), verge_sdk::kv::KvError>(())
//! ```
//!
//! A store of the node is on its disk, and what was written is there after a crash; one of a region
//! is in Redis. Either can be slow or gone: each call fails within a time that the operator sets,
//! and that time counts to the function's deadline. Write so that a store which is gone is not the
//! end of the request:
//!
//! ```
//! # use verge_sdk::testing::Host;
//! # let _host = Host::new().kv_store("flags").kv_fails(verge_sdk::kv::KvError::TimedOut);
//! use verge_sdk::kv::Store;
//!
//! let beta = Store::open("flags").and_then(|flags| flags.exists("beta"));
//! assert!(!beta.unwrap_or(false), "without the store, nobody is in the beta");
//! ```
//!
//! To change a value that others may change too, take its version along:
//!
//! ```
//! # use verge_sdk::testing::Host;
//! # let _host = Host::new().kv_store("carts");
//! use verge_sdk::kv::{Expected, KvError, Store, Swapped};
//!
//! /// Appends an item, whoever else is at it.
//! fn add(carts: &Store, key: &str, item: &str) -> Result<(), KvError> {
//!     let mut found = carts.get(key)?;
//!     loop {
//!         let old = found.as_ref().map_or(&b""[..], |entry| &entry.value);
//!         let new = [old, item.as_bytes(), b";"].concat();
//!         match carts.swap(key, Expected::entry(found.as_ref()), new, None)? {
//!             Swapped::Written(_) => return Ok(()),
//!             Swapped::Conflict(now) => found = now,
//!         }
//!     }
//! }
//!
//! let carts = Store::open("carts")?;
//! add(&carts, "c:1", "tea")?;
//! add(&carts, "c:1", "milk")?;
//! assert_eq!(carts.text("c:1")?.as_deref(), Some("tea;milk;"));
//! # Ok::<(), KvError>(())
//! ```

use std::time::Duration;

use crate::backend::imp;

/// The most keys of one page of [`Store::page`].
pub const PAGE_MAX: u32 = 1000;

/// A store that was granted to this function.
#[derive(Debug)]
pub struct Store(imp::kv::RawStore);

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Vec<u8>,
    /// Changes with every write. It says nothing but whether two are equal.
    pub version: u64,
}

/// What a key must be for [`Store::swap`] to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Not there.
    Absent,
    /// Of this version.
    Version(u64),
    /// Of exactly this value.
    Value(&'a [u8]),
}

impl Expected<'_> {
    /// As it was found.
    #[must_use]
    pub fn entry(found: Option<&Entry>) -> Self {
        found.map_or(Self::Absent, |entry| Self::Version(entry.version))
    }
}

/// What became of a [`Store::swap`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "what was not written must be tried again or given up"]
pub enum Swapped {
    /// It was written; the version that it has now.
    Written(u64),
    /// It was not: this is there instead.
    Conflict(Option<Entry>),
}

/// Some keys of a store, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// What to go on with; `None` at the end. A page can be empty and not the last.
    pub cursor: Option<String>,
}

/// Why a call came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The function was not granted a store of that name.
    #[error("no such store was granted to this function")]
    NoSuchStore,
    /// The key is empty or longer than the store allows.
    #[error("the key is empty or too long")]
    KeyInvalid,
    /// The value is longer than the store allows.
    #[error("the value is too large")]
    ValueTooLarge,
    /// The value is no decimal number of 64 bits, or would not be one.
    #[error("the value is not a number in range")]
    NotANumber,
    /// The store is full: nothing was written.
    #[error("the store is full")]
    Full,
    /// Too many operations wait for the store: nothing was done.
    #[error("too many operations wait for the store")]
    Busy,
    /// The store did not answer in time. What was to be written may be written, or not.
    #[error("the store did not answer in time")]
    TimedOut,
    /// The store cannot be reached or used now. What was to be written may be written, or not.
    #[error("the store cannot be used now")]
    Unavailable,
}

impl Store {
    /// The store of that name in the node's configuration.
    ///
    /// # Errors
    /// [`KvError::NoSuchStore`]: it was not granted.
    pub fn open(name: &str) -> Result<Self, KvError> {
        imp::kv::RawStore::open(name).map(Self)
    }

    /// The entry of a key.
    ///
    /// # Errors
    /// The store did not answer, or the key is invalid. So with all calls below.
    pub fn get(&self, key: &str) -> Result<Option<Entry>, KvError> {
        self.0.get(key)
    }

    /// The value of a key as text; what is not UTF-8 is not there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn text(&self, key: &str) -> Result<Option<String>, KvError> {
        let entry = self.get(key)?;
        Ok(entry.and_then(|entry| String::from_utf8(entry.value).ok()))
    }

    /// Several keys in one call, in their order. Each is read by itself, not all at one moment.
    ///
    /// # Errors
    /// As [`get`](Self::get), or they have more than 4 MiB together.
    pub fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Entry>>, KvError> {
        self.0.get_many(keys)
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn exists(&self, key: &str) -> Result<bool, KvError> {
        self.0.exists(key)
    }

    /// Writes a value that stays until it is deleted, and returns its version.
    ///
    /// # Errors
    /// As [`get`](Self::get), or the value is too large or the store full.
    pub fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<u64, KvError> {
        self.0.set(key, value.as_ref(), None)
    }

    /// Writes a value that is gone after `ttl`, at least a millisecond.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_for(
        &self,
        key: &str,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<u64, KvError> {
        self.0.set(key, value.as_ref(), Some(millis(ttl)))
    }

    /// Deletes a key; whether it was there.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn delete(&self, key: &str) -> Result<bool, KvError> {
        self.0.delete(key)
    }

    /// Adds to a decimal number, 0 if there is none, and returns the sum. Nothing of others comes
    /// between.
    ///
    /// # Errors
    /// As [`set`](Self::set), or [`KvError::NotANumber`].
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, KvError> {
        self.0.increment(key, delta, None)
    }

    /// The same; a number that is made now is gone after `ttl`, one that is there keeps its end.
    ///
    /// # Errors
    /// As [`increment`](Self::increment).
    pub fn increment_for(&self, key: &str, delta: i64, ttl: Duration) -> Result<i64, KvError> {
        self.0.increment(key, delta, Some(millis(ttl)))
    }

    /// Writes a value if the key is as expected, for `ttl` or until it is deleted.
    ///
    /// # Errors
    /// As [`set`](Self::set). That something else is there is no error.
    pub fn swap(
        &self,
        key: &str,
        expected: Expected<'_>,
        value: impl AsRef<[u8]>,
        ttl: Option<Duration>,
    ) -> Result<Swapped, KvError> {
        self.0.swap(key, expected, value.as_ref(), ttl.map(millis))
    }

    /// Keys that begin with `prefix` and come after `cursor`, at most `limit` and [`PAGE_MAX`].
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn page(&self, prefix: &str, cursor: Option<&str>, limit: u32) -> Result<Page, KvError> {
        self.0.list(prefix, cursor, limit.clamp(1, PAGE_MAX))
    }
}

/// Whole milliseconds, at least one.
fn millis(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
