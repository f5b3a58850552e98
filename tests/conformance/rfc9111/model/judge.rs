//! The judge: what clients got and what the origin was asked, against the
//! reference.

use std::time::{Duration, SystemTime};

use verge_tests::Reply;

use super::exchange::{Asks, Part, Planned, Request, Tag};
use super::known::{Ground, Known};
use super::origin::{Answered, content, date, written};
use super::reference::{Reference, Seen};

pub(super) fn fields(request: &Request) -> Vec<(&'static str, String)> {
    let directive = match request.asks {
        Asks::Nothing => None,
        Asks::NoCache => Some("no-cache".to_owned()),
        Asks::NoStore => Some("no-store".to_owned()),
        Asks::MaxAge(seconds) => Some(format!("max-age={seconds}")),
        Asks::MinFresh(seconds) => Some(format!("min-fresh={seconds}")),
        Asks::MaxStale(None) => Some("max-stale".to_owned()),
        Asks::MaxStale(Some(seconds)) => Some(format!("max-stale={seconds}")),
        Asks::OnlyIfCached => Some("only-if-cached".to_owned()),
        Asks::StaleIfError(seconds) => Some(format!("stale-if-error={seconds}")),
    };
    let mut fields = Vec::new();
    fields.extend(directive.map(|directive| ("cache-control", directive)));
    fields.extend(
        request
            .colour
            .map(|colour| ("x-colour", colour.to_string())),
    );
    fields.extend(request.size.map(|size| ("x-size", size.to_string())));
    if request.has_authorization {
        fields.push(("authorization", "Basic dTpw".to_owned()));
    }
    fields.extend(request.knows.map(|tag| ("if-none-match", written(tag))));
    fields.extend(request.part.map(|part| ("range", range(part).0.to_owned())));
    fields
}

/// Range, and what of 8 bytes that is.
fn range(part: Part) -> (&'static str, std::ops::Range<usize>, &'static str) {
    match part {
        Part::FirstTwo => ("bytes=0-1", 0..2, "bytes 0-1/8"),
        Part::FromThird => ("bytes=2-", 2..8, "bytes 2-7/8"),
        Part::LastThree => ("bytes=-3", 5..8, "bytes 5-7/8"),
    }
}

/// What was asked and what came of it.
pub(super) struct Exchange<'a> {
    pub(super) request: &'a Request,
    pub(super) planned: Planned,
    pub(super) now: u64,
    pub(super) begun: SystemTime,
    /// Whether the last answer of the origin, which may not have been shared, was just now.
    pub(super) asked_lately: bool,
    pub(super) answered: Vec<Answered>,
    pub(super) reply: Reply,
}

impl Exchange<'_> {
    pub(super) fn judge(&self, reference: &mut Reference) -> Result<(), String> {
        let is_owed = reference.is_reuse_owed(self.request, self.now);
        if self.ours().contains("; hit") {
            return self.hit(reference);
        }
        if is_owed {
            return Err(format!(
                "what is stored answers, and did not: {reference:?}"
            ));
        }
        if self.request.asks == Asks::OnlyIfCached {
            let is_refused = self.reply.status == 504 && self.answered.is_empty();
            return self.expect(
                is_refused,
                "only-if-cached is answered with 504, and nobody is asked",
            );
        }
        match self.answered.last() {
            None => Err("the origin was not asked".to_owned()),
            Some(Answered::Changed) => Err("nothing was to be changed".to_owned()),
            Some(Answered::HungUp) => self.failed(reference),
            Some(Answered::Head(note)) => self.head(reference, *note),
            Some(Answered::NotModified(_)) if self.is_passed_304() => Ok(()),
            Some(Answered::NotModified(note)) => self.freshened(reference, *note),
            Some(Answered::Content(id)) if self.number("x-id") != Some(*id) => {
                self.expect(
                    self.planned.status >= 500,
                    "another response than the origin's",
                )?;
                self.failed(reference)
            }
            Some(Answered::Content(id)) => self.fetched(reference, *id),
        }
    }

    fn expect(&self, is_so: bool, what: &str) -> Result<(), String> {
        if is_so { Ok(()) } else { Err(what.to_owned()) }
    }

    /// The origin evaluated the client's own precondition, and nothing is stored.
    fn is_passed_304(&self) -> bool {
        self.request.knows.is_some()
            && self.reply.status == 304
            && self.number("x-id").is_none()
            && !self.ours().contains("; stored")
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.reply.field(name).parse().ok()
    }

    /// Our member of Cache-Status.
    fn ours(&self) -> String {
        let status = self.reply.cache_status();
        status.rsplit("verge").next().unwrap_or_default().to_owned()
    }

    fn seen(&self) -> Result<Seen, String> {
        let seen = |name: &str| self.number(name).ok_or_else(|| format!("no {name}"));
        Ok(Seen {
            id: seen("x-id")?,
            note: seen("x-note")?,
            age: seen("age")?,
        })
    }

    /// Answered from the store, as it says; what was asked was asked in the background.
    fn hit(&self, reference: &mut Reference) -> Result<(), String> {
        let (known, ground) = reference.check_reuse(self.seen()?, self.request, self.now)?;
        self.is_as_stored(&known)?;
        let is_validated = ground == Ground::WhileRevalidate;
        if self.answered.is_empty() {
            return self.expect(!is_validated || self.asked_lately, "nobody validates it");
        }
        self.expect(is_validated, "the origin was asked without need")?;
        // The cache asks for itself: for all of it, and without the client's directives.
        let request = Request {
            is_head: false,
            asks: Asks::Nothing,
            part: None,
            knows: None,
            ..*self.request
        };
        match self.answered.last() {
            Some(Answered::NotModified(note)) => reference
                .freshened((known.id, *note), &self.planned, &request, self.now)
                .map(|_| ()),
            Some(Answered::Content(id)) => {
                reference.answered(*id, self.planned, &request, self.now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The origin's answer was passed on.
    fn fetched(&self, reference: &mut Reference, id: u64) -> Result<(), String> {
        let is_error = self.planned.status >= 500;
        if is_error && reference.is_stale_owed(self.request, self.now) {
            return Err(format!(
                "an error, where what is stored answers: {reference:?}"
            ));
        }
        let is_storable = reference.answered(id, self.planned, self.request, self.now);
        let is_stored = self.ours().contains("; stored");
        self.expect(is_storable || !is_stored, "stored, which it must not be")?;
        let (planned, arrived) = (self.planned, self.planned.initial_age());
        let age = self.number("age");
        self.expect(
            age == Some(arrived) || (!is_stored && age == Some(planned.age)),
            "its Age is not that of the origin's answer",
        )?;
        self.has_content((planned.status, planned.tag), id, false)
    }

    /// What is stored was validated, or answers other fields from now on.
    fn freshened(&self, reference: &mut Reference, note: u64) -> Result<(), String> {
        let seen = self.seen()?;
        let (id, by) = (seen.id, &self.planned);
        let known = reference.freshened((id, note), by, self.request, self.now)?;
        self.expect(
            seen.note == note && seen.age == by.initial_age(),
            "the fields are not those of the 304",
        )?;
        self.is_as_stored(&known)
    }

    /// There was no answer, or an error, and something else was answered with.
    fn failed(&self, reference: &Reference) -> Result<(), String> {
        if self.number("x-id").is_some() {
            let known = reference.check_stale(self.seen()?, self.request, self.now)?;
            return self.is_as_stored(&known);
        }
        self.expect(self.reply.status.is_server_error(), "the origin failed")?;
        self.expect(
            !reference.is_stale_owed(self.request, self.now),
            "an error, where what is stored answers",
        )
    }

    /// A HEAD was passed on.
    fn head(&self, reference: &mut Reference, note: u64) -> Result<(), String> {
        if self.number("x-note") != Some(note) {
            self.expect(
                self.planned.status >= 500,
                "another response than the origin's",
            )?;
            return self.failed(reference);
        }
        if self.planned.status >= 500 && reference.is_stale_owed(self.request, self.now) {
            return Err("an error, where what is stored answers".to_owned());
        }
        reference.head_answered(note, &self.planned, self.request, self.now);
        self.expect(
            self.reply.status == self.planned.status
                && self.number("age") == Some(self.planned.age),
            "the status or the Age is not the origin's",
        )
    }

    fn is_as_stored(&self, known: &Known) -> Result<(), String> {
        let dated = Duration::from_secs(known.date.unsigned_abs());
        let dated = if known.date < 0 {
            self.begun - dated
        } else {
            self.begun + dated
        };
        self.expect(self.reply.field("date") == date(dated), "another Date")?;
        self.expect(
            self.reply.field("surrogate-key").is_empty(),
            "a surrogate key is told",
        )?;
        self.has_content((known.status, known.tag), known.id, true)
    }

    /// Status and content are those of a response with this number, or of what of it was asked for.
    fn has_content(
        &self,
        (status, tag): (u16, Option<Tag>),
        id: u64,
        is_narrowed: bool,
    ) -> Result<(), String> {
        let (got, whole) = (self.reply.text(), content(id));
        let is_known = match (self.request.knows, tag) {
            // Weak comparison (RFC 9110 13.1.2).
            (Some(known), Some(tag)) => known.number == tag.number && (200..300).contains(&status),
            _ => false,
        };
        if is_known && (is_narrowed || self.reply.status == 304) {
            return self.expect(self.reply.status == 304 && got.is_empty(), "no 304");
        }
        if self.request.is_head {
            let is_whole = self.number("content-length") == Some(8) && got.is_empty();
            return self.expect(self.reply.status == status && is_whole, "no answer to HEAD");
        }
        let is_whole = self.reply.status == status && got == whole;
        let Some(part) = self.request.part.filter(|_| status == 200) else {
            return self.expect(is_whole, "another status or content");
        };
        let (_, bytes, described) = range(part);
        let is_part = self.reply.status == 206
            && got == whole[bytes]
            && self.reply.field("content-range") == described;
        self.expect(is_part || (is_whole && !is_narrowed), "another part")
    }
}
