//! What is stored, in the words of the admin API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::ETAG;
use verge_cache::partial::part_of;
use verge_cache::{Kept, Key, LastRefusal, Lookup, NotStored, Purged};
use verge_http::surrogate::SurrogateKey;

use super::super::super::routed::Routed;
use super::super::super::triggers::ViewedRequest;
use super::{Holdings, TOLD_MAX};
use crate::admin::explain::{ExplainedPart, ExplainedRefusal, ExplainedResponse};
use crate::route::RangePolicy;

/// Most slices that are looked for.
const SLICES_LOOKED_MAX: u64 = 4_096;

/// All responses, memory's first.
pub(super) fn responses(holdings: &Holdings, request: &HeaderMap) -> Vec<ExplainedResponse> {
    let selected = match &holdings.found {
        Lookup::Selected(stored) => Some(stored),
        Lookup::Miss(_) => None,
    };
    let memory = holdings.memory.iter().take(TOLD_MAX).map(|kept| {
        let is_selected = match (&kept.in_memory, selected) {
            (Some(kept), Some(selected)) => Arc::ptr_eq(kept, selected),
            _ => false,
        };
        response(kept, "memory", is_selected)
    });
    let mut all: Vec<ExplainedResponse> = memory.collect();
    for (tier, kept) in &holdings.listed.tiers {
        let mut each = kept.iter();
        let selected = each.find(|kept| kept.head.is_selected_by(request));
        let selected = selected.filter(|kept| kept.purged != Purged::Hard);
        all.extend(kept.iter().map(|kept| {
            let is_selected = selected.is_some_and(|known| Arc::ptr_eq(&known.head, &kept.head));
            response(kept, tier.label(), is_selected)
        }));
    }
    all
}

fn response(kept: &Kept, tier: &str, is_selected: bool) -> ExplainedResponse {
    let (head, freshness) = (&kept.head, &kept.freshness);
    let seconds = |window: Option<Duration>| window.map(|window| window.as_secs());
    let flags = [
        (freshness.is_no_cache, "no-cache"),
        (freshness.is_stale_forbidden, "no-stale"),
        (freshness.is_immutable, "immutable"),
    ];
    let texts = |keys: &[SurrogateKey]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    let names = head.vary().names().iter();
    let made_by = head.made_by();
    let pieces = kept.in_memory.as_ref().and_then(|stored| stored.pieces());
    ExplainedResponse {
        is_selected,
        state: state(kept),
        tier: tier.to_owned(),
        status: head.status().as_u16(),
        age_seconds: freshness.age.as_secs(),
        lifetime_seconds: freshness.lifetime.as_secs(),
        lifetime_source: head.lifetime_source().label().to_owned(),
        lifetime_section: head.lifetime_source().section().to_owned(),
        ttl_seconds: freshness.ttl(),
        stale_while_revalidate_seconds: seconds(freshness.stale.while_revalidate),
        stale_if_error_seconds: seconds(freshness.stale.if_error),
        flags: flags
            .into_iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, word)| word.to_owned())
            .collect(),
        varies_by: names.map(ToString::to_string).collect(),
        etag: etag(kept),
        surrogate_keys: texts(head.surrogate_keys().tags()),
        groups: texts(head.surrogate_keys().groups()),
        site: head.site().map(ToString::to_string),
        made_by: made_by
            .map(|made_by| made_by.split(' ').map(str::to_owned).collect())
            .unwrap_or_default(),
        purged: match kept.purged {
            Purged::No => "none",
            Purged::Soft(_) => "soft",
            Purged::Hard => "hard",
        }
        .to_owned(),
        content_bytes: kept.content_length,
        is_incomplete: pieces.is_some(),
    }
}

fn state(kept: &Kept) -> String {
    let is_fresh = kept.freshness.is_fresh() && kept.purged != Purged::Hard;
    if is_fresh { "fresh" } else { "stale" }.to_owned()
}

fn etag(kept: &Kept) -> Option<String> {
    let tag = kept.head.fields().get(ETAG)?;
    tag.to_str().ok().map(str::to_owned)
}

/// Parts of what is not stored whole.
pub(super) fn parts(routed: &Routed, viewed: &ViewedRequest, key: &Key) -> Vec<ExplainedPart> {
    let kept = routed.node.cache.kept_pieces(key);
    let mut parts: Vec<ExplainedPart> = kept
        .iter()
        .filter(|kept| kept.purged != Purged::Hard)
        .take(TOLD_MAX)
        .filter_map(pieces)
        .collect();
    if let RangePolicy::Slices { size } = routed.route.ranges {
        parts.extend(slices(routed, viewed, key, size));
    }
    parts
}

fn pieces(kept: &Kept) -> Option<ExplainedPart> {
    let pieces = kept.in_memory.as_ref()?.pieces()?;
    let ranges = pieces.extents().ranges().iter();
    Some(ExplainedPart {
        sort: "pieces".to_owned(),
        state: state(kept),
        ranges: ranges
            .map(|range| format!("{}-{}", range.first, range.last))
            .collect(),
        total_bytes: pieces.total(),
        content_bytes: kept.content_length,
        etag: etag(kept),
    })
}

/// The slices that are stored, as one; those behind a bound are not looked for.
fn slices(routed: &Routed, viewed: &ViewedRequest, key: &Key, size: u64) -> Option<ExplainedPart> {
    let cache = &routed.node.cache;
    let size = size.min(cache.settings().max_object).max(1);
    let mut told: Option<ExplainedPart> = None;
    let mut number = 0;
    let mut end = SLICES_LOOKED_MAX;
    while number < end {
        let slice = cache.slice_key(key, size, number);
        number += 1;
        let kept = cache.kept_slice(&slice, &viewed.head.fields);
        let Some(kept) = kept.filter(|kept| kept.purged != Purged::Hard) else {
            continue;
        };
        let Some(part) = part_of(kept.head.status(), kept.head.fields()) else {
            continue;
        };
        if let Some(total) = part.total {
            end = end.min(total.div_ceil(size));
        }
        let told = told.get_or_insert_with(|| ExplainedPart {
            sort: "slices".to_owned(),
            state: state(&kept),
            ranges: Vec::new(),
            total_bytes: part.total,
            content_bytes: 0,
            etag: etag(&kept),
        });
        if !kept.freshness.is_fresh() {
            told.state = state(&kept);
        }
        told.content_bytes = told.content_bytes.saturating_add(kept.content_length);
        if told.ranges.len() < TOLD_MAX {
            let range = part.range;
            told.ranges.push(format!("{}-{}", range.first, range.last));
        }
    }
    told
}

/// Why nothing was stored the last time.
pub(super) fn refusal(last: LastRefusal, now: Instant) -> ExplainedRefusal {
    let (reason, section, advice) = match last.reason {
        NotStored::Refused(reason) => (reason.label(), reason.section(), reason.advice()),
        NotStored::Failed(failure) => (
            failure.label(),
            "",
            "There was no response: see the failure in the access log.",
        ),
    };
    let ago = |at: Instant| now.saturating_duration_since(at).as_secs();
    ExplainedRefusal {
        reason: reason.to_owned(),
        section: section.to_owned(),
        advice: advice.to_owned(),
        seconds_ago: ago(last.at),
        superseded_seconds_ago: last.superseded.map(ago),
    }
}
