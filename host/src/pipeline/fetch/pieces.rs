//! Ranges of what is not stored completely: answered from stored pieces,
//! asked for as the client asks, or completed (RFC 9111 3.3, 3.4), which is
//! `rest.rs`.
//!
//! What is asked for is decided by `verge_cache::partial`; how a fetch is led
//! and followed is the parent's.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use http::{Method, StatusCode};
use verge_cache::partial::{PartPlan, decide_part_plan, if_range_value};
use verge_cache::policy::{OriginError, Reuse, TierDecision, decide_reuse};
use verge_cache::{Key, Seeker, StoredResponse};
use verge_http::cache_control::RequestDirectives;
use verge_http::cache_status::{Forward, Outcome};
use verge_http::conditional::if_range_allows;
use verge_http::range::{self, ByteRange, RangeSpec};
use verge_http::{Body, Failure};

use super::super::answer::Answer;
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::join::part_hit;
use super::listed::{Listed, WouldAsk};
use super::look_up::Reusing;
use super::part::{Aim, KeepPart, PartAim};
use super::rest::Rest;
use super::{Search, join, pass, slices, stale};
use crate::route::RangePolicy;
use crate::telemetry::{CacheReceipt, Receipt};

/// The answer from pieces that are stored, if they hold what is asked for and are fresh.
pub(super) fn look_up(
    routed: &Routed,
    viewed: &ViewedRequest,
    search: &mut Search,
) -> Option<Answer> {
    if !are_asked(viewed, search) {
        return None;
    }
    let cache = &routed.node.cache;
    let stored = cache.lookup_incomplete(&search.key, &viewed.head.fields)?;
    let answer = from_pieces(routed, viewed, search, &stored);
    search.pieces = Some(stored);
    answer.map(|(answer, _)| answer)
}

/// The same, as if nobody had asked, and why it may be reused.
pub(super) fn peek(
    routed: &Routed,
    viewed: &ViewedRequest,
    search: &mut Search,
) -> Option<(Answer, Reuse)> {
    if !are_asked(viewed, search) {
        return None;
    }
    let cache = &routed.node.cache;
    let stored = cache.peek_incomplete(&search.key, &viewed.head.fields)?;
    let answer = from_pieces(routed, viewed, search, &stored);
    search.pieces = Some(stored);
    answer
}

/// Whether pieces are looked for.
fn are_asked(viewed: &ViewedRequest, search: &Search) -> bool {
    search.stale.is_none() && viewed.head.method == Method::GET
}

fn from_pieces(
    routed: &Routed,
    viewed: &ViewedRequest,
    search: &Search,
    stored: &StoredResponse,
) -> Option<(Answer, Reuse)> {
    let freshness = stored.freshness(routed.node.clock.now());
    let reuse = match decide_reuse(&search.directives, &freshness) {
        Reuse::Fresh | Reuse::RefreshAhead => Reuse::Fresh,
        Reuse::StaleAccepted => Reuse::StaleAccepted,
        // Nobody would validate a part in the background.
        Reuse::StaleWhileRevalidate | Reuse::Validate(_) => return None,
    };
    let facts = CacheReceipt {
        lookup: search.facts.lookup,
        ..part_hit(Reusing::Allowed(reuse))
    };
    Some((held_part(routed, viewed, stored, facts)?, reuse))
}

/// The part that is asked for, if all of it is held.
fn held_part(
    routed: &Routed,
    viewed: &ViewedRequest,
    stored: &StoredResponse,
    facts: CacheReceipt,
) -> Option<Answer> {
    let (head, clock) = (&viewed.head, &routed.node.clock);
    let asked = range::single_range(&head.method, &head.fields)?;
    if !if_range_allows(&head.fields, stored.head().fields(), clock.wall()) {
        return None;
    }
    let total = stored.pieces()?.total();
    let part = match (asked, total) {
        (spec, Some(total)) => spec.within(total)?,
        (RangeSpec::Bounded(first, last), None) => ByteRange { first, last },
        (RangeSpec::From(_) | RangeSpec::Suffix(_), None) => return None,
    };
    let body = stored.part(part)?;
    let freshness = stored.freshness(clock.now());
    let mut answer = super::answer(routed, stored.head(), freshness, body, facts);
    become_part(&mut answer, part, total);
    Some(answer)
}

/// What is held of the part that is asked for, in the place of the origin's error (RFC 9111 4.2.4,
/// RFC 5861 4).
fn in_place_of_error(
    routed: &Routed,
    viewed: &ViewedRequest,
    (key, stored): (&Key, &Arc<StoredResponse>),
    answer: &Result<Answer, Failure>,
) -> Option<Answer> {
    let error = match answer {
        Ok(answer) => OriginError::of_status(answer.status)?,
        Err(failure) => OriginError::Failed(*failure),
    };
    let directives = RequestDirectives::parse(&viewed.head.fields);
    let grant = stale::grant(routed, (key, stored), &directives, error)?;
    let facts = CacheReceipt::forwarded(Forward::Stale, Some(grant.label()));
    held_part(routed, viewed, stored, facts)
}

pub(super) fn become_part(answer: &mut Answer, part: ByteRange, total: Option<u64>) {
    answer.status = StatusCode::PARTIAL_CONTENT;
    let value = match total {
        Some(total) => range::content_range(part, total),
        None => range::content_range_of_unknown(part),
    };
    answer.fields.insert(CONTENT_RANGE, value);
    answer.fields.remove(CONTENT_LENGTH);
}

/// How what is not stored, or not all of it, is asked for.
pub(super) enum Way {
    /// All of it.
    Whole,
    /// The request goes past the cache, with its Range.
    Pass,
    /// In slices of so many bytes.
    Slices(u64),
    /// The part that the client asks for.
    AsAsked(RangeSpec),
    /// What is missing of stored pieces; whether the client gets a part.
    Rest(Rest, bool),
}

/// Decides how it is asked for.
pub(super) fn way(routed: &Routed, viewed: &ViewedRequest, search: &Search) -> Way {
    if search.stale.is_some() || viewed.head.method != Method::GET {
        return Way::Whole;
    }
    let fields = &viewed.head.fields;
    let asked = match routed.route.ranges {
        RangePolicy::Pass if fields.contains_key(RANGE) => return Way::Pass,
        RangePolicy::Slices { size } if search.pieces.is_none() => return Way::Slices(size),
        RangePolicy::Pieces => range::single_range(&viewed.head.method, fields),
        RangePolicy::Pass | RangePolicy::Slices { .. } | RangePolicy::Whole => None,
    };
    let now = routed.node.clock.wall();
    // Pieces that can be completed, if they are what the client's If-Range is about.
    let held = search.pieces.as_ref().filter(|stored| {
        if_range_value(stored.head().fields(), now).is_some()
            && (asked.is_none() || if_range_allows(fields, stored.head().fields(), now))
    });
    let held = held.map(Arc::clone);
    let apart = routed.generation.settings.gaps_apart;
    let pieces = held.as_ref().and_then(|stored| stored.pieces());
    let plan = decide_part_plan(asked, pieces, apart);
    match (plan, asked, held) {
        (PartPlan::AsAsked, Some(asked), _) => Way::AsAsked(asked),
        (PartPlan::Rest { want, gaps }, _, Some(stored)) => {
            Way::Rest(Rest { stored, want, gaps }, asked.is_some())
        }
        (PartPlan::Whole | PartPlan::AsAsked | PartPlan::Rest { .. }, ..) => Way::Whole,
    }
}

/// Gets what is not stored, or not all of it.
///
/// # Errors
/// Why there is none.
pub(super) async fn fetch(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: Search,
) -> Result<Answer, Failure> {
    match way(routed, viewed, &search) {
        Way::Whole => join(routed, receipt, viewed, search).await,
        Way::Pass => pass::pass(routed, receipt, viewed, Body::Empty, search.facts).await,
        Way::Slices(size) => slices::fetch(routed, receipt, viewed, search, size).await,
        Way::AsAsked(asked) => {
            let pieces = search.pieces.clone();
            let pieces = pieces.map(|stored| (search.key.clone(), stored));
            let answer = as_asked(routed, receipt, viewed, search, asked).await;
            let held = pieces.and_then(|(key, stored)| {
                in_place_of_error(routed, viewed, (&key, &stored), &answer)
            });
            held.map_or(answer, Ok)
        }
        Way::Rest(rest, is_part) => rest.fetch(routed, receipt, viewed, search, is_part).await,
    }
}

/// Sends the client's own Range, unless a fetch of the whole will get there soon.
async fn as_asked(
    routed: &Routed,
    receipt: &mut Receipt,
    viewed: &ViewedRequest,
    search: Search,
    asked: RangeSpec,
) -> Result<Answer, Failure> {
    if is_soon_there(routed, viewed, &search, asked) || is_in_tier(routed, viewed, &search).await {
        return join(routed, receipt, viewed, search).await;
    }
    let part = search_as_asked(routed, viewed, &search).unwrap_or(search);
    join(routed, receipt, viewed, part).await
}

/// A search for the very part that the client asks for.
pub(super) fn search_as_asked(
    routed: &Routed,
    viewed: &ViewedRequest,
    search: &Search,
) -> Option<Search> {
    let fields = &viewed.head.fields;
    let value = fields.get(RANGE)?;
    let if_range = fields.get(IF_RANGE).cloned();
    let aim = PartAim {
        whole: search.key.clone(),
        range: value.clone(),
        keep: match if_range {
            Some(_) => KeepPart::No,
            None => KeepPart::Piece,
        },
        if_range,
        pieces: search.pieces.clone(),
        slices: None,
    };
    let mut facts = search.facts;
    if search.pieces.is_some() {
        facts.outcome = Outcome::Forward(Forward::Partial);
    }
    Some(part_search(routed, search, aim, facts))
}

/// Whether a tier has the whole: then it comes from there, and no part is asked for.
async fn is_in_tier(routed: &Routed, viewed: &ViewedRequest, search: &Search) -> bool {
    if routed.node.tiers.is_empty() {
        return false;
    }
    let asks = WouldAsk {
        fields: &viewed.head.fields,
        directives: &search.directives,
        known: None,
        in_slices: None,
        is_proven: false,
    };
    let listed = Listed::sought(&routed.node, &search.key, &asks).await;
    let (decision, _) = listed.decide(&routed.node, &asks);
    !matches!(decision, TierDecision::Leave(_))
}

pub(super) fn is_soon_there(
    routed: &Routed,
    viewed: &ViewedRequest,
    search: &Search,
    asked: RangeSpec,
) -> bool {
    let seeker = Seeker {
        key: &search.key,
        fields: &viewed.head.fields,
        directives: &search.directives,
        seen: None,
        hint: None,
    };
    let Some(flight) = routed.node.cache.in_flight(&seeker) else {
        return false;
    };
    let first = match (asked, flight.total) {
        (RangeSpec::Bounded(first, _) | RangeSpec::From(first), _) => Some(first),
        (RangeSpec::Suffix(length), Some(total)) => Some(total.saturating_sub(length)),
        (RangeSpec::Suffix(_), None) => None,
    };
    let ahead = routed.generation.settings.range_ahead;
    first.is_some_and(|first| first <= flight.reach.saturating_add(ahead))
}

/// A search for a part, collapsed with others for the very same part.
pub(super) fn part_search(
    routed: &Routed,
    search: &Search,
    aim: PartAim,
    facts: CacheReceipt,
) -> Search {
    let if_range = aim.if_range.as_ref().map(|value| value.as_bytes());
    let cache = &routed.node.cache;
    Search {
        key: cache.range_key(&search.key, aim.range.as_bytes(), if_range),
        directives: search.directives.clone(),
        stale: None,
        variants: Vec::new(),
        pieces: None,
        aim: Aim::Part(Box::new(aim)),
        facts,
    }
}
