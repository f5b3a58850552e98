//! `verge:edge/kv`.

use super::bindings::imports::verge::edge::kv;
use crate::kv::{Entry, Expected, KvError, Page, Swapped};

#[derive(Debug)]
pub(crate) struct RawStore(kv::Store);

impl RawStore {
    pub(crate) fn open(name: &str) -> Result<Self, KvError> {
        Ok(Self(kv::Store::open(name)?))
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Entry>, KvError> {
        Ok(self.0.get(key)?.map(Entry::from))
    }

    pub(crate) fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Entry>>, KvError> {
        let found = self.0.get_many(keys)?.into_iter();
        Ok(found.map(|entry| entry.map(Entry::from)).collect())
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool, KvError> {
        Ok(self.0.exists(key)?)
    }

    pub(crate) fn set(&self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<u64, KvError> {
        Ok(self.0.set(key, value, ttl)?)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<bool, KvError> {
        Ok(self.0.delete(key)?)
    }

    pub(crate) fn increment(
        &self,
        key: &str,
        delta: i64,
        ttl: Option<u64>,
    ) -> Result<i64, KvError> {
        Ok(self.0.increment(key, delta, ttl)?)
    }

    pub(crate) fn swap(
        &self,
        key: &str,
        expected: Expected<'_>,
        value: &[u8],
        ttl: Option<u64>,
    ) -> Result<Swapped, KvError> {
        let expected = match expected {
            Expected::Absent => kv::Expected::Absent,
            Expected::Version(version) => kv::Expected::Version(version),
            Expected::Value(value) => kv::Expected::Value(value),
        };
        Ok(match self.0.swap(key, expected, value, ttl)? {
            kv::Swapped::Written(version) => Swapped::Written(version),
            kv::Swapped::Conflict(entry) => Swapped::Conflict(entry.map(Entry::from)),
        })
    }

    pub(crate) fn list(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, KvError> {
        let page = self.0.list(prefix, cursor, limit)?;
        Ok(Page {
            keys: page.keys,
            cursor: page.cursor,
        })
    }
}

impl From<kv::Entry> for Entry {
    fn from(entry: kv::Entry) -> Self {
        Self {
            value: entry.value,
            version: entry.version,
        }
    }
}

impl From<kv::Error> for KvError {
    fn from(error: kv::Error) -> Self {
        match error {
            kv::Error::NoSuchStore => Self::NoSuchStore,
            kv::Error::KeyInvalid => Self::KeyInvalid,
            kv::Error::ValueTooLarge => Self::ValueTooLarge,
            kv::Error::NotANumber => Self::NotANumber,
            kv::Error::Full => Self::Full,
            kv::Error::Busy => Self::Busy,
            kv::Error::TimedOut => Self::TimedOut,
            kv::Error::Unavailable => Self::Unavailable,
        }
    }
}
