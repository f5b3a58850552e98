//! Parts of what is not stored whole: answered from pieces or slices, or asked for.

use http::header::RANGE;
use http::{Method, StatusCode};
use verge_cache::Purged;
use verge_cache::policy::{Reuse, decide_reuse};
use verge_http::range::{self, RangeSpec};

use super::next::{Asked, Told};
use super::{outcome, outcome_with};
use crate::admin::explain::ExplainedNext;
use crate::route::RangePolicy;

impl Asked<'_> {
    /// A part out of stored pieces.
    pub(super) fn pieces(&self) -> Option<Told> {
        let head = &self.viewed.head;
        if self.stale().is_some() || head.method != Method::GET {
            return None;
        }
        let spec = range::single_range(&head.method, &head.fields)?;
        let (cache, key) = (&self.routed.node.cache, &self.holdings.key);
        let selected = cache
            .kept_pieces(key)
            .into_iter()
            .find(|kept| kept.purged != Purged::Hard && kept.head.is_selected_by(&head.fields))?;
        let pieces = selected.in_memory.as_ref()?.pieces()?;
        let part = match (spec, pieces.total()) {
            (spec, Some(total)) => spec.within(total)?,
            (RangeSpec::Bounded(first, last), None) => range::ByteRange { first, last },
            (RangeSpec::From(_) | RangeSpec::Suffix(_), None) => return None,
        };
        let reuse = decide_reuse(&self.directives, &selected.freshness);
        if !pieces.extents().contains(part)
            || matches!(reuse, Reuse::StaleWhileRevalidate | Reuse::Validate(_))
        {
            return None;
        }
        let what = "Stored pieces hold the part that is asked for.";
        let next = ExplainedNext {
            tier: Some("memory".to_owned()),
            ..outcome("hit", reuse.label(), "RFC 9111 3.3", what)
        };
        Some((outcome_with(next, StatusCode::PARTIAL_CONTENT), None))
    }

    /// A part that is asked for by itself, or slices.
    pub(super) fn part(&self) -> Option<Told> {
        let fields = &self.viewed.head.fields;
        if self.stale().is_some() {
            return None;
        }
        match self.routed.route.ranges {
            RangePolicy::Pass if fields.contains_key(RANGE) => {
                let what = "The route passes ranges on: the origin is asked for the part, and it \
                            is not stored.";
                Some((outcome("miss", self.forward(), "RFC 9110 14.2", what), None))
            }
            RangePolicy::Slices { size } => Some((self.slice(size), None)),
            RangePolicy::Pieces => {
                range::single_range(&self.viewed.head.method, fields)?;
                if let Some(told) = self.tier() {
                    return Some(told);
                }
                let what = "The origin is asked for this part, which is stored beside other parts.";
                Some((outcome("miss", self.forward(), "RFC 9111 3.3", what), None))
            }
            RangePolicy::Pass | RangePolicy::Whole => None,
        }
    }

    fn slice(&self, size: u64) -> ExplainedNext {
        let (head, cache) = (&self.viewed.head, &self.routed.node.cache);
        let size = size.min(cache.settings().max_object).max(1);
        let number = match range::single_range(&head.method, &head.fields) {
            Some(RangeSpec::From(first) | RangeSpec::Bounded(first, _)) => first / size,
            Some(RangeSpec::Suffix(_)) | None => 0,
        };
        let key = cache.slice_key(&self.holdings.key, size, number);
        let kept = cache.kept_slice(&key, &head.fields);
        let reuse = kept
            .filter(|kept| kept.purged != Purged::Hard)
            .map(|kept| decide_reuse(&self.directives, &kept.freshness));
        match reuse {
            Some(Reuse::Validate(reason)) => {
                let what = format!(
                    "The route fetches slices of {size} bytes: slice {number} is stored, and the \
                     origin is asked whether it still holds."
                );
                outcome("validate", reason.label(), reason.section(), what)
            }
            Some(reuse) => {
                let what = format!(
                    "The route fetches slices of {size} bytes: slice {number} is stored, and \
                     further ones are asked for where they are not."
                );
                outcome("hit", reuse.label(), reuse.section(), what)
            }
            None => {
                let what = format!(
                    "The route fetches slices of {size} bytes: the origin is asked for slice \
                     {number}, and for each further one."
                );
                outcome("miss", self.forward(), "RFC 9110 14.2", what)
            }
        }
    }
}
