//! Parts of what is not stored whole: answered from pieces or slices, or asked for.

use std::sync::Arc;

use verge_cache::policy::{Form, Reuse, TierDecision};
use verge_cache::{StoredHead, StoredResponse};
use verge_http::Body;
use verge_http::cache_status::{Forward, Outcome};
use verge_http::range::RangeSpec;

use super::super::join::from_fill;
use super::super::listed::Listed;
use super::super::part::{Aim, KeepPart};
use super::super::pieces::{self, Way};
use super::super::slices::{AllKept, Found, Held, Slices, Wanted, become_wanted, unsatisfied};
use super::answers::of_length;
use super::asked::{Asked, Led, Sought};
use super::next::Told;
use super::outcome;
use super::words::{in_memory, in_tier, not_stored, validation, why_alone};
use crate::admin::explain::ExplainedNext;
use crate::telemetry::CacheReceipt;

/// Nothing is listed of what no tier was asked for.
static NOTHING: Listed = Listed::NOTHING;

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
            Way::AsAsked(asked) => self.as_asked(asked),
            Way::Rest(..) => {
                let what = "The origin is asked for what stored pieces do not hold, which is put \
                            together with them.";
                let reason = Forward::Partial.label();
                self.origin_with(outcome("miss", reason, "RFC 9111 3.4", what))
            }
        }
    }

    /// The part as the client asks for it.
    fn as_asked(&self, asked: RangeSpec) -> Told {
        let (routed, viewed, search) = (self.routed, self.viewed, &self.search);
        let is_soon_there = pieces::is_soon_there(routed, viewed, search, asked);
        let (decision, _) = self.decide_tier(&self.sought());
        if is_soon_there || !matches!(decision, TierDecision::Leave(_)) {
            return self.whole();
        }
        let Some(part) = pieces::search_as_asked(routed, viewed, search) else {
            return self.whole();
        };
        let Outcome::Forward(forward) = part.facts.outcome else {
            return self.whole();
        };
        let is_kept = matches!(&part.aim, Aim::Part(aim) if aim.keep != KeepPart::No);
        let joined = self.joined(&part.key, None);
        if let (Some(Led::Follows(_)), true) = (&joined, is_kept) {
            let what = "The origin is being asked for this part: the request shares it.";
            let next = outcome("collapsed", forward.label(), "RFC 9111 4", what);
            return (next, None);
        }
        let mut what = String::from(match is_kept {
            true => "The origin is asked for this part, which is stored beside other parts.",
            false => {
                "The origin is asked for this part under the client's If-Range: the answer may \
                 leave out fields (RFC 9110 15.3.7), and is not stored."
            }
        });
        match joined {
            Some(Led::Follows(_)) => {
                what.push_str(" It is being asked for already: this request waits for that answer, and then asks for itself.");
            }
            Some(Led::Alone(reason)) => what.push_str(why_alone(reason)),
            Some(Led::Tier(..) | Led::Origin(_)) | None => {}
        }
        self.origin_with(outcome("miss", forward.label(), "RFC 9111 3.3", what))
    }

    /// The slices of the response.
    pub(super) fn in_slices(&self, size: u64) -> Slices {
        let slices = (&self.search.key, &self.search.directives);
        Slices::new(self.routed, self.viewed, slices, size)
    }

    fn slices(&self, size: u64) -> Told {
        let slices = self.in_slices(size);
        let number = slices.first();
        let is_in_tiers = !self.routed.node.tiers.is_empty();
        if self.search.directives.only_if_cached && is_in_tiers {
            match self.holdings.all_kept {
                AllKept::Slices => {}
                AllKept::Whole => return self.whole(),
                AllKept::No => return (not_stored(), None),
            }
        }
        let held = self.holdings.slice.as_ref().map(|slice| &slice.held);
        let (stored, found, reusing) = match held.cloned().unwrap_or(Held::No) {
            Held::Answers(stored, found, reusing) => (stored, found, reusing),
            Held::Stale(stored, reuse) => {
                return self.slice(&slices, number, Some((&stored, reuse)));
            }
            Held::Other(_) | Held::No => return self.slice(&slices, number, None),
        };
        let next = in_memory(outcome("hit", reusing.label(), reusing.section(), ""));
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
        let facts = CacheReceipt::new(Outcome::Hit);
        let mut answer = from_fill(self.routed, head, Body::Empty, facts);
        let is_all = match slices.wanted(number, head.fields(), found) {
            Wanted::Slices(want, is_part) => {
                let ends = (slices.number(want.first), slices.number(want.last));
                become_wanted(&mut answer, (want, is_part), found.total);
                answer.body = of_length(want.len());
                ends == (number, number) || slices.hold_all()
            }
            Wanted::Nothing => {
                answer = unsatisfied(answer, found.total);
                true
            }
            Wanted::Whole => return self.whole(),
        };
        let others = match is_all || self.search.directives.only_if_cached {
            true => "and so is all that is asked for",
            false if self.routed.node.tiers.is_empty() => {
                "and the origin is asked for those that are not"
            }
            false => "and tiers, then the origin, are asked for those that are not in memory",
        };
        let size = slices.size;
        let what = format!(
            "The route fetches slices of {size} bytes: slice {number} is stored, {others}."
        );
        let next = ExplainedNext { what, ..next };
        (self.with_status(next, answer), None)
    }

    fn listed_slice(&self, number: u64) -> &Listed {
        match &self.holdings.slice {
            Some(slice) if slice.number == number => &slice.listed,
            Some(_) | None => &NOTHING,
        }
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
        let again = format!(
            "the origin is asked whether slice {number}, which is stored, still holds, and so for \
             each further one."
        );
        let sought = Sought {
            key: &slices.key(number),
            listed: self.listed_slice(number),
            stale: stale.map(|(stored, _)| stored),
            is_slice: true,
        };
        let led = self.led(&sought);
        let whole = slices.in_tiers_of(&self.holdings.listed);
        let known = sought.stale.map(|stored| stored.head().date());
        let form = slices.form_of(whole, known, sought.listed);
        let is_decided = self.search.directives.only_if_cached || matches!(led, Led::Follows(_));
        if form == Form::Whole && !is_decided {
            return self.whole();
        }
        match led {
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
