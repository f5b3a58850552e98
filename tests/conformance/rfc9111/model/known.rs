//! One answer of an origin, as a cache may have it stored, in the plainest
//! words: whether it may be stored, for how long it is fresh, and what it may
//! answer. It shares no code with the cache. Times are seconds since the
//! beginning of the case.

use super::exchange::{Asks, Directives, Planned, Request, Tag, Varies};

/// Why a cache need not have what it may have: what RFC 9111 leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It can answer no request without the origin, and has no validator.
    Useless,
    /// A newer answer to the same requests has taken its place.
    Replaced,
    /// Only a part of it was asked for, or nothing if the client knows it.
    LessAsked,
    /// A 304 can be about several stored responses.
    Ambiguous,
    /// It was validated for a client with credentials, and is not for all of them (3.5).
    Credentials,
    /// A response to HEAD that lacks a validator, or one that was not asked for by the cache (4.3.5).
    Head,
    /// It is an error, in whose place something stored may have answered (4.3.3).
    Error,
    /// Its validation was answered with a full response that need not be stored: it is not
    /// suitable any more (4.3.3).
    Superseded,
}

/// On what grounds a stored response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    Fresh,
    MaxStale,
    WhileRevalidate,
}

/// An answer to a GET, as it stands after all that has updated it so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) id: u64,
    /// Of the response that updated it last.
    pub(super) note: u64,
    pub(super) status: u16,
    pub(super) directives: Directives,
    pub(super) date: i64,
    pub(super) expires: Option<i64>,
    pub(super) modified: Option<i64>,
    pub(super) tag: Option<Tag>,
    pub(super) key: Option<u8>,
    varies: Varies,
    colour: Option<u8>,
    size: Option<u8>,
    has_authorization: bool,
    /// Its age on arrival.
    initial_age: u64,
    received: u64,
    /// The age at which a soft purge ended its lifetime.
    ended: Option<u64>,
    /// `None` if it is surely stored.
    pub(super) doubt: Option<Doubt>,
}

impl Planned {
    /// Age on arrival (RFC 9111 4.2.3); nothing is delayed.
    pub(super) fn initial_age(&self) -> u64 {
        self.age.max(self.dated)
    }
}

impl Known {
    /// What a cache may store of the answer `planned` to `request`; `None` for nothing
    /// (RFC 9111 3).
    pub(super) fn stored(id: u64, planned: Planned, request: &Request, now: u64) -> Option<Self> {
        let date = now.cast_signed() - planned.dated.cast_signed();
        let known = Self {
            id,
            note: id,
            status: planned.status,
            directives: planned.directives,
            date,
            expires: planned.expires.map(|seconds| date + seconds),
            modified: planned.modified.map(|ago| -ago.cast_signed()),
            tag: planned.tag,
            key: planned.key,
            varies: planned.varies,
            colour: request.colour,
            size: request.size,
            has_authorization: request.has_authorization,
            initial_age: planned.initial_age(),
            received: now,
            ended: None,
            doubt: None,
        };
        let may_be = known.may_be_stored() && request.asks != Asks::NoStore;
        may_be.then(|| known.with_doubt(request))
    }

    fn with_doubt(mut self, request: &Request) -> Self {
        let is_useless = self.directives.no_cache || !self.is_ever_reusable();
        self.doubt = if request.part.is_some() || request.knows.is_some() {
            Some(Doubt::LessAsked)
        } else if is_useless && self.tag.is_none() && self.modified.is_none() {
            Some(Doubt::Useless)
        } else {
            None
        };
        self
    }

    /// Whether it is fresh now, or may ever answer stale.
    fn is_ever_reusable(&self) -> bool {
        let windows = [
            self.directives.stale_while_revalidate,
            self.directives.stale_if_error,
        ];
        let has_window = windows.iter().flatten().any(|window| *window > 0);
        let is_fresh = self.lifetime() > self.initial_age * 10;
        is_fresh || (has_window && !self.is_stale_forbidden())
    }

    /// RFC 9111 3 and 3.5.
    pub(super) fn may_be_stored(&self) -> bool {
        let directives = &self.directives;
        !directives.no_store
            && !directives.private
            && self.varies != Varies::ByAnything
            && (!self.has_authorization || self.is_for_all())
            && (self.explicit_lifetime().is_some() || self.may_be_heuristic())
    }

    /// RFC 9111 3.5.
    fn is_for_all(&self) -> bool {
        let directives = &self.directives;
        directives.public || directives.must_revalidate || directives.s_maxage.is_some()
    }

    /// RFC 9111 4.2.1: the first that is there counts; in tenths of seconds.
    fn explicit_lifetime(&self) -> Option<u64> {
        let by_expires = self
            .expires
            .map(|at| (at - self.date).max(0).unsigned_abs());
        let said = self.directives.s_maxage.or(self.directives.max_age);
        said.or(by_expires).map(|seconds| seconds * 10)
    }

    /// RFC 9111 4.2.2, RFC 9110 15.1.
    fn may_be_heuristic(&self) -> bool {
        self.directives.public
            || matches!(
                self.status,
                200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
            )
    }

    /// Tenths of seconds; a tenth of the time since Last-Modified, where nothing is said
    /// (RFC 9111 4.2.2).
    fn lifetime(&self) -> u64 {
        let said = self.explicit_lifetime().unwrap_or_else(|| {
            let unmodified = self.modified.map_or(0, |at| (self.date - at).max(0));
            if self.may_be_heuristic() {
                unmodified.unsigned_abs()
            } else {
                0
            }
        });
        self.ended.map_or(said, |age| said.min(age * 10))
    }

    /// RFC 9111 4.2.4, 5.2.2.2, 5.2.2.8 and 5.2.2.10.
    fn is_stale_forbidden(&self) -> bool {
        let directives = &self.directives;
        directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some()
    }

    /// RFC 9111 4.1.
    pub(super) fn is_selected_by(&self, request: &Request) -> bool {
        let (is_coloured, is_sized) = (self.colour == request.colour, self.size == request.size);
        match self.varies {
            Varies::No => true,
            Varies::ByColour => is_coloured,
            Varies::BySize => is_sized,
            Varies::ByBoth => is_coloured && is_sized,
            Varies::ByAnything => false,
        }
    }

    /// Whether a cache that stores `self` has no use for `older` any more: the same requests
    /// select it, or all of them select `self` before it (RFC 9111 4).
    pub(super) fn replaces(&self, older: &Self) -> bool {
        let is_same = match (self.varies, older.varies) {
            (Varies::ByColour, Varies::ByColour) => self.colour == older.colour,
            (Varies::BySize, Varies::BySize) => self.size == older.size,
            (Varies::ByBoth, Varies::ByBoth) => {
                (self.colour, self.size) == (older.colour, older.size)
            }
            (Varies::No, Varies::No) => true,
            _ => false,
        };
        is_same || (self.varies == Varies::No && older.date <= self.date)
    }

    /// RFC 9111 4.2.3.
    pub(super) fn age(&self, now: u64) -> u64 {
        self.initial_age + (now - self.received)
    }

    /// How long it has been stale, in tenths of seconds; `None` while it is fresh.
    fn staleness(&self, now: u64) -> Option<u64> {
        let (age, lifetime) = (self.age(now) * 10, self.lifetime());
        (lifetime <= age).then(|| age - lifetime)
    }

    /// On what grounds it answers `request` without the origin, or why it must not
    /// (RFC 9111 4, 5.2.1; RFC 5861 3).
    pub(super) fn reuse(&self, request: &Request, now: u64) -> Result<Ground, &'static str> {
        if self.directives.no_cache {
            return Err("it says no-cache");
        }
        let (age, lifetime) = (self.age(now), self.lifetime());
        match request.asks {
            Asks::NoCache => return Err("the request says no-cache"),
            Asks::MaxAge(most) if age > most => return Err("it is older than max-age"),
            Asks::MinFresh(least) if lifetime < (age + least) * 10 => {
                return Err("it is not min-fresh");
            }
            _ => {}
        }
        let Some(staleness) = self.staleness(now) else {
            return Ok(Ground::Fresh);
        };
        let within = |window: Option<u64>| window.is_some_and(|most| staleness <= most * 10);
        let is_in_window = within(self.directives.stale_while_revalidate);
        match request.asks {
            _ if self.is_stale_forbidden() => Err("stale is forbidden"),
            Asks::MaxStale(Some(most)) if !within(Some(most)) => Err("it is staler than max-stale"),
            _ if is_in_window => Ok(Ground::WhileRevalidate),
            Asks::MaxStale(_) => Ok(Ground::MaxStale),
            _ => Err("it is stale"),
        }
    }

    /// Whether it may answer in the place of an error, or why not (RFC 5861 4).
    pub(super) fn instead_of_error(&self, request: &Request, now: u64) -> Result<(), &'static str> {
        let staleness = self.staleness(now);
        let within =
            |window: Option<u64>| window.is_some_and(|most| staleness.unwrap_or(0) <= most * 10);
        let asked = match request.asks {
            Asks::StaleIfError(most) => Some(most),
            _ => None,
        };
        if self.directives.no_cache {
            Err("it says no-cache")
        } else if request.asks == Asks::NoCache {
            Err("the request says no-cache")
        } else if self.is_stale_forbidden() && staleness.is_some() {
            Err("stale is forbidden")
        } else if within(self.directives.stale_if_error) || within(asked) {
            Ok(())
        } else {
            Err("nobody allows it instead of an error")
        }
    }

    /// Whether a 304 with `by`'s validators is about it (RFC 9111 4.3.4).
    pub(super) fn is_named_by(&self, by: &Planned) -> bool {
        match (self.tag, by.tag) {
            (Some(own), Some(new)) if new.is_weak => own.number == new.number,
            (own, Some(new)) => own == Some(new),
            (_, None) => self.modified == by.modified.map(|ago| -ago.cast_signed()),
        }
    }

    /// Whether a response to HEAD contradicts it, names it, or leaves it open (RFC 9111 4.3.5).
    /// The length of content never changes here.
    pub(super) fn is_confirmed_by(&self, by: &Planned) -> Option<bool> {
        let modified = by.modified.map(|ago| -ago.cast_signed());
        let tag_differs = match (self.tag, by.tag) {
            (Some(own), Some(new)) => own.number != new.number,
            _ => false,
        };
        let date_differs =
            modified.is_some() && self.modified.is_some() && modified != self.modified;
        let is_whole = self.tag.is_some() == by.tag.is_some();
        let has_any = self.tag.is_some() || self.modified.is_some();
        if tag_differs || date_differs {
            Some(false)
        } else {
            (is_whole && has_any).then_some(true)
        }
    }

    /// As a 304 or a response to HEAD updates it (RFC 9111 3.2); it may not be storable any more.
    pub(super) fn updated(&self, note: u64, by: &Planned, request: &Request, now: u64) -> Self {
        let says_directives = by.directives != Directives::default();
        let date = now.cast_signed() - by.dated.cast_signed();
        let mut known = Self {
            note,
            directives: if says_directives {
                by.directives
            } else {
                self.directives
            },
            date,
            expires: by.expires.map(|seconds| date + seconds).or(self.expires),
            modified: by.modified.map(|ago| -ago.cast_signed()).or(self.modified),
            tag: by.tag.or(self.tag),
            key: by.key.or(self.key),
            varies: if by.varies == Varies::No {
                self.varies
            } else {
                by.varies
            },
            colour: request.colour,
            size: request.size,
            // The origin told one without credentials the same.
            has_authorization: self.has_authorization && request.has_authorization,
            initial_age: by.initial_age(),
            received: now,
            ended: None,
            ..*self
        };
        let whole = Request {
            part: None,
            knows: None,
            ..*request
        };
        known = known.with_doubt(&whole);
        if request.has_authorization && !known.is_for_all() {
            known.doubt = Some(Doubt::Credentials);
        }
        known
    }

    /// A soft purge ends its lifetime now.
    pub(super) fn end(&mut self, now: u64) {
        let age = self.age(now);
        self.ended = Some(self.ended.map_or(age, |ended| ended.min(age)));
    }
}
