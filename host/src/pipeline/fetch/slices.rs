//! Responses fetched in aligned slices, for large bodies (RFC 9110 14): each
//! slice is asked for, collapsed, stored and validated by itself, and the
//! client gets them one after the other.
//!
//! An origin that answers a slice with the whole is taken at its word: the
//! whole is passed on and stored as ever.

mod held;

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use verge_cache::partial::{Part, if_range_value, part_of};
use verge_cache::policy::{Reuse, decide_reuse};
use verge_cache::{Key, Lookup};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::{Forward, Outcome};
use verge_http::conditional::if_range_allows;
use verge_http::failure::OriginFault;
use verge_http::range::{self, ByteRange, RangeSpec};
use verge_http::{Body, Failure};

use super::super::answer::{Answer, Source};
use super::super::ranges::narrow;
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::part::{Aim, KeepPart, PartAim};
use super::sliced_body::SlicedBody;
use super::{Search, from_stored, join, pass};
use crate::telemetry::{CacheReceipt, Receipt};

pub(super) use held::hold_all;

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
    let head = &viewed.head;
    let asked = range::single_range(&head.method, &head.fields);
    let slices = Arc::new(Slices::new(routed, viewed, &search, size));
    let number = first_slice(asked, slices.size);
    let (answer, found) = match slices.get(receipt, number, None).await? {
        Slice::Found(answer, found) => (answer, found),
        // Nothing of it exists: what the origin says about it is the answer to a range.
        Slice::Other(answer)
            if answer.status == StatusCode::RANGE_NOT_SATISFIABLE && number > 0 =>
        {
            return Ok(answer);
        }
        Slice::Other(answer) if is_about_the_slice(answer.status) => {
            return join(routed, receipt, viewed, search).await;
        }
        Slice::Other(answer) => return Ok(answer),
    };
    if answer.source == Source::Fetched {
        // It may not be stored, so nothing speaks for slices.
        let facts = answer.cache.unwrap_or(search.facts);
        drop(answer);
        return pass::pass(routed, receipt, viewed, Body::Empty, facts).await;
    }
    let now = routed.node.clock.wall();
    let allowed = if_range_allows(&head.fields, &answer.fields, now);
    match found.wanted(asked.filter(|_| allowed)) {
        // Slices are put together by a strong validator only (RFC 9111 3.4).
        Some((want, _))
            if (slices.number(want.first), slices.number(want.last)) != (number, number)
                && if_range_value(&answer.fields, now).is_none() =>
        {
            drop(answer);
            join(routed, receipt, viewed, search).await
        }
        Some((want, is_part)) => {
            slices
                .answer(receipt, answer, (number, found), want, is_part)
                .await
        }
        None => Ok(unsatisfied(answer, found.total)),
    }
}

/// The slice that is asked for first: the one of the first byte that is wanted, as far as it is
/// known.
const fn first_slice(asked: Option<RangeSpec>, size: u64) -> u64 {
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

fn unsatisfied(mut answer: Answer, total: u64) -> Answer {
    answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
    super::super::conditions::remove_representation_fields(&mut answer);
    let value = range::content_range_unsatisfied(total);
    answer.fields.insert(CONTENT_RANGE, value);
    answer.body = Body::Empty;
    answer
}

/// A response in slices, and the request that it is for.
pub(super) struct Slices {
    pub(super) routed: Routed,
    viewed: ViewedRequest,
    whole: Key,
    directives: RequestDirectives,
    size: u64,
}

/// What all slices of one representation have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    total: u64,
    entity_tag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

/// What came for a slice.
enum Slice {
    /// The slice.
    Found(Answer, Found),
    /// Something else.
    Other(Answer),
}

impl Found {
    fn of(fields: &HeaderMap, total: u64) -> Self {
        Self {
            total,
            entity_tag: fields.get(ETAG).cloned(),
            last_modified: fields.get(LAST_MODIFIED).cloned(),
        }
    }

    /// What is sent, and whether that is a part; `None` if there is nothing of what is asked.
    fn wanted(&self, asked: Option<RangeSpec>) -> Option<(ByteRange, bool)> {
        match asked {
            None => Some((self.whole(), false)),
            Some(spec) => spec.within(self.total).map(|part| (part, true)),
        }
    }

    fn whole(&self) -> ByteRange {
        ByteRange {
            first: 0,
            last: self.total.saturating_sub(1),
        }
    }
}

impl Slices {
    fn new(routed: &Routed, viewed: &ViewedRequest, search: &Search, size: u64) -> Self {
        Self {
            routed: routed.clone(),
            viewed: ViewedRequest {
                head: viewed.head.clone(),
                marks: viewed.marks.clone(),
                context: viewed.context.clone(),
            },
            whole: search.key.clone(),
            directives: search.directives.clone(),
            // A slice that may not be stored would be fetched for nothing.
            size: size.min(routed.node.cache.settings().max_object).max(1),
        }
    }

    fn key(&self, number: u64) -> Key {
        let cache = &self.routed.node.cache;
        cache.slice_key(&self.whole, self.size, number)
    }

    /// The slice in which `position` lies.
    pub(super) fn number(&self, position: u64) -> u64 {
        position / self.size
    }

    /// The bytes of slice `number`, as it is asked for.
    fn range(&self, number: u64) -> ByteRange {
        let first = number.saturating_mul(self.size);
        ByteRange {
            first,
            last: first.saturating_add(self.size - 1),
        }
    }

    /// What `fields` say, if they are those of slice `number`.
    fn found(&self, number: u64, status: StatusCode, fields: &HeaderMap) -> Option<Found> {
        let Part { range, total } = part_of(status, fields)?;
        let total = total?;
        let asked = self.range(number);
        let last = asked.last.min(total.saturating_sub(1));
        let is_it = range.first == asked.first && range.last == last;
        is_it.then(|| Found::of(fields, total))
    }

    /// Slice `number`, from the store or the origin. A stored one that is not of the
    /// representation `expected` is removed.
    async fn get(
        &self,
        receipt: &mut Receipt,
        number: u64,
        expected: Option<&Found>,
    ) -> Result<Slice, Failure> {
        let (cache, clock) = (&self.routed.node.cache, &self.routed.node.clock);
        let key = self.key(number);
        let mut stale = None;
        let mut facts = CacheReceipt::forwarded(Forward::UriMiss, None);
        if let Lookup::Selected(stored) = cache.lookup(&key, &self.viewed.head.fields) {
            let head = stored.head();
            let found = self.found(number, head.status(), head.fields());
            let is_expected = expected.is_none_or(|expected| found.as_ref() == Some(expected));
            let reuse = decide_reuse(&self.directives, &stored.freshness(clock.now()));
            match (found, reuse) {
                (Some(found), Reuse::Fresh | Reuse::RefreshAhead | Reuse::StaleAccepted)
                    if is_expected =>
                {
                    let facts = CacheReceipt::new(Outcome::Hit);
                    let answer = from_stored(&self.routed, &stored, facts);
                    return Ok(Slice::Found(answer, found));
                }
                (Some(_), Reuse::StaleWhileRevalidate) if is_expected => {
                    facts = CacheReceipt::forwarded(Forward::Stale, None);
                    stale = Some(stored);
                }
                (Some(_), Reuse::Validate(reason)) if is_expected => {
                    facts = CacheReceipt::forwarded(reason.forward(), Some(reason.label()));
                    stale = Some(stored);
                }
                _ => cache.remove_stored(&key, &stored),
            }
        }
        let aim = PartAim {
            whole: self.whole.clone(),
            range: range::range_value(self.range(number)),
            if_range: None,
            pieces: None,
            keep: KeepPart::Slice,
        };
        let search = Search {
            key,
            directives: self.directives.clone(),
            stale,
            variants: Vec::new(),
            pieces: None,
            aim: Aim::Part(Box::new(aim)),
            facts,
        };
        let answer = join(&self.routed, receipt, &self.viewed, search).await?;
        Ok(match self.found(number, answer.status, &answer.fields) {
            Some(found) => Slice::Found(answer, found),
            None => Slice::Other(answer),
        })
    }

    /// The whole, or the part `want` of it, of which slice `number` has come.
    async fn answer(
        self: Arc<Self>,
        receipt: &mut Receipt,
        mut answer: Answer,
        (number, found): (u64, Found),
        want: ByteRange,
        is_part: bool,
    ) -> Result<Answer, Failure> {
        let first = self.number(want.first);
        let content = if number == first {
            std::mem::take(&mut answer.body)
        } else {
            // A suffix, of which the first slice told the total; or a range that does not
            // hold, and so the whole.
            self.next(receipt, first, &found, number).await?
        };
        answer.fields.remove(CONTENT_LENGTH);
        if is_part {
            answer.status = StatusCode::PARTIAL_CONTENT;
            let value = range::content_range(want, found.total);
            answer.fields.insert(CONTENT_RANGE, value);
        } else {
            answer.status = StatusCode::OK;
            answer.fields.remove(CONTENT_RANGE);
        }
        answer.body = Body::stream(SlicedBody::new(self, (number, found), want, content));
        Ok(answer)
    }

    /// The content of slice `number` of the representation that slice `told_by` is of.
    ///
    /// # Errors
    /// The representation has changed: what was sent of it cannot be completed. The slice that
    /// the next request would begin with again goes; others are replaced when they are met.
    pub(super) async fn next(
        &self,
        receipt: &mut Receipt,
        number: u64,
        expected: &Found,
        told_by: u64,
    ) -> Result<Body, Failure> {
        match self.get(receipt, number, Some(expected)).await? {
            Slice::Found(answer, found) if found == *expected => Ok(answer.body),
            Slice::Found(..) | Slice::Other(_) => {
                self.forget(expected, told_by);
                Err(Failure::responding(OriginFault::ResponseIncomplete))
            }
        }
    }

    /// Removes slice `number`, if it is of the representation `old`.
    fn forget(&self, old: &Found, number: u64) {
        let (cache, key) = (&self.routed.node.cache, self.key(number));
        if let Lookup::Selected(stored) = cache.lookup(&key, &self.viewed.head.fields) {
            let head = stored.head();
            if self.found(number, head.status(), head.fields()).as_ref() == Some(old) {
                cache.remove_stored(&key, &stored);
            }
        }
    }

    /// What of the content of slice `number` lies within `want`.
    pub(super) fn part_of_slice(
        &self,
        number: u64,
        content: Body,
        found: &Found,
        want: ByteRange,
    ) -> Body {
        let slice = self.range(number);
        let last = slice.last.min(found.total.saturating_sub(1)).min(want.last);
        let first = slice.first.max(want.first);
        if first > last {
            return Body::Empty;
        }
        let part = ByteRange {
            first: first - slice.first,
            last: last - slice.first,
        };
        narrow(content, part)
    }
}
