//! Where the keys come from: the secret `jwt-key`, a JWK set in the settings, or one that an
//! issuer publishes. A published set is kept in the node's cache, since each call is an instance
//! of its own: it is fetched by one call for all, at most once in an interval, and the one before
//! is used while that fails.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use verge_sdk::cache::{self, Entry, Found, Options};
use verge_sdk::{Error, clock, config, fetch, secret};

use crate::Refusal;
use crate::key::{Algorithm, Key, KeySet};
use crate::token::{Claims, Invalid, Token};

/// The secret that signs tokens.
const SECRET: &str = "jwt-key";

/// A secret is at least as long as the hash (RFC 7518 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Bytes of a published set.
const SET_BYTES_MAX: usize = 64 * 1024;

/// Bytes of it that are asked for at once.
const PIECE: u32 = 16 * 1024;

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

    /// Whether some are those of an issuer, who may sign for others, too.
    pub(crate) fn are_of_issuer(&self) -> bool {
        self.public.is_some()
    }

    /// The claims of a token that `verify` takes with its key. The type of key follows from its
    /// algorithm, so that none is ever used as one of another type: a public key is no shared
    /// secret.
    pub(crate) fn check(
        &self,
        token: &Token<'_>,
        verify: impl Fn(&Key) -> Result<Claims, Invalid>,
    ) -> Result<Claims, Refusal> {
        if token.algorithm == Algorithm::Hs256 {
            let shared = self.shared.clone().ok_or(Invalid::Algorithm)?;
            return Ok(verify(&Key::Hs256(shared))?);
        }
        match &self.public {
            None => Err(Invalid::Algorithm.into()),
            Some(Public::Here(set)) => Ok(verify(&find(set, token)?)?),
            Some(Public::Published(issuer)) => issuer.check(token, verify),
        }
    }
}

fn find(set: &KeySet, token: &Token<'_>) -> Result<Key, Invalid> {
    set.find(token.algorithm, token.key_id.as_deref())
}

/// A set as it was published.
struct Published {
    set: KeySet,
    content: Vec<u8>,
    /// Whether this call has fetched it: nobody knows a newer one.
    is_new: bool,
}

/// What is known of the last fetch, within the interval.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// It brought a set.
    Fetched,
    /// It failed, or is under way.
    Tried,
}

/// How fetches are noted.
const FETCHED: &[u8] = b"fetched";
const TRIED: &[u8] = b"tried";

/// An issuer that publishes its keys.
struct Issuer {
    url: String,
    /// How long a set is used before it is fetched again.
    fresh: Duration,
    /// How long it is used after that, while it cannot be fetched.
    stale: Duration,
    /// The least time between two fetches.
    interval: Duration,
    /// How long a call waits for the issuer's whole answer, or for another call that asks it.
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

    fn check(
        &self,
        token: &Token<'_>,
        verify: impl Fn(&Key) -> Result<Claims, Invalid>,
    ) -> Result<Claims, Refusal> {
        let checked = |set| find(set, token).and_then(|key| verify(&key));
        let known = self.current()?;
        match checked(&known.set) {
            // A key that is not known, is another one or fits no more may have been changed for a
            // new one, under a new name, the same or none.
            Err(why @ (Invalid::Key | Invalid::Algorithm | Invalid::Signature))
                if !known.is_new =>
            {
                match self.rotated(&known)? {
                    Some(set) => Ok(checked(&set)?),
                    None => Err(why.into()),
                }
            }
            checked => Ok(checked?),
        }
    }

    /// The set as it is known here, fetched if it is not, or not fresh.
    fn current(&self) -> Result<Published, Error> {
        let held = cache::lookup(&self.entry("jwks"))?;
        match held {
            Some(entry) if entry.is_fresh || self.last()?.is_some() => return read(entry),
            _ => {}
        }
        match cache::transact(&self.entry("jwks"), self.patience)? {
            Found::Hit(entry) | Found::Stale(entry) => read(entry),
            Found::Lead(lead) => match self.fetch_current() {
                Ok(new) => {
                    if let Err(why) = lead.insert(&new.content, &self.options()) {
                        let at = &self.url;
                        Self::say(&format!("the keys at {at} are fetched by each call: {why}"));
                    }
                    Ok(new)
                }
                Err(error) => match lead.stale() {
                    Some(entry) => {
                        Self::say(&format!("{error}; the set before is used"));
                        read(entry.clone())
                    }
                    None => Err(error),
                },
            },
        }
    }

    /// Fetches the set that is not there. One that came before the interval is over, and is not
    /// there, could not be kept: what fills the node's memory is no reason to let nobody pass.
    fn fetch_current(&self) -> Result<Published, Error> {
        match self.last()? {
            None | Some(Last::Fetched) => self.fetch(),
            Some(Last::Tried) => {
                Err(self.failed(&"it is tried again when `jwks-interval` has passed"))
            }
        }
    }

    /// Another set than the one that is known, fetched anew if that may be; one call does so, and
    /// those that come meanwhile wait for it. `None` when nothing new is known.
    fn rotated(&self, known: &Published) -> Result<Option<KeySet>, Error> {
        match cache::transact(&self.entry("jwks-rotation"), self.patience) {
            // Tokens that are made up reach the issuer only where the interval bounds them.
            Ok(Found::Lead(lead)) if self.last()?.is_none() && self.note(TRIED).is_ok() => {
                match self.fetch() {
                    Ok(new) => {
                        let _ = cache::insert(&self.entry("jwks"), &new.content, &self.options());
                        let _ = lead.insert(FETCHED, &Options::max_age(self.interval));
                        return Ok(Some(new.set));
                    }
                    Err(error) => Self::say(&format!("{error}; the set before is used")),
                }
            }
            Ok(_) => {}
            Err(cache::CacheError::WaitedTooLong) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let held = cache::lookup(&self.entry("jwks"))?;
        let other = held.filter(|entry| entry.content != known.content);
        Ok(other.map(read).transpose()?.map(|other| other.set))
    }

    /// The last fetch, if that was within the interval and the cache has kept it.
    fn last(&self) -> Result<Option<Last>, Error> {
        let last = cache::lookup(&self.entry("jwks-fetch"))?;
        let last = last.filter(|last| last.is_fresh);
        Ok(last.map(|last| match &*last.content {
            FETCHED => Last::Fetched,
            _ => Last::Tried,
        }))
    }

    /// Notes a fetch for others.
    fn note(&self, what: &[u8]) -> Result<(), cache::CacheError> {
        let noted = Options::max_age(self.interval);
        cache::insert(&self.entry("jwks-fetch"), what, &noted)
    }

    fn fetch(&self) -> Result<Published, Error> {
        // Before it begins: a call that is ended meanwhile has tried, too. Where it cannot be kept,
        // that is no reason to let nobody pass.
        let _ = self.note(TRIED);
        let begun = clock::now();
        let request = fetch::Request::get(&self.url)
            .header("accept", "application/jwk-set+json, application/json")
            .head_within(self.patience);
        let response = request.send().and_then(fetch::Pending::wait);
        let mut response = response.map_err(|error| self.failed(&error))?;
        if response.status() != 200 {
            return Err(self.failed(&format!("the answer was {}", response.status())));
        }
        let content = self.read_in_time(&mut response, begun)?;
        let set = KeySet::read(&content).map_err(|why| self.failed(&why))?;
        let _ = self.note(FETCHED);
        Ok(Published {
            set,
            content,
            is_new: true,
        })
    }

    /// The content, should it be there in the time that the whole answer has: an issuer that sends
    /// a byte now and then would hold the call until its deadline ends it, and the set before with
    /// it.
    fn read_in_time(
        &self,
        response: &mut fetch::Response,
        begun: SystemTime,
    ) -> Result<Vec<u8>, Error> {
        let mut reader = response.body().map_err(|error| self.failed(&error))?;
        let mut content = Vec::new();
        loop {
            let piece = reader.next_piece(PIECE);
            let Some(piece) = piece.map_err(|error| self.failed(&error))? else {
                return Ok(content);
            };
            content.extend(piece);
            if content.len() > SET_BYTES_MAX {
                return Err(self.failed(&format!("it is over {SET_BYTES_MAX} bytes")));
            }
            // A clock that was set back ends it, too.
            let took = clock::now().duration_since(begun);
            if took.is_ok_and(|took| took <= self.patience) {
                continue;
            }
            return Err(self.failed(&"it was not there within `jwks-timeout`"));
        }
    }

    fn failed(&self, why: &dyn Display) -> Error {
        Error::new(format!("the keys at {} cannot be fetched: {why}", self.url))
    }

    fn entry(&self, name: &str) -> cache::Key {
        cache::Key::new(name).part("url", &self.url)
    }

    /// A stale set is given out at once to all but the one that fetches it anew.
    fn options(&self) -> Options {
        Options::max_age(self.fresh).stale_while_revalidate(self.stale)
    }

    /// Tells the operator what clients do not notice, in the node's log.
    fn say(what: &str) {
        let _ = writeln!(std::io::stderr(), "{what}");
    }
}

fn read(entry: Entry) -> Result<Published, Error> {
    Ok(Published {
        set: KeySet::read(&entry.content).map_err(Error::new)?,
        content: entry.content,
        is_new: false,
    })
}
