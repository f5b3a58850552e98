//! One slice of a response: found, asked for, compared with the others.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::header::{ETAG, HeaderValue, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use verge_cache::partial::{Part, part_of};
use verge_cache::policy::{Form, Reuse, ValidateReason, decide_reuse};
use verge_cache::tier::TierKey;
use verge_cache::{Key, Lookup, StoredHead, StoredResponse};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::Forward;
use verge_http::conditional::if_range_allows;
use verge_http::range::{self, ByteRange};
use verge_http::{Body, Failure};

use super::super::answer::Answer;
use super::super::head::TrustedHead;
use super::super::ranges::narrow;
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::join::part_hit;
use super::look_up::Reusing;
use super::part::{Aim, KeepPart, PartAim};
use super::slices::InTiers;
use super::{Search, background, from_stored, join};
use crate::node::NodeState;
use crate::telemetry::{CacheReceipt, Receipt};

/// Slices of a representation that has changed that are looked for to be removed; others are
/// replaced when they are met.
const FORGOTTEN_MAX: u64 = 1024;

/// A response in slices, and the request that it is for.
pub(super) struct Slices {
    pub(super) routed: Routed,
    pub(super) viewed: ViewedRequest,
    pub(super) whole: Key,
    pub(super) directives: RequestDirectives,
    pub(super) size: u64,
    /// Whether memory and tiers held all that is wanted when that was first asked.
    pub(super) proof: OnceCell<bool>,
    /// What memory held then, and is sent whatever becomes of it.
    pub(super) in_hand: Mutex<BTreeMap<u64, Arc<StoredResponse>>>,
    /// The representation for which the origin failed just now.
    pub(super) failing: OnceLock<Found>,
    /// What tiers had of the whole when that was first asked.
    pub(super) in_tiers: OnceCell<InTiers>,
    /// The form that was decided for when memory lacked a slice.
    pub(super) form: OnceCell<Form>,
    /// The date of the slice in memory with which the response begins.
    pub(super) begun: OnceLock<SystemTime>,
}

/// Whether anything of a response was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing yet: it can become another one.
    Beginning,
    /// Its head at least.
    Sending,
}

/// What all slices of one representation have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) total: u64,
    entity_tag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

/// What came for a slice.
pub(super) enum Slice {
    /// The slice.
    Found(Answer, Found),
    /// Something else.
    Other(Answer),
    /// A tier has the whole, which is to be taken in its place.
    Whole,
}

/// What memory has of a slice.
#[derive(Clone)]
pub(super) enum Held {
    /// It answers as it is.
    Answers(Arc<StoredResponse>, Found, Reusing),
    /// It has to be validated first.
    Stale(Arc<StoredResponse>, Reuse),
    /// It is no such slice, or one of another representation.
    Other(Arc<StoredResponse>),
    /// Nothing is stored.
    No,
}

impl Found {
    fn of(fields: &HeaderMap, total: u64) -> Self {
        Self {
            total,
            entity_tag: fields.get(ETAG).cloned(),
            last_modified: fields.get(LAST_MODIFIED).cloned(),
        }
    }
}

/// What is sent of a representation of `total` bytes, a part of which has these `fields`, and
/// whether that is a part; `None` if there is nothing of what `request` asks for.
pub(super) fn wanted_of(
    request: &TrustedHead,
    fields: &HeaderMap,
    total: u64,
    now: SystemTime,
) -> Option<(ByteRange, bool)> {
    let asked = range::single_range(&request.method, &request.fields);
    match asked.filter(|_| if_range_allows(&request.fields, fields, now)) {
        None => {
            let last = total.saturating_sub(1);
            Some((ByteRange { first: 0, last }, false))
        }
        Some(spec) => spec.within(total).map(|part| (part, true)),
    }
}

/// Whether nothing but `slice` is wanted of what it is a slice of.
pub(super) fn is_all_wanted(request: &TrustedHead, slice: &StoredHead, now: SystemTime) -> bool {
    let Some(Part { range, total }) = part_of(slice.status(), slice.fields()) else {
        return true;
    };
    let wanted = total.and_then(|total| wanted_of(request, slice.fields(), total, now));
    wanted.is_none_or(|(wanted, _)| range.contains(wanted))
}

/// A slice that may not be stored would be fetched for nothing.
fn size_of(node: &NodeState, size: u64) -> u64 {
    size.min(node.cache.settings().max_object).max(1)
}

impl Slices {
    pub(super) fn new(
        routed: &Routed,
        viewed: &ViewedRequest,
        (key, directives): (&Key, &RequestDirectives),
        size: u64,
    ) -> Self {
        let size = size_of(&routed.node, size);
        Self {
            routed: routed.clone(),
            viewed: ViewedRequest {
                head: viewed.head.clone(),
                marks: viewed.marks.clone(),
                context: viewed.context.clone(),
            },
            whole: key.clone(),
            directives: directives.clone(),
            size,
            proof: OnceCell::new(),
            in_hand: Mutex::default(),
            failing: OnceLock::new(),
            in_tiers: OnceCell::new(),
            form: OnceCell::new(),
            begun: OnceLock::new(),
        }
    }

    pub(super) fn key(&self, number: u64) -> Key {
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
    pub(super) fn found(
        &self,
        number: u64,
        status: StatusCode,
        fields: &HeaderMap,
    ) -> Option<Found> {
        let Part { range, total } = part_of(status, fields)?;
        let total = total?;
        let asked = self.range(number);
        let last = asked.last.min(total.saturating_sub(1));
        let is_it = range.first == asked.first && range.last == last;
        is_it.then(|| Found::of(fields, total))
    }

    /// Slice `number`, from the store or the origin. A stored one that is not of the
    /// representation `expected` is removed, wherever it is.
    pub(super) async fn get(
        self: &Arc<Self>,
        receipt: &mut Receipt,
        (number, stage): (u64, Stage),
        expected: Option<&Found>,
        directives: &RequestDirectives,
    ) -> Result<Slice, Failure> {
        let is_expected = |found: &Found| expected.is_none_or(|expected| found == expected);
        let (cache, key) = (&self.routed.node.cache, self.key(number));
        let found = cache.lookup(&key, &self.viewed.head.fields);
        let held = self.decide(number, found, is_expected, directives);
        let held = self.proven(held).await;
        let held = self.or_in_hand(number, held);
        let held = self.or_brought(number, held, expected).await;
        let (known, facts) = match held {
            Held::Answers(stored, found, reusing) => {
                self.begun.get_or_init(|| stored.head().date());
                self.validate_if_due(number, key, &stored, reusing);
                let answer = from_stored(&self.routed, &stored, part_hit(reusing));
                return Ok(Slice::Found(answer, found));
            }
            Held::Stale(stored, reuse) => {
                let facts = CacheReceipt::forwarded(reuse.forward(), Some(reuse.label()));
                (Some(stored), facts)
            }
            Held::Other(stored) => {
                if !directives.only_if_cached {
                    // Nothing takes its place for a request that asks nobody.
                    self.remove(&key, &stored);
                }
                (None, CacheReceipt::forwarded(Forward::UriMiss, None))
            }
            Held::No => (None, CacheReceipt::forwarded(Forward::UriMiss, None)),
        };
        if stage == Stage::Beginning
            && Box::pin(self.is_whole_sought(number, known.as_deref())).await
        {
            return Ok(Slice::Whole);
        }
        self.ask(receipt, number, (known, facts), (expected, directives))
            .await
    }

    /// Slice `number`, of which memory has no more than what is stale.
    async fn ask(
        self: &Arc<Self>,
        receipt: &mut Receipt,
        number: u64,
        (mut known, mut facts): (Option<Arc<StoredResponse>>, CacheReceipt),
        (expected, directives): (Option<&Found>, &RequestDirectives),
    ) -> Result<Slice, Failure> {
        let is_expected = |found: &Found| expected.is_none_or(|expected| found == expected);
        let mut directives = directives.clone();
        loop {
            let search = Search {
                key: self.key(number),
                directives: directives.clone(),
                stale: known.take(),
                variants: Vec::new(),
                pieces: None,
                aim: self.aim(number),
                facts,
            };
            let answer = join(&self.routed, receipt, &self.viewed, search).await?;
            let Some(found) = self.found(number, answer.status, &answer.fields) else {
                return Ok(Slice::Other(answer));
            };
            // One that followed another request does not know where that found it.
            let is_not_of_now = answer
                .cache
                .as_ref()
                .is_some_and(|facts| facts.tier.is_some() || facts.collapsed);
            if is_not_of_now && !is_expected(&found) && !directives.no_cache {
                // A tier had what has changed since: the origin says what there is now.
                let key = TierKey::of(&self.key(number));
                self.routed.node.tiers.forget(&key);
                directives.no_cache = true;
                facts = CacheReceipt::forwarded(Forward::Stale, None);
                continue;
            }
            if answer.cache.as_ref().is_some_and(|facts| facts.stands_in) {
                self.failing.get_or_init(|| found.clone());
            }
            return Ok(Slice::Found(answer, found));
        }
    }

    /// Decides whether what memory `found` of slice `number` answers.
    pub(super) fn decide(
        &self,
        number: u64,
        found: Lookup,
        is_expected: impl Fn(&Found) -> bool,
        directives: &RequestDirectives,
    ) -> Held {
        let Lookup::Selected(stored) = found else {
            return Held::No;
        };
        let head = stored.head();
        let found = self.found(number, head.status(), head.fields());
        let Some(found) = found.filter(is_expected) else {
            return Held::Other(stored);
        };
        let now = self.routed.node.clock.now();
        match decide_reuse(directives, &stored.freshness(now)) {
            Reuse::Validate(ValidateReason::Stale)
                if self.is_failing(&stored, &found, directives) =>
            {
                Held::Answers(stored, found, Reusing::OriginFailing)
            }
            reuse @ Reuse::Validate(_) => Held::Stale(stored, reuse),
            reuse => Held::Answers(stored, found, Reusing::Allowed(reuse)),
        }
    }

    /// Slice `number` answers as it is; it is validated meanwhile if that is due (RFC 5861 3).
    pub(super) fn validate_if_due(
        self: &Arc<Self>,
        number: u64,
        key: Key,
        stored: &Arc<StoredResponse>,
        reusing: Reusing,
    ) {
        if reusing.is_due() {
            let (head, marks) = (&self.viewed.head, &self.viewed.marks);
            background::validate(&self.routed, head, marks, (key, self.aim(number)), stored);
        }
    }

    /// What is asked of the origin for slice `number`.
    fn aim(self: &Arc<Self>, number: u64) -> Aim {
        Aim::Part(Box::new(PartAim {
            whole: self.whole.clone(),
            range: range::range_value(self.range(number)),
            if_range: None,
            pieces: None,
            keep: KeepPart::Slice,
            slices: Some(Arc::clone(self)),
        }))
    }

    fn remove(&self, key: &Key, stored: &Arc<StoredResponse>) {
        self.routed.node.cache.remove_stored(key, stored);
        self.routed.node.tiers.forget(&TierKey::of(key));
    }

    /// Removes slices of the representation `old`.
    pub(super) fn forget(&self, old: &Found) {
        self.in_hand.lock().clear();
        let count = old.total.div_ceil(self.size).min(FORGOTTEN_MAX);
        for number in 0..count {
            let (cache, key) = (&self.routed.node.cache, self.key(number));
            if let Lookup::Selected(stored) = cache.lookup(&key, &self.viewed.head.fields) {
                let head = stored.head();
                if self.found(number, head.status(), head.fields()).as_ref() == Some(old) {
                    self.remove(&key, &stored);
                }
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
