//! Parts of what is not stored whole: answered from pieces or slices, or asked for.

use std::sync::Arc;

use http::StatusCode;
use verge_cache::policy::{Reuse, TierDecision};
use verge_cache::{StoredHead, StoredResponse};
use verge_http::cache_status::{Forward, Outcome};
use verge_http::range::ByteRange;

use super::super::join::from_fill;
use super::super::listed::Listed;
use super::super::pieces::{self, Way};
use super::super::slices::{Found, Held, Slices, Wanted};
use super::answers::of_length;
use super::asked::{Asked, Led};
use super::next::Told;
use super::outcome;
use super::words::{in_memory, in_tier, not_stored, validation};
use crate::admin::explain::ExplainedNext;
use crate::telemetry::CacheReceipt;

/// Nothing is listed of what no tier was asked for.
static NOTHING: Listed = Listed {
    tiers: Vec::new(),
    unknown: Vec::new(),
};

impl Asked<'_> {
    /// A part out of stored pieces.
    pub(super) fn pieces(&mut self) -> Option<Told> {
        let (answer, reuse) = pieces::peek(self.routed, self.viewed, &mut self.search)?;
        let what = "Stored pieces hold the part that is asked for.";
        let reason = reuse.label();
        let section = match reuse {
            Reuse::StaleAccepted => reuse.section(),
            _ => "RFC 9111 3.3",
        };
        let next = in_memory(outcome("hit", reason, section, what));
        Some((self.with_status(next, answer), None))
    }

    /// What is not stored, or not all of it.
    pub(super) fn fetch(&self) -> Told {
        match pieces::way(self.routed, self.viewed, &self.search) {
            Way::Whole => self.whole(),
            Way::Slices(size) => self.slices(size),
            Way::Pass => {
                let what = "The route passes ranges on: the origin is asked for the part, and it \
                            is not stored.";
                self.origin_with(outcome("miss", self.forward(), "RFC 9110 14.2", what))
            }
            Way::AsAsked(asked) => {
                let is_soon_there =
                    pieces::is_soon_there(self.routed, self.viewed, &self.search, asked);
                let (decision, _) = self.decide_tier(&self.holdings.listed, None);
                if is_soon_there || !matches!(decision, TierDecision::Leave(_)) {
                    return self.whole();
                }
                let what = "The origin is asked for this part, which is stored beside other parts.";
                let reason = match pieces::outcome_as_asked(&self.search) {
                    Outcome::Forward(forward) => forward.label(),
                    Outcome::Hit => Forward::Partial.label(),
                };
                self.origin_with(outcome("miss", reason, "RFC 9111 3.3", what))
            }
            Way::Rest(..) => {
                let what = "The origin is asked for what stored pieces do not hold, which is put \
                            together with them.";
                let reason = Forward::Partial.label();
                self.origin_with(outcome("miss", reason, "RFC 9111 3.4", what))
            }
        }
    }

    fn slices(&self, size: u64) -> Told {
        let slices = Slices::new(self.routed, self.viewed, &self.search, size);
        let number = slices.first();
        let (stored, found, reuse) = match slices.held(number) {
            Held::Answers(stored, found, reuse) => (stored, found, reuse),
            Held::Stale(stored, reuse) => {
                return self.slice(&slices, number, Some((&stored, reuse)));
            }
            Held::Other(_) | Held::No => return self.slice(&slices, number, None),
        };
        let next = in_memory(outcome("hit", reuse.label(), reuse.section(), ""));
        self.first_slice(&slices, number, (stored.head(), &found), next)
    }

    /// What is told where slice `number` of `found`, with which the answer begins, is stored.
    fn first_slice(
        &self,
        slices: &Slices,
        number: u64,
        (head, found): (&Arc<StoredHead>, &Found),
        next: ExplainedNext,
    ) -> Told {
        let (is_all, status) = match slices.wanted(number, head.fields(), found) {
            Wanted::Slices(want, is_part) => {
                if self.search.directives.only_if_cached && !self.has_ahead(slices, number, want) {
                    return (not_stored(), None);
                }
                let ends = (slices.number(want.first), slices.number(want.last));
                let status = match is_part {
                    true => StatusCode::PARTIAL_CONTENT,
                    false => StatusCode::OK,
                };
                (ends == (number, number) || slices.hold_all(), status)
            }
            Wanted::Nothing => (true, StatusCode::RANGE_NOT_SATISFIABLE),
            Wanted::Whole => return self.whole(),
        };
        let others = match is_all {
            true => "and so is all that is asked for",
            false => "and the origin is asked for those that are not",
        };
        let size = slices.size;
        let what = format!(
            "The route fetches slices of {size} bytes: slice {number} is stored, {others}."
        );
        let facts = CacheReceipt::new(Outcome::Hit);
        let mut answer = from_fill(self.routed, head, of_length(found.total), facts);
        answer.status = status;
        let next = ExplainedNext { what, ..next };
        (self.with_status(next, answer), None)
    }

    /// Whether the slice behind the first, which is had before anything is sent, is stored.
    fn has_ahead(&self, slices: &Slices, first: u64, want: ByteRange) -> bool {
        let ahead = first.saturating_add(1);
        if slices.number(want.last) < ahead || slices.hold_all() {
            return true;
        }
        match slices.held(ahead) {
            Held::Answers(..) => true,
            Held::Stale(..) | Held::Other(_) | Held::No => {
                let (decision, _) = self.decide_tier(self.listed_slice(ahead), None);
                matches!(decision, TierDecision::Answer(_))
            }
        }
    }

    fn listed_slice(&self, number: u64) -> &Listed {
        let mut listed = self.holdings.slices.iter();
        let found = listed.find(|(listed, _)| *listed == number);
        found.map_or(&NOTHING, |(_, listed)| listed)
    }

    /// A slice that memory does not answer with.
    fn slice(
        &self,
        slices: &Slices,
        number: u64,
        stale: Option<(&Arc<StoredResponse>, Reuse)>,
    ) -> Told {
        let size = slices.size;
        let what = |rest: &str| format!("The route fetches slices of {size} bytes: {rest}");
        let listed = self.listed_slice(number);
        let again = format!(
            "the origin is asked whether slice {number}, which is stored, still holds, and so for \
             each further one."
        );
        let stored = stale.map(|(stored, _)| stored);
        match self.led(&slices.key(number), listed, stored) {
            Led::Follows(_) => {
                let what = what(&format!("slice {number} is being fetched, and shared."));
                let reason = Forward::UriMiss.label();
                (outcome("collapsed", reason, "RFC 9111 4", what), None)
            }
            Led::Tier(TierDecision::Answer(reuse), kept, tier) => {
                let next = outcome("hit", reuse.label(), reuse.section(), "");
                let next = in_tier(next, tier);
                let (head, fields) = (&kept.head, kept.head.fields());
                match slices.found(number, head.status(), fields) {
                    Some(found) => self.first_slice(slices, number, (head, &found), next),
                    None => (next, Some(kept.clone())),
                }
            }
            Led::Tier(decision, kept, tier) => {
                let (word, what) = validation(&kept.head, || what(&again));
                let next = outcome(word, decision.label(), decision.section(), what);
                self.origin_with(in_tier(next, tier))
            }
            Led::Alone(_) | Led::Origin(_) => self.origin_with(match stale {
                Some((stored, reuse)) => {
                    let (word, what) = validation(stored.head(), || what(&again));
                    in_memory(outcome(word, reuse.label(), reuse.section(), what))
                }
                None => {
                    let what = what(&format!(
                        "the origin is asked for slice {number}, and for each further one."
                    ));
                    outcome("miss", Forward::UriMiss.label(), "RFC 9110 14.2", what)
                }
            }),
        }
    }
}
