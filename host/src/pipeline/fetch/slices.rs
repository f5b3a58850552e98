//! Responses fetched in aligned slices, for large bodies (RFC 9110 14): each
//! slice is asked for, collapsed, stored and validated by itself, and the
//! client gets them one after the other.
//!
//! An origin that answers a slice with the whole is taken at its word: the
//! whole is passed on and stored as ever.

mod failing;
mod held;
mod kept;
mod whole;

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, StatusCode};
use verge_cache::partial::if_range_value;
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::Outcome;
use verge_http::failure::{ClientFault, OriginFault};
use verge_http::range::{self, ByteRange, RangeSpec};
use verge_http::{Body, Failure};

use super::super::answer::{Answer, Source};
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
pub(super) use super::slice::{Found, Held, Slices};
use super::slice::{Slice, Stage, wanted_of};
use super::sliced_body::SlicedBody;
use super::{Search, join, pass};
use crate::telemetry::{CacheReceipt, Receipt};

pub(super) use held::hold_all;
pub(super) use kept::AllKept;
pub(super) use whole::InTiers;

/// Gets what the client asks for in slices of `size` bytes.
///
/// # Errors
/// Why there is none.
pub(super) async fn fetch(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: Search,
    size: u64,
) -> Result<Answer, Failure> {
    let slices = (&search.key, &search.directives);
    let slices = Arc::new(Slices::new(routed, viewed, slices, size));
    if search.directives.only_if_cached {
        // What is begun has to be completed, and no origin may be asked to (RFC 9111 5.2.1.7).
        match slices.all_kept().await {
            AllKept::Slices => {}
            AllKept::Whole => return join(routed, receipt, viewed, search).await,
            AllKept::No => {
                receipt.cache = Some(search.facts);
                return Err(ClientFault::OnlyIfCachedMissed.into());
            }
        }
    }
    let mut directives = search.directives.clone();
    // A representation that turns out to have changed before anything of it is sent is begun
    // anew, once, with what the origin has now.
    for _ in 0..2 {
        match Arc::clone(&slices).begin(receipt, &directives).await? {
            Begun::Answer(answer) => return Ok(*answer),
            Begun::Whole => return join(routed, receipt, viewed, search).await,
            Begun::Unstored(facts) => {
                let facts = facts.unwrap_or(search.facts);
                return pass::pass(routed, receipt, viewed, Body::Empty, facts).await;
            }
            Begun::Changed => directives.no_cache = true,
        }
    }
    // It changes with every request: then all of it in one.
    join(routed, receipt, viewed, search).await
}

/// What the first slice came to.
enum Begun {
    Answer(Box<Answer>),
    /// The whole has to be asked for.
    Whole,
    /// It may not be stored, so nothing speaks for slices.
    Unstored(Option<CacheReceipt>),
    /// The representation has changed, and nothing of it was sent.
    Changed,
}

/// What a request wants, as its first slice tells.
pub(super) enum Wanted {
    /// These bytes, out of slices; whether they are a part.
    Slices(ByteRange, bool),
    /// What does not exist.
    Nothing,
    /// More than one slice of what has no strong validator, by which alone slices are put
    /// together (RFC 9111 3.4).
    Whole,
}

/// Why there is no next slice.
pub(super) enum Missed {
    /// There is a slice, of another representation.
    Changed,
    /// A tier has the whole, which is to be taken in its place; not once anything was sent.
    Whole,
    Failed(Failure),
}

impl From<Failure> for Missed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Missed> for Failure {
    fn from(missed: Missed) -> Self {
        match missed {
            // What was sent cannot be completed.
            Missed::Changed | Missed::Whole => Self::responding(OriginFault::ResponseIncomplete),
            Missed::Failed(failure) => failure,
        }
    }
}

/// The slice that is asked for first: the one of the first byte that is wanted, as far as it is
/// known.
pub(super) const fn first_slice(asked: Option<RangeSpec>, size: u64) -> u64 {
    match asked {
        Some(RangeSpec::From(first) | RangeSpec::Bounded(first, _)) => first / size,
        Some(RangeSpec::Suffix(_)) | None => 0,
    }
}

/// Whether a response says something about the slice only, and nothing about the whole.
fn is_about_the_slice(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::PARTIAL_CONTENT
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::PRECONDITION_FAILED
    )
}

/// The answer to a request for what a representation of `total` bytes does not have.
pub(super) fn unsatisfied(mut answer: Answer, total: u64) -> Answer {
    answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
    super::super::conditions::remove_selected_fields(&mut answer);
    let value = range::content_range_unsatisfied(total);
    answer.fields.insert(CONTENT_RANGE, value);
    answer.body = Body::Empty;
    answer
}

/// The head of a slice becomes that of the part `want`, or of the whole if it is none.
pub(super) fn become_wanted(answer: &mut Answer, (want, is_part): (ByteRange, bool), total: u64) {
    answer.fields.remove(CONTENT_LENGTH);
    if is_part {
        answer.status = StatusCode::PARTIAL_CONTENT;
        let value = range::content_range(want, total);
        answer.fields.insert(CONTENT_RANGE, value);
    } else {
        answer.status = StatusCode::OK;
        answer.fields.remove(CONTENT_RANGE);
    }
}

impl Slices {
    /// What the request wants of the representation `found`, of which slice `number` has these
    /// fields.
    pub(super) fn wanted(&self, number: u64, fields: &HeaderMap, found: &Found) -> Wanted {
        let head = &self.viewed.head;
        let now = self.routed.node.clock.wall();
        let Some((want, is_part)) = wanted_of(head, fields, found.total, now) else {
            return Wanted::Nothing;
        };
        let is_one = (self.number(want.first), self.number(want.last)) == (number, number);
        if !is_one && if_range_value(fields, now).is_none() {
            return Wanted::Whole;
        }
        Wanted::Slices(want, is_part)
    }

    /// Begins with the slice in which what is asked for begins, as far as that is known.
    async fn begin(
        self: Arc<Self>,
        receipt: &mut Receipt,
        directives: &RequestDirectives,
    ) -> Result<Begun, Failure> {
        let head = &self.viewed.head;
        let asked = range::single_range(&head.method, &head.fields);
        let number = first_slice(asked, self.size);
        let place = (number, Stage::Beginning);
        let (answer, found) = match self.get(receipt, place, None, directives).await? {
            Slice::Found(answer, found) => (answer, found),
            Slice::Whole => return Ok(Begun::Whole),
            // Nothing of it exists: what the origin says about it is the answer to a range.
            Slice::Other(answer)
                if answer.status == StatusCode::RANGE_NOT_SATISFIABLE && number > 0 =>
            {
                return Ok(Begun::Answer(Box::new(answer)));
            }
            Slice::Other(answer) if is_about_the_slice(answer.status) => return Ok(Begun::Whole),
            Slice::Other(answer) => return Ok(Begun::Answer(Box::new(answer))),
        };
        if answer.source == Source::Fetched {
            return Ok(Begun::Unstored(answer.cache));
        }
        let (want, is_part) = match self.wanted(number, &answer.fields, &found) {
            Wanted::Slices(want, is_part) => (want, is_part),
            Wanted::Nothing => {
                return Ok(Begun::Answer(Box::new(unsatisfied(answer, found.total))));
            }
            Wanted::Whole => return Ok(Begun::Whole),
        };
        let told = (number, found.clone());
        match Arc::clone(&self)
            .answer(receipt, answer, told, want, is_part)
            .await
        {
            Ok(answer) => Ok(Begun::Answer(Box::new(answer))),
            Err(Missed::Changed) => Ok(Begun::Changed),
            Err(Missed::Whole) => Ok(Begun::Whole),
            Err(Missed::Failed(failure)) => Err(failure),
        }
    }

    /// The whole, or the part `want` of it, of which slice `number` has come.
    async fn answer(
        self: Arc<Self>,
        receipt: &mut Receipt,
        mut answer: Answer,
        (number, found): (u64, Found),
        want: ByteRange,
        is_part: bool,
    ) -> Result<Answer, Missed> {
        let first = self.number(want.first);
        let content = if number == first {
            std::mem::take(&mut answer.body)
        } else {
            // A suffix, of which the first slice told the total; or a range that does not
            // hold, and so the whole.
            let place = (first, Stage::Beginning);
            self.next(receipt, place, &found).await?
        };
        // What is stored may have changed since: the slice that would be fetched ahead anyway
        // tells, before anything is sent.
        let is_kept = answer.cache.as_ref().is_some_and(|facts| {
            // Who follows another request does not know where that found it.
            facts.outcome == Outcome::Hit || facts.collapsed || facts.stands_in
        });
        let ahead = match is_kept {
            true if first < self.number(want.last) => {
                let place = (first + 1, Stage::Beginning);
                Some(self.next(receipt, place, &found).await?)
            }
            _ => None,
        };
        become_wanted(&mut answer, (want, is_part), found.total);
        let body = SlicedBody::new(self, found, want, content, ahead);
        answer.body = Body::stream(body);
        Ok(answer)
    }

    /// The content of a slice of the representation `expected`.
    ///
    /// # Errors
    /// The representation has changed: stored slices of it are removed. Or why there is none.
    pub(super) async fn next(
        self: &Arc<Self>,
        receipt: &mut Receipt,
        place: (u64, Stage),
        expected: &Found,
    ) -> Result<Body, Missed> {
        let slice = self.get(receipt, place, Some(expected), &self.directives);
        match slice.await? {
            Slice::Found(answer, found) if found == *expected => Ok(answer.body),
            Slice::Whole => Err(Missed::Whole),
            Slice::Found(..) | Slice::Other(_) => {
                self.forget(expected);
                Err(Missed::Changed)
            }
        }
    }
}
