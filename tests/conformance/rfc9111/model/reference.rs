//! A shared cache after RFC 9111 in the plainest words: it remembers all that
//! an origin ever answered, and says of each answer whether a cache may, or
//! certainly can, use it for a request. It shares no code with the cache, and
//! knows seconds only. Fields that the random exchanges do not use are not here.

/// What a Cache-Control field of a response says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directives {
    pub(super) max_age: Option<u64>,
    pub(super) s_maxage: Option<u64>,
    pub(super) no_store: bool,
    pub(super) private: bool,
    pub(super) no_cache: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Varies {
    No,
    /// By the one field that requests differ in.
    ByField,
    /// By more than the request.
    ByAnything,
}

/// What an origin says now, whoever asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planned {
    pub(super) status: u16,
    pub(super) directives: Directives,
    /// Seconds from Date to Expires.
    pub(super) expires: Option<i64>,
    pub(super) age: u64,
    /// Seconds from Last-Modified to Date.
    pub(super) modified: Option<u64>,
    pub(super) tag: Option<u8>,
    pub(super) varies: Varies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Nothing,
    NoCache,
    NoStore,
    MaxAge(u64),
    MinFresh(u64),
    /// `None` accepts any age.
    MaxStale(Option<u64>),
    OnlyIfCached,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) asks: Asks,
    /// The value of the field that responses may vary by.
    pub(super) variant: Option<u8>,
    pub(super) has_authorization: bool,
}

/// An answer of the origin to a GET, as it stands after all 304 so far.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: u64,
    planned: Planned,
    /// Seconds since the beginning.
    received: u64,
    request: Request,
    is_invalidated: bool,
    /// A cache may have dropped it, for reasons that RFC 9111 leaves open.
    is_doubtful: bool,
}

/// All that one URI ever answered.
#[derive(Debug, Default)]
pub(super) struct Reference {
    known: Vec<Known>,
}

/// Statuses that may be stored without explicit freshness (RFC 9110 15.1).
fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(
        status,
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

impl Planned {
    /// RFC 9111 4.2.1: the first that is there counts.
    fn explicit_lifetime(&self) -> Option<u64> {
        let by_expires = self.expires.map(|seconds| seconds.max(0).unsigned_abs());
        self.directives
            .s_maxage
            .or(self.directives.max_age)
            .or(by_expires)
    }

    fn may_be_heuristic(&self) -> bool {
        self.directives.public || is_heuristically_cacheable(self.status)
    }

    /// The longest lifetime that a cache may assume (RFC 9111 4.2.2: a tenth).
    fn lifetime(&self) -> u64 {
        self.explicit_lifetime()
            .unwrap_or_else(|| match self.modified {
                Some(ago) if self.may_be_heuristic() => ago / 10,
                _ => 0,
            })
    }

    /// RFC 9111 4.2.4, 5.2.2.2, 5.2.2.8 and 5.2.2.10.
    fn is_stale_forbidden(&self) -> bool {
        let directives = &self.directives;
        directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.is_some()
    }
}

impl Known {
    /// RFC 9111 3 and 3.5.
    fn may_be_stored(&self) -> bool {
        let directives = &self.planned.directives;
        let shares_authorised =
            directives.public || directives.must_revalidate || directives.s_maxage.is_some();
        !directives.no_store
            && !directives.private
            && self.request.asks != Asks::NoStore
            && self.planned.varies != Varies::ByAnything
            && (!self.request.has_authorization || shares_authorised)
            && (self.planned.explicit_lifetime().is_some() || self.planned.may_be_heuristic())
    }

    /// There is nothing to hesitate about: it may be stored, and reused at once.
    fn is_surely_stored(&self) -> bool {
        self.may_be_stored()
            && !self.is_doubtful
            && !self.is_invalidated
            && !self.planned.directives.no_cache
            && self
                .planned
                .explicit_lifetime()
                .is_some_and(|lifetime| lifetime > self.planned.age)
    }

    /// RFC 9111 4.1.
    fn is_selected_by(&self, request: &Request) -> bool {
        self.planned.varies == Varies::No || self.request.variant == request.variant
    }

    /// RFC 9111 4.2.3, where Date is the time of arrival and nothing is delayed.
    fn age(&self, now: u64) -> u64 {
        self.planned.age + (now - self.received)
    }

    /// Why it must not answer `request` without the origin (RFC 9111 4, 5.2.1).
    fn objection(&self, request: &Request, now: u64) -> Option<&'static str> {
        if !self.may_be_stored() {
            return Some("it must not be stored");
        }
        if self.is_invalidated {
            return Some("it was invalidated");
        }
        if !self.is_selected_by(request) {
            return Some("the request selects another variant");
        }
        if self.planned.directives.no_cache {
            return Some("it says no-cache");
        }
        let (age, lifetime) = (self.age(now), self.planned.lifetime());
        let is_fresh = lifetime > age;
        match request.asks {
            Asks::NoCache => Some("the request says no-cache"),
            Asks::MaxAge(most) if age > most => Some("it is older than the request's max-age"),
            Asks::MinFresh(least) if lifetime < age + least => Some("it is not min-fresh"),
            Asks::MaxStale(most)
                if !is_fresh
                    && !self.planned.is_stale_forbidden()
                    && most.is_none_or(|most| age - lifetime <= most) =>
            {
                None
            }
            _ if !is_fresh => Some("it is stale"),
            _ => None,
        }
    }
}

impl Reference {
    /// The origin answered a GET with content.
    pub(super) fn answered(&mut self, id: u64, planned: Planned, request: Request, now: u64) {
        self.known.push(Known {
            id,
            planned,
            received: now,
            request,
            is_invalidated: false,
            is_doubtful: false,
        });
    }

    /// The origin answered 304, and the client got `id` for it (RFC 9111 3.2, 4.3.4).
    pub(super) fn freshened(
        &mut self,
        id: u64,
        by: Planned,
        request: Request,
        now: u64,
    ) -> Result<(), String> {
        // A 304 that forbids storing leaves what is stored as it was: that one is asked about.
        let answers = |known: &Known| known.id == id;
        let is_kept = |known: &Known| answers(known) && known.may_be_stored();
        let place = self
            .known
            .iter()
            .rposition(|known| is_kept(known) && known.is_selected_by(&request))
            .or_else(|| self.known.iter().rposition(is_kept))
            .or_else(|| self.known.iter().rposition(answers));
        let place = place.ok_or_else(|| format!("{id} was never answered"))?;
        let mut known = self.known[place];
        if known.planned.tag != by.tag {
            return Err(format!("304 for tag {:?} freshened {known:?}", by.tag));
        }
        if known.is_invalidated || !known.may_be_stored() {
            return Err(format!("what must not be stored was validated: {known:?}"));
        }
        if by.directives != Directives::default() {
            known.planned.directives = by.directives;
        }
        // The Date moves on, the dates that it is compared with stay.
        let passed = now - known.received;
        let expires = known.planned.expires.map(|at| at - passed.cast_signed());
        let modified = known.planned.modified.map(|ago| ago + passed);
        known.planned.expires = by.expires.or(expires);
        known.planned.modified = by.modified.or(modified);
        known.planned.age = by.age;
        known.received = now;
        if by.varies != Varies::No {
            known.planned.varies = by.varies;
            known.request.variant = request.variant;
        }
        // The origin told one without credentials the same.
        known.request.has_authorization &= request.has_authorization;
        // Whether a 304 to such a request is stored is its own question.
        known.is_doubtful |= request.has_authorization || request.asks == Asks::NoStore;
        // One that was stored for other fields stays what it is; its content
        // answers these fields from now on, too.
        if self.known[place].is_selected_by(&request) {
            self.known.remove(place);
        } else if known.may_be_stored() {
            known.request.variant = request.variant;
        } else {
            // Used once, and nothing of it is stored.
            return Ok(());
        }
        self.known.push(known);
        Ok(())
    }

    /// An unsafe method was answered with `status` (RFC 9111 4.4).
    pub(super) fn unsafe_answered(&mut self, status: u16) {
        if (200..400).contains(&status) {
            for known in &mut self.known {
                known.is_invalidated = true;
            }
        }
    }

    /// The cache answered with `id` and `age`, and asked nobody.
    pub(super) fn check_reuse(
        &self,
        id: u64,
        age: Option<u64>,
        request: &Request,
        now: u64,
    ) -> Result<(), String> {
        let known = |known: &Known| known.id == id;
        let place = self
            .known
            .iter()
            .rposition(|other| known(other) && other.is_selected_by(request))
            .or_else(|| self.known.iter().rposition(known));
        let place = place.ok_or_else(|| format!("{id} was never answered"))?;
        let (known, later) = (&self.known[place], &self.known[place + 1..]);
        if let Some(objection) = known.objection(request, now) {
            return Err(format!("reused though {objection}: {known:?}"));
        }
        if age != Some(known.age(now)) {
            return Err(format!(
                "its Age is {age:?}, not {}: {known:?}",
                known.age(now)
            ));
        }
        // Of several that are suitable, the most recent one (RFC 9111 4).
        let newer = later
            .iter()
            .find(|other| other.is_surely_stored() && other.is_selected_by(request));
        match newer {
            Some(newer) if newer.received > known.received => {
                Err(format!("{known:?} was used, and {newer:?} is newer"))
            }
            _ => Ok(()),
        }
    }

    /// The answer with which a cache can do without the origin, if that is beyond doubt.
    pub(super) fn surely_reusable(&self, request: &Request, now: u64) -> Option<u64> {
        if request.asks == Asks::NoStore {
            return None;
        }
        let place = self
            .known
            .iter()
            .rposition(|known| known.is_selected_by(request))?;
        let (known, later) = (&self.known[place], &self.known[place + 1..]);
        // Answers that vary stand side by side only if they vary by the same.
        let stands = later.iter().all(|other| {
            other.planned.varies == Varies::ByField && known.planned.varies == Varies::ByField
        });
        let is_fresh = known.planned.lifetime() > known.age(now);
        (stands && is_fresh && known.is_surely_stored() && known.objection(request, now).is_none())
            .then_some(known.id)
    }
}
