//! The cache of a test's function. One test is one caller: nobody waits for another.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::with;
use crate::cache::{CacheError, Entry, Found, Hardness, Key, Lead, Options};

/// Limits of a key, as `wit/cache.wit` states them.
const KEY_BYTES: usize = 2048;
const KEY_PARTS: usize = 16;

#[derive(Default)]
pub(crate) struct Entries {
    entries: HashMap<Key, Kept>,
    /// URLs that were purged, in order.
    pub(crate) purged_urls: Vec<String>,
}

struct Kept {
    content: Vec<u8>,
    made: SystemTime,
    options: Options,
}

#[derive(Debug)]
pub(crate) struct RawLead(Key);

impl RawLead {
    pub(crate) fn insert(self, content: &[u8], options: &Options) -> Result<(), CacheError> {
        insert(&self.0, content, options)
    }

    pub(crate) fn refresh(self, options: &Options) -> Result<(), CacheError> {
        let key = sorted(&self.0);
        let content = with(|state| {
            let kept = state.cache.entries.get(&key);
            kept.map(|kept| kept.content.clone())
        });
        insert(&self.0, &content.ok_or(CacheError::Refused)?, options)
    }
}

pub(crate) fn lookup(key: &Key) -> Result<Option<Entry>, CacheError> {
    let key = checked(key)?;
    Ok(with(|state| {
        let kept = state.cache.entries.get(&key)?;
        let stale = kept.staleness(state.now);
        let window = kept.options.stale_while_revalidate;
        let window = window.max(kept.options.stale_if_error);
        (stale <= seconds(window)).then(|| kept.entry(state.now))
    }))
}

pub(crate) fn insert(key: &Key, content: &[u8], options: &Options) -> Result<(), CacheError> {
    let key = checked(key)?;
    let is_key = |key: &String| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
    if !options.surrogate_keys.iter().all(is_key) {
        return Err(CacheError::SurrogateKeyInvalid);
    }
    with(|state| {
        let kept = Kept {
            content: content.to_vec(),
            made: state.now,
            options: options.clone(),
        };
        state.cache.entries.insert(key, kept);
    });
    Ok(())
}

pub(crate) fn transact(key: &Key, _wait_ms: u32) -> Result<Found, CacheError> {
    let checked = checked(key)?;
    let (stale, may_serve_stale) = with(|state| {
        let Some(kept) = state.cache.entries.get(&checked) else {
            return (None, false);
        };
        let stale = kept.staleness(state.now);
        let may_serve = stale <= seconds(kept.options.stale_while_revalidate);
        let is_fallback = stale <= seconds(kept.options.stale_if_error);
        let entry = (may_serve || is_fallback).then(|| kept.entry(state.now));
        (entry, may_serve)
    });
    Ok(match stale {
        Some(entry) if entry.is_fresh => Found::Hit(entry),
        stale => Found::Lead(Lead {
            raw: RawLead(key.clone()),
            stale,
            may_serve_stale,
        }),
    })
}

pub(crate) fn purge(name: &str, hardness: Hardness) -> Result<(), CacheError> {
    purge_where(hardness, |key, _| key.name == name);
    Ok(())
}

pub(crate) fn purge_surrogate_key(key: &str, hardness: Hardness) -> Result<(), CacheError> {
    purge_where(hardness, |_, kept| {
        let mut keys = kept.options.surrogate_keys.iter();
        keys.any(|known| known == key)
    });
    Ok(())
}

pub(crate) fn purge_url(url: &str, _hardness: Hardness) -> Result<(), CacheError> {
    with(|state| state.cache.purged_urls.push(url.to_owned()));
    Ok(())
}

fn purge_where(hardness: Hardness, is_meant: impl Fn(&Key, &Kept) -> bool) {
    with(|state| match hardness {
        Hardness::Hard => {
            let entries = &mut state.cache.entries;
            entries.retain(|key, kept| !is_meant(key, kept));
        }
        Hardness::Soft => {
            let now = state.now;
            for (key, kept) in &mut state.cache.entries {
                if is_meant(key, kept) {
                    kept.options.max_age = 0;
                    kept.made = now;
                }
            }
        }
    });
}

fn checked(key: &Key) -> Result<Key, CacheError> {
    let parts = key
        .parts
        .iter()
        .map(|(name, value)| name.len() + value.len());
    let bytes = key.name.len() + parts.sum::<usize>();
    if key.name.is_empty() || bytes > KEY_BYTES || key.parts.len() > KEY_PARTS {
        return Err(CacheError::KeyInvalid);
    }
    Ok(sorted(key))
}

fn sorted(key: &Key) -> Key {
    let mut key = key.clone();
    key.parts.sort_unstable();
    key
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

impl Kept {
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.made).unwrap_or_default()
    }

    fn staleness(&self, now: SystemTime) -> Duration {
        self.age(now).saturating_sub(seconds(self.options.max_age))
    }

    fn entry(&self, now: SystemTime) -> Entry {
        Entry {
            content: self.content.clone(),
            age: self.age(now),
            is_fresh: self.age(now) < seconds(self.options.max_age),
        }
    }
}
