//! `verge:edge/cache`.

use std::time::Duration;

use super::bindings::imports::verge::edge::cache;
use crate::cache::{CacheError, Entry, Found, Hardness, Key, Lead, Options};

#[derive(Debug)]
pub(crate) struct RawLead(cache::Obligation);

impl RawLead {
    pub(crate) fn insert(self, content: &[u8], options: &Options) -> Result<(), CacheError> {
        with_options(options, |options| {
            cache::Obligation::insert(self.0, content, options)
        })
    }

    pub(crate) fn refresh(self, options: &Options) -> Result<(), CacheError> {
        with_options(options, |options| {
            cache::Obligation::refresh(self.0, options)
        })
    }
}

pub(crate) fn lookup(key: &Key) -> Result<Option<Entry>, CacheError> {
    let entry = with_key(key, |key| cache::lookup(key))?;
    Ok(entry.map(lift))
}

pub(crate) fn insert(key: &Key, content: &[u8], options: &Options) -> Result<(), CacheError> {
    with_key(key, |key| {
        let keys: Vec<&str> = options.surrogate_keys.iter().map(String::as_str).collect();
        cache::insert(key, content, lower(options, &keys))
    })
}

pub(crate) fn transact(key: &Key, wait_ms: u32) -> Result<Found, CacheError> {
    let found = with_key(key, |key| cache::transact(key, wait_ms))?;
    Ok(match found {
        cache::Found::Hit(entry) => Found::Hit(lift(entry)),
        cache::Found::Stale(entry) => Found::Stale(lift(entry)),
        cache::Found::Lead(lead) => Found::Lead(Lead {
            raw: RawLead(lead.obligation),
            stale: lead.stale.map(lift),
            may_serve_stale: lead.may_serve_stale,
        }),
    })
}

pub(crate) fn purge(name: &str, hardness: Hardness) -> Result<(), CacheError> {
    Ok(cache::purge(name, lower_hardness(hardness))?)
}

pub(crate) fn purge_surrogate_key(key: &str, hardness: Hardness) -> Result<(), CacheError> {
    Ok(cache::purge_surrogate_key(key, lower_hardness(hardness))?)
}

pub(crate) fn purge_url(url: &str, hardness: Hardness) -> Result<(), CacheError> {
    Ok(cache::purge_url(url, lower_hardness(hardness))?)
}

fn with_key<T>(
    key: &Key,
    call: impl FnOnce(cache::Key<'_>) -> Result<T, cache::CacheError>,
) -> Result<T, CacheError> {
    let parts = key.parts.iter();
    let parts: Vec<(&str, &str)> = parts.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let key = cache::Key {
        name: &key.name,
        parts: &parts,
    };
    Ok(call(key)?)
}

fn with_options(
    options: &Options,
    call: impl FnOnce(cache::Options<'_>) -> Result<(), cache::CacheError>,
) -> Result<(), CacheError> {
    let keys: Vec<&str> = options.surrogate_keys.iter().map(String::as_str).collect();
    Ok(call(lower(options, &keys))?)
}

fn lower<'a>(options: &Options, keys: &'a [&'a str]) -> cache::Options<'a> {
    cache::Options {
        max_age: options.max_age,
        stale_while_revalidate: options.stale_while_revalidate,
        stale_if_error: options.stale_if_error,
        surrogate_keys: keys,
    }
}

fn lower_hardness(hardness: Hardness) -> cache::Hardness {
    match hardness {
        Hardness::Hard => cache::Hardness::Hard,
        Hardness::Soft => cache::Hardness::Soft,
    }
}

fn lift(entry: cache::Entry) -> Entry {
    Entry {
        content: entry.content,
        age: Duration::from_millis(entry.age_ms),
        is_fresh: entry.is_fresh,
    }
}

impl From<cache::CacheError> for CacheError {
    fn from(error: cache::CacheError) -> Self {
        match error {
            cache::CacheError::KeyInvalid => Self::KeyInvalid,
            cache::CacheError::SurrogateKeyInvalid => Self::SurrogateKeyInvalid,
            cache::CacheError::TooLarge => Self::TooLarge,
            cache::CacheError::Refused => Self::Refused,
            cache::CacheError::WaitedTooLong => Self::WaitedTooLong,
            cache::CacheError::Forbidden => Self::Forbidden,
            cache::CacheError::Unavailable => Self::Unavailable,
        }
    }
}
