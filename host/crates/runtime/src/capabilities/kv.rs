//! Key-value stores as functions reach them: operations and answers, and the
//! stores that one function was granted. What keeps the entries is the node's.

use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Keys in one page of a list, at most.
pub const KV_PAGE_MAX: u32 = 1000;

/// Where one operation is to be done. Everything is by value: an operation may outlive the call
/// that asked for it.
pub trait KvStore: Send + Sync {
    /// Does it, within the store's own time. The waiting counts to the call's deadline.
    fn run(&self, op: KvOp) -> KvFuture;
}

/// An operation under way.
pub type KvFuture = Pin<Box<dyn Future<Output = Result<KvReply, KvError>> + Send>>;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvOp {
    /// The entry of a key: [`KvReply::Entry`].
    Get {
        /// The key.
        key: String,
    },
    /// Whether there is one: [`KvReply::Flag`].
    Exists {
        /// The key.
        key: String,
    },
    /// Writes: [`KvReply::Version`].
    Set {
        /// The key.
        key: String,
        #[serde(with = "crate::record::bytes")]
        /// Its value.
        value: Vec<u8>,
        /// Its time to live; without, it has none.
        ttl: Option<Duration>,
    },
    /// Deletes; whether there was something: [`KvReply::Flag`].
    Delete {
        /// The key.
        key: String,
    },
    /// Adds to a decimal number: [`KvReply::Number`].
    Increment {
        /// The key.
        key: String,
        /// What is added.
        delta: i64,
        /// The time to live of an entry that is made now.
        ttl: Option<Duration>,
    },
    /// Writes if what is there is as expected: [`KvReply::Swapped`].
    Swap {
        /// The key.
        key: String,
        /// What it must be.
        expected: KvExpected,
        #[serde(with = "crate::record::bytes")]
        /// Its value.
        value: Vec<u8>,
        /// Its time to live; without, it has none.
        ttl: Option<Duration>,
    },
    /// Keys in order: [`KvReply::Page`].
    List {
        /// What they begin with.
        prefix: String,
        /// The last key that was told, or what was told to go on with.
        after: Option<String>,
        /// At most so many, 1 to [`KV_PAGE_MAX`].
        limit: u32,
    },
}

impl KvOp {
    /// All words of [`label`](Self::label).
    pub const LABELS: [&str; 7] = [
        "get",
        "exists",
        "set",
        "delete",
        "increment",
        "swap",
        "list",
    ];

    /// The word for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Get { .. } => "get",
            Self::Exists { .. } => "exists",
            Self::Set { .. } => "set",
            Self::Delete { .. } => "delete",
            Self::Increment { .. } => "increment",
            Self::Swap { .. } => "swap",
            Self::List { .. } => "list",
        }
    }

    /// The key that it is about; a list has none.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Get { key }
            | Self::Exists { key }
            | Self::Set { key, .. }
            | Self::Delete { key }
            | Self::Increment { key, .. }
            | Self::Swap { key, .. } => Some(key),
            Self::List { .. } => None,
        }
    }

    /// The value that it would write.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Set { value, .. } | Self::Swap { value, .. } => Some(value),
            Self::Get { .. }
            | Self::Exists { .. }
            | Self::Delete { .. }
            | Self::Increment { .. }
            | Self::List { .. } => None,
        }
    }

    /// The value that it expects, whatever it writes.
    #[must_use]
    pub fn expected_value(&self) -> Option<&[u8]> {
        match self {
            Self::Swap {
                expected: KvExpected::Value(value),
                ..
            } => Some(value),
            _ => None,
        }
    }

    /// Bytes of key and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let value = self.value().map_or(0, <[u8]>::len);
        let expected = self.expected_value().map_or(0, <[u8]>::len);
        self.key().map_or(0, str::len) + value + expected
    }

    /// Whether it leaves everything as it is.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Get { .. } | Self::Exists { .. } | Self::List { .. }
        )
    }
}

/// What a key must be to be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvExpected {
    /// Not there.
    Absent,
    /// Of this version.
    Version(u64),
    /// Of exactly this value.
    Value(#[serde(with = "crate::record::bytes")] Vec<u8>),
}

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvEntry {
    /// The value.
    #[serde(with = "crate::record::bytes")]
    pub value: Vec<u8>,
    /// Changes with each write.
    pub version: u64,
}

/// Keys in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KvPage {
    /// The keys.
    pub keys: Vec<String>,
    /// What to go on after; `None` at the end.
    pub cursor: Option<String>,
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvReply {
    /// What is there.
    Entry(Option<KvEntry>),
    /// Yes or no.
    Flag(bool),
    /// The version that was written.
    Version(u64),
    /// The sum.
    Number(i64),
    /// The version that was written, or what is there instead.
    Swapped(Result<u64, Option<KvEntry>>),
    /// Keys.
    Page(KvPage),
}

/// Why an operation came to nothing, or perhaps to something that nobody was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
pub enum KvError {
    /// The function was not granted a store of that name.
    #[error("no such store was granted")]
    NoSuchStore,
    /// The key is empty or too long.
    #[error("the key is empty or too long")]
    KeyInvalid,
    /// The value is too long.
    #[error("the value is too large")]
    ValueTooLarge,
    /// The value is no number, or would not be one.
    #[error("the value is not a number in range")]
    NotANumber,
    /// The store is full.
    #[error("the store is full")]
    Full,
    /// Too many operations wait.
    #[error("too many operations wait for the store")]
    Busy,
    /// No answer in time.
    #[error("the store did not answer in time")]
    TimedOut,
    /// It cannot be reached or used.
    #[error("the store cannot be used now")]
    Unavailable,
}

impl KvError {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoSuchStore => "no-such-store",
            Self::KeyInvalid => "key-invalid",
            Self::ValueTooLarge => "value-too-large",
            Self::NotANumber => "not-a-number",
            Self::Full => "full",
            Self::Busy => "busy",
            Self::TimedOut => "timed-out",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The stores that one function was granted, by the names that it uses.
#[derive(Clone, Default)]
pub struct KvStores(Vec<(Arc<str>, Arc<dyn KvStore>)>);

impl KvStores {
    /// These, each name once.
    #[must_use]
    pub fn new(stores: impl IntoIterator<Item = (Arc<str>, Arc<dyn KvStore>)>) -> Self {
        Self(stores.into_iter().collect())
    }

    /// The place of the store `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        let place = self.0.iter().position(|(known, _)| **known == *name);
        u32::try_from(place?).ok()
    }

    /// The store at a place that [`find`](Self::find) told.
    #[must_use]
    pub fn at(&self, place: u32) -> Option<&Arc<dyn KvStore>> {
        let (_, store) = self.0.get(place as usize)?;
        Some(store)
    }

    /// All of them, with their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<dyn KvStore>)> {
        self.0.iter().map(|(name, store)| (name, store))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for KvStores {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        formatter.debug_list().entries(names).finish()
    }
}
