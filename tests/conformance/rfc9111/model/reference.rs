//! A shared cache after RFC 9111: all that one URI ever answered and a cache may
//! still have. Of a request it says what a cache may answer without the origin
//! (safety), and whether it has to (liveness): it has to if whatever it can have
//! selected answers, and it surely has one of them. What a cache need not have
//! is named by [`Doubt`].

use super::exchange::{Asks, Planned, Request};
use super::known::{Doubt, Ground, Known};

/// What a client saw of a stored response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) id: u64,
    pub(super) note: u64,
    pub(super) age: u64,
}

/// All that one URI ever answered, in the order in which it was stored.
#[derive(Debug, Default)]
pub(super) struct Reference {
    known: Vec<Known>,
}

impl Reference {
    /// Places of what a cache can have selected for `request`: of all that match, the one
    /// with the most recent Date (RFC 9111 4, 4.1), and older ones as far as newer ones may not
    /// be there. The second says whether it surely has one of them.
    fn selectable(&self, request: &Request) -> (Vec<usize>, bool) {
        let mut places: Vec<usize> = (0..self.known.len())
            .filter(|place| self.known[*place].is_selected_by(request))
            .collect();
        places.sort_by_key(|place| std::cmp::Reverse((self.known[*place].date, *place)));
        let sure = |place: &usize| self.known[*place].doubt.is_none();
        let Some(first) = places.iter().position(sure) else {
            return (places, false);
        };
        places.truncate(first + 1);
        (places, true)
    }

    /// Whether the cache has to answer without the origin.
    pub(super) fn is_reuse_owed(&self, request: &Request, now: u64) -> bool {
        // RFC 9111 5.2.1.5 is about storing; a cache may keep out of it altogether.
        if request.asks == Asks::NoStore {
            return false;
        }
        let (places, is_sure) = self.selectable(request);
        let answers = |place: &usize| self.known[*place].reuse(request, now).is_ok();
        is_sure && places.iter().all(answers)
    }

    /// Whether the cache has to answer with what it has, after the origin failed (RFC 5861 4).
    pub(super) fn is_stale_owed(&self, request: &Request, now: u64) -> bool {
        if request.asks == Asks::NoStore {
            return false;
        }
        let (places, is_sure) = self.selectable(request);
        let answers = |place: &usize| {
            let known = &self.known[*place];
            // One error is no better than another.
            known.status < 500 && known.instead_of_error(request, now).is_ok()
        };
        is_sure && places.iter().all(answers)
    }

    fn find(
        &self,
        seen: Seen,
        request: &Request,
        now: u64,
        objection: impl Fn(&Known) -> Option<&'static str>,
    ) -> Result<Known, String> {
        let (places, _) = self.selectable(request);
        let mut objections = Vec::new();
        for place in places {
            let known = self.known[place];
            let objection = if known.id != seen.id {
                Some("it is another one")
            } else if known.note != seen.note {
                Some("it has been updated since")
            } else if known.age(now) != seen.age {
                Some("its Age is another")
            } else {
                objection(&known)
            };
            match objection {
                None => return Ok(known),
                Some(objection) => objections.push(format!("{objection}: {known:?}")),
            }
        }
        let others = self.known.iter().filter(|known| known.id == seen.id);
        let others: Vec<_> = others.map(|known| format!("{known:?}")).collect();
        Err(format!(
            "{seen:?} must not be used.\n  selectable:\n    {}\n  of this number:\n    {}",
            objections.join("\n    "),
            others.join("\n    ")
        ))
    }

    /// The cache answered with what it has, and says that it asked nobody before.
    pub(super) fn check_reuse(
        &self,
        seen: Seen,
        request: &Request,
        now: u64,
    ) -> Result<(Known, Ground), String> {
        let known = self.find(seen, request, now, |known| known.reuse(request, now).err())?;
        let ground = known.reuse(request, now)?;
        Ok((known, ground))
    }

    /// The cache answered with what it has, after the origin failed.
    pub(super) fn check_stale(
        &self,
        seen: Seen,
        request: &Request,
        now: u64,
    ) -> Result<Known, String> {
        let objection = |known: &Known| known.instead_of_error(request, now).err();
        self.find(seen, request, now, objection)
    }

    /// Stores `new`, if that is allowed.
    fn store(&mut self, new: Known) {
        if !new.may_be_stored() {
            return;
        }
        for older in &mut self.known {
            if new.replaces(older) {
                older.doubt.get_or_insert(Doubt::Replaced);
            }
        }
        self.known.push(new);
    }

    /// The origin answered a GET with content. Whether it may be stored.
    pub(super) fn answered(
        &mut self,
        id: u64,
        planned: Planned,
        request: &Request,
        now: u64,
    ) -> bool {
        let (places, _) = self.selectable(request);
        let stored = Known::stored(id, planned, request, now);
        if stored.is_none_or(|known| known.doubt.is_some()) && planned.status < 500 {
            for place in &places {
                self.known[*place].doubt.get_or_insert(Doubt::Superseded);
            }
        }
        let Some(mut known) = stored else {
            return false;
        };
        let answers = |place: &usize| self.known[*place].instead_of_error(request, now).is_ok();
        if planned.status >= 500 && places.iter().any(answers) {
            known.doubt = Some(Doubt::Error);
        }
        self.store(known);
        true
    }

    /// The origin answered 304, and the client got `id` for it: what was validated is updated
    /// (RFC 9111 3.2, 4.3.4), or what is stored for other fields answers these, too (4.3.1).
    pub(super) fn freshened(
        &mut self,
        (id, note): (u64, u64),
        by: &Planned,
        request: &Request,
        now: u64,
    ) -> Result<Known, String> {
        let (places, is_sure) = self.selectable(request);
        let is_it = |place: &usize| {
            let known = &self.known[*place];
            known.id == id && known.is_named_by(by)
        };
        let mut sources: Vec<usize> = places.into_iter().filter(is_it).collect();
        let mut gone = sources.clone();
        if sources.is_empty() || !is_sure {
            // Nothing may have been selected; then the tags of all variants were asked about.
            let others = (0..self.known.len()).filter(|place| !gone.contains(place));
            let others = others.filter(|place| is_it(place) && by.tag.is_some());
            sources.extend(others);
        }
        let Some(first) = sources.first().map(|place| self.known[*place]) else {
            return Err(format!(
                "304 with {by:?} is not about {id}: {:?}",
                self.known
            ));
        };
        let served = first.updated(note, by, request, now);
        let doubt = (sources.len() > 1).then_some(Doubt::Ambiguous);
        let mut updated: Vec<(Known, Option<Doubt>)> = sources
            .iter()
            .map(|place| (self.known[*place], doubt))
            .collect();
        if !gone.is_empty() {
            // So are all others that the request could have selected and that have its strong
            // validator: their fields are those of the 304 from now on (RFC 9111 4.3.4).
            let strong = by.tag.filter(|tag| !tag.is_weak);
            for (place, known) in self.known.iter().enumerate() {
                let is_named = strong.is_some() && known.tag == strong;
                if is_named && known.is_selected_by(request) && !sources.contains(&place) {
                    updated.push((*known, Some(Doubt::Ambiguous)));
                    gone.push(place);
                }
            }
        }
        let kept = (0..self.known.len()).filter(|place| !gone.contains(place));
        self.known = kept.map(|place| self.known[place]).collect();
        // The one that was asked about is stored last.
        for (known, doubt) in updated.into_iter().rev() {
            let mut new = known.updated(note, by, request, now);
            new.doubt = new.doubt.or(doubt);
            self.store(new);
        }
        Ok(served)
    }

    /// The origin answered a HEAD that the cache passed on (RFC 9111 4.3.5).
    pub(super) fn head_answered(&mut self, note: u64, by: &Planned, request: &Request, now: u64) {
        if by.status != 200 || request.asks == Asks::NoStore {
            return;
        }
        let (places, _) = self.selectable(request);
        let is_clear = places.len() == 1;
        let former: Vec<(usize, Known)> = places.iter().map(|p| (*p, self.known[*p])).collect();
        for (place, known) in &former {
            if known.is_confirmed_by(by).is_none() || !is_clear {
                self.known[*place].doubt.get_or_insert(Doubt::Head);
            }
        }
        let is_left = |known: &Known| !is_clear || known.is_confirmed_by(by).is_none();
        let gone = former.iter().filter(|(_, known)| !is_left(known));
        let gone: Vec<usize> = gone.map(|(place, _)| *place).collect();
        let kept = (0..self.known.len()).filter(|place| !gone.contains(place));
        self.known = kept.map(|place| self.known[place]).collect();
        for (_, known) in former {
            let decision = known.is_confirmed_by(by);
            if decision != Some(false) {
                let mut new = known.updated(note, by, request, now);
                // Whether it is there at all, this does not tell.
                new.doubt = new.doubt.or(known.doubt);
                if decision.is_none() || !is_clear {
                    new.doubt = Some(Doubt::Head);
                }
                self.store(new);
            }
        }
    }

    /// An unsafe method succeeded (RFC 9111 4.4), or an operator purged: nothing is left.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// An operator purged by surrogate key.
    pub(super) fn forget_key(&mut self, key: u8) {
        self.known.retain(|known| known.key != Some(key));
    }

    /// An operator purged softly: all, or those with a surrogate key.
    pub(super) fn end(&mut self, key: Option<u8>, now: u64) {
        for known in &mut self.known {
            if key.is_none() || known.key == key {
                known.end(now);
            }
        }
    }
}
