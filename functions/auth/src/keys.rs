//! Where the keys come from: the secret `jwt-key`, a JWK set in the settings, or one that an
//! issuer publishes. A published set is kept in the node's cache, since each call is an instance
//! of its own: it is fetched by one call for all, at most once in an interval, and the one before
//! is used while that fails.

use std::io::Write as _;
use std::time::Duration;

use verge_sdk::cache::{self, Entry, Found, Options};
use verge_sdk::{Error, config, fetch, secret};

use crate::Refusal;
use crate::key::{Algorithm, Key, KeySet};
use crate::token::{Invalid, Token};

/// The secret that signs tokens.
const SECRET: &str = "jwt-key";

/// A secret is at least as long as the hash (RFC 7518 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Bytes of a published set.
const SET_BYTES_MAX: usize = 64 * 1024;

/// All keys that tokens may be signed with.
pub(crate) struct Keys {
    shared: Option<secret::Secret>,
    public: Option<Public>,
}

/// Where public keys are.
enum Public {
    Here(KeySet),
    Published(Issuer),
}

impl Keys {
    /// What the operator has given. Without any good key the function fails, so that
    /// `on_failure` decides; nobody passes.
    pub(crate) fn configured() -> Result<Self, Error> {
        let shared = secret::get(SECRET);
        if let Some(key) = &shared
            && key.expose().len() < SECRET_BYTES_MIN
        {
            return Err(Error::new("the secret `jwt-key` is shorter than 32 bytes"));
        }
        let public = match (config::get("jwks"), config::get("jwks-url")) {
            (None, None) => None,
            (Some(json), None) => {
                let set = KeySet::read(json.as_bytes());
                let set = set.map_err(|why| Error::new(format!("config `jwks`: {why}")))?;
                Some(Public::Here(set))
            }
            (None, Some(url)) => Some(Public::Published(Issuer::configured(url)?)),
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    "there are `jwks` and `jwks-url`: set one of them",
                ));
            }
        };
        if shared.is_none() && public.is_none() {
            return Err(Error::new(
                "there is no key: grant the secret `jwt-key`, or set `jwks` or `jwks-url`",
            ));
        }
        Ok(Self { shared, public })
    }

    /// The key of a token. The type of key follows from its algorithm, so that none is ever used
    /// as one of another type: a public key is no shared secret.
    pub(crate) fn of(&self, token: &Token<'_>) -> Result<Key, Refusal> {
        if token.algorithm == Algorithm::Hs256 {
            let shared = self.shared.clone().ok_or(Invalid::Algorithm)?;
            return Ok(Key::Hs256(shared));
        }
        match &self.public {
            None => Err(Invalid::Algorithm.into()),
            Some(Public::Here(set)) => Ok(find(set, token)?.ok_or(Invalid::Key)?),
            Some(Public::Published(issuer)) => issuer.key(token),
        }
    }
}

fn find(set: &KeySet, token: &Token<'_>) -> Result<Option<Key>, Invalid> {
    set.find(token.algorithm, token.key_id.as_deref())
}

/// An issuer that publishes its keys.
struct Issuer {
    url: String,
    /// How long a set is used before it is fetched again.
    fresh: Duration,
    /// How long it is used after that, while it cannot be fetched.
    stale: Duration,
    /// The least time between two fetches.
    interval: Duration,
    /// How long a call waits for the issuer, or for another call that asks it.
    patience: Duration,
}

impl Issuer {
    fn configured(url: String) -> Result<Self, Error> {
        let time = |name, default| -> Result<Duration, Error> {
            Ok(config::duration(name)?.unwrap_or(Duration::from_secs(default)))
        };
        let interval = time("jwks-interval", 30)?;
        if interval < Duration::from_secs(1) {
            return Err(Error::new(
                "config `jwks-interval`: expected at least \"1s\"",
            ));
        }
        Ok(Self {
            url,
            fresh: time("jwks-ttl", 300)?,
            stale: time("jwks-stale", 86_400)?,
            interval,
            patience: time("jwks-timeout", 2)?,
        })
    }

    fn key(&self, token: &Token<'_>) -> Result<Key, Refusal> {
        if let Some(key) = find(&self.current()?, token)? {
            return Ok(key);
        }
        // A name that is not known may be that of a new key.
        match self.rotated()? {
            Some(set) => Ok(find(&set, token)?.ok_or(Invalid::Key)?),
            None => Err(Invalid::Key.into()),
        }
    }

    /// The set as it is known here, fetched if it is not, or not fresh.
    fn current(&self) -> Result<KeySet, Error> {
        let held = cache::lookup(&self.entry("jwks"))?;
        match held {
            Some(entry) if entry.is_fresh || !self.may_fetch()? => return self.read(&entry),
            _ => {}
        }
        match cache::transact(&self.entry("jwks"), self.patience)? {
            Found::Hit(entry) | Found::Stale(entry) => self.read(&entry),
            Found::Lead(lead) => match self.fetch() {
                Ok((set, content)) => {
                    // If it cannot be kept, it is right for this call nevertheless.
                    let _ = lead.insert(&content, &self.options());
                    Ok(set)
                }
                Err(error) => match lead.stale() {
                    Some(entry) => {
                        self.say(&error);
                        self.read(entry)
                    }
                    None => Err(error),
                },
            },
        }
    }

    /// The set, fetched anew if that may be; one call does so, and those that come meanwhile wait
    /// for it. `None` when nothing new is known.
    fn rotated(&self) -> Result<Option<KeySet>, Error> {
        match cache::transact(&self.entry("jwks-rotation"), self.patience) {
            Ok(Found::Lead(lead)) if self.may_fetch()? => match self.fetch() {
                Ok((set, content)) => {
                    let _ = cache::insert(&self.entry("jwks"), &content, &self.options());
                    let _ = lead.insert(b"fetched", &Options::max_age(self.interval));
                    return Ok(Some(set));
                }
                Err(error) => self.say(&error),
            },
            Ok(_) => {}
            Err(cache::CacheError::WaitedTooLong) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let held = cache::lookup(&self.entry("jwks"))?;
        held.map(|entry| self.read(&entry)).transpose()
    }

    /// Whether the last fetch, well or not, is an interval ago.
    fn may_fetch(&self) -> Result<bool, Error> {
        let last = cache::lookup(&self.entry("jwks-fetch"))?;
        Ok(last.is_none_or(|last| !last.is_fresh))
    }

    fn fetch(&self) -> Result<(KeySet, Vec<u8>), Error> {
        let failed = |why: &dyn std::fmt::Display| {
            Error::new(format!("the keys at {} cannot be fetched: {why}", self.url))
        };
        if !self.may_fetch()? {
            return Err(failed(&"it is tried again when `jwks-interval` has passed"));
        }
        // Before it begins: a call that is ended meanwhile has tried, too.
        let tried = Options::max_age(self.interval);
        cache::insert(&self.entry("jwks-fetch"), b"tried", &tried)?;
        let request = fetch::Request::get(&self.url)
            .header("accept", "application/jwk-set+json, application/json")
            .head_within(self.patience);
        let response = request.send().and_then(fetch::Pending::wait);
        let mut response = response.map_err(|error| failed(&error))?;
        if response.status() != 200 {
            return Err(failed(&format!("the answer was {}", response.status())));
        }
        let content = response.read_body(SET_BYTES_MAX);
        let content = content.map_err(|error| failed(&error))?;
        let set = KeySet::read(&content).map_err(|why| failed(&why))?;
        Ok((set, content))
    }

    fn read(&self, entry: &Entry) -> Result<KeySet, Error> {
        KeySet::read(&entry.content).map_err(Error::new)
    }

    fn entry(&self, name: &str) -> cache::Key {
        cache::Key::new(name).part("url", &self.url)
    }

    /// A stale set is given out at once to all but the one that fetches it anew.
    fn options(&self) -> Options {
        Options::max_age(self.fresh).stale_while_revalidate(self.stale)
    }

    /// Tells the operator what clients do not notice, in the node's log.
    fn say(&self, error: &Error) {
        let _ = writeln!(std::io::stderr(), "{error}; the set before is used");
    }
}
