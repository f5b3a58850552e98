//! Key-value stores of a test's function, by the test's clock. Limits are the defaults of a store.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use super::with;
use crate::kv::{Entry, Expected, KvError, Page, Swapped};

/// The default bounds of `[kv.NAME]`.
const KEY_MAX: usize = 1 << 10;
const VALUE_MAX: usize = 1 << 20;

/// The most of `get-many`.
const BATCH_MAX: usize = 4 << 20;

#[derive(Default)]
pub(crate) struct Stores {
    stores: HashMap<String, BTreeMap<String, Kept>>,
    version: u64,
    /// Set to fail whatever is asked.
    pub(crate) fails: Option<KvError>,
}

struct Kept {
    entry: Entry,
    ends: Option<SystemTime>,
}

#[derive(Debug)]
pub(crate) struct RawStore(String);

impl RawStore {
    pub(crate) fn open(name: &str) -> Result<Self, KvError> {
        let is_granted = with(|state| state.kv.stores.contains_key(name));
        is_granted
            .then(|| Self(name.to_owned()))
            .ok_or(KvError::NoSuchStore)
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Entry>, KvError> {
        check_key(key)?;
        self.find(|store, now| store.get(key, now))
    }

    pub(crate) fn get_many(&self, keys: &[&str]) -> Result<Vec<Option<Entry>>, KvError> {
        let found: Result<Vec<_>, KvError> = keys.iter().map(|key| self.get(key)).collect();
        let found = found?;
        let values = found.iter().flatten().map(|entry| entry.value.len());
        if values.sum::<usize>() > BATCH_MAX {
            return Err(KvError::ValueTooLarge);
        }
        Ok(found)
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool, KvError> {
        Ok(self.get(key)?.is_some())
    }

    pub(crate) fn set(&self, key: &str, value: &[u8], ttl: Option<u64>) -> Result<u64, KvError> {
        check_key(key)?;
        check_value(value)?;
        self.find(|mut store, now| store.put(key, value, ends(now, ttl)))
    }

    pub(crate) fn delete(&self, key: &str) -> Result<bool, KvError> {
        check_key(key)?;
        self.find(|mut store, now| {
            let was_there = store.get(key, now).is_some();
            store.remove(key);
            was_there
        })
    }

    pub(crate) fn increment(
        &self,
        key: &str,
        delta: i64,
        ttl: Option<u64>,
    ) -> Result<i64, KvError> {
        check_key(key)?;
        self.find(|mut store, now| {
            let (number, ends) = match store.get(key, now) {
                None => (Some(0), ends(now, ttl)),
                Some(entry) => {
                    let ends = store.entries.get(key).and_then(|kept| kept.ends);
                    (number(&entry.value), ends)
                }
            };
            let sum = number.and_then(|number| number.checked_add(delta));
            let sum = sum.ok_or(KvError::NotANumber)?;
            store.put(key, sum.to_string().as_bytes(), ends);
            Ok(sum)
        })?
    }

    pub(crate) fn swap(
        &self,
        key: &str,
        expected: Expected<'_>,
        value: &[u8],
        ttl: Option<u64>,
    ) -> Result<Swapped, KvError> {
        check_key(key)?;
        check_value(value)?;
        self.find(|mut store, now| {
            let found = store.get(key, now);
            let is_expected = match (&found, expected) {
                (None, Expected::Absent) => true,
                (Some(entry), Expected::Version(version)) => entry.version == version,
                (Some(entry), Expected::Value(value)) => entry.value == value,
                _ => false,
            };
            if is_expected {
                Swapped::Written(store.put(key, value, ends(now, ttl)))
            } else {
                Swapped::Conflict(found)
            }
        })
    }

    pub(crate) fn list(
        &self,
        prefix: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, KvError> {
        self.find(|store, now| {
            let after = |key: &str| cursor.is_none_or(|cursor| key > cursor);
            let live = store.entries.iter().filter(|(key, kept)| {
                key.starts_with(prefix) && after(key) && kept.ends.is_none_or(|ends| now < ends)
            });
            let keys: Vec<String> = live
                .map(|(key, _)| key.clone())
                .take(limit as usize)
                .collect();
            let is_full = keys.len() == limit as usize;
            let cursor = keys.last().filter(|_| is_full).cloned();
            Page { keys, cursor }
        })
    }

    fn find<T>(&self, look: impl FnOnce(Open<'_>, SystemTime) -> T) -> Result<T, KvError> {
        with(|state| {
            if let Some(error) = state.kv.fails {
                return Err(error);
            }
            let Stores {
                stores, version, ..
            } = &mut state.kv;
            let entries = stores.get_mut(&self.0).ok_or(KvError::NoSuchStore)?;
            Ok(look(Open { entries, version }, state.now))
        })
    }
}

impl Stores {
    /// Grants a store, and puts an entry into it if there is one.
    pub(crate) fn grant(&mut self, store: &str, entry: Option<(&str, &[u8])>) {
        let entries = self.stores.entry(store.to_owned()).or_default();
        if let Some((key, value)) = entry {
            let version = &mut self.version;
            Open { entries, version }.put(key, value, None);
        }
    }
}

/// A store that is being looked at.
struct Open<'a> {
    entries: &'a mut BTreeMap<String, Kept>,
    version: &'a mut u64,
}

impl Open<'_> {
    fn get(&self, key: &str, now: SystemTime) -> Option<Entry> {
        let kept = self.entries.get(key)?;
        let is_live = kept.ends.is_none_or(|ends| now < ends);
        is_live.then(|| kept.entry.clone())
    }

    fn remove(&mut self, key: &str) {
        self.entries.remove(key);
    }

    fn put(&mut self, key: &str, value: &[u8], ends: Option<SystemTime>) -> u64 {
        *self.version += 1;
        let version = *self.version;
        let value = value.to_owned();
        let entry = Entry { value, version };
        self.entries.insert(key.to_owned(), Kept { entry, ends });
        version
    }
}

fn ends(now: SystemTime, ttl: Option<u64>) -> Option<SystemTime> {
    now.checked_add(Duration::from_millis(ttl?))
}

/// A decimal number as it is written, without a sign that says nothing.
fn number(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn check_key(key: &str) -> Result<(), KvError> {
    let is_valid = (1..=KEY_MAX).contains(&key.len());
    is_valid.then_some(()).ok_or(KvError::KeyInvalid)
}

fn check_value(value: &[u8]) -> Result<(), KvError> {
    let is_valid = value.len() <= VALUE_MAX;
    is_valid.then_some(()).ok_or(KvError::ValueTooLarge)
}
