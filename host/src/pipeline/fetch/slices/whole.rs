//! The whole, where an origin once sent that for a slice: tiers are asked whether they have it
//! before slices are fetched, once for a request and not for each slice.

use std::time::SystemTime;

use verge_cache::policy::{Form, Reuse, TierDecision, decide_form};
use verge_cache::{Seeker, StoredResponse, WouldJoin};

use super::super::listed::{Listed, WouldAsk};
use super::Slices;

/// What would become of the whole that tiers have, if they have it, and its date.
pub(in super::super) type InTiers = Option<(TierDecision, SystemTime)>;

impl Slices {
    /// Whether tiers have the whole, and it is to be taken in the place of slice `number`, of which
    /// memory has no more than `stale`. They are not asked while that slice is being fetched: who
    /// leads that has asked.
    pub(in super::super) async fn is_whole_sought(
        &self,
        number: u64,
        stale: Option<&StoredResponse>,
    ) -> bool {
        let node = &self.routed.node;
        // Who takes what is stored or nothing has asked for all of it.
        if node.tiers.is_empty() || self.directives.only_if_cached {
            return false;
        }
        let seeker = Seeker {
            key: &self.key(number),
            fields: &self.viewed.head.fields,
            directives: &self.directives,
            seen: None,
            hint: None,
        };
        if matches!(node.cache.peek_join(&seeker), Some(WouldJoin::Follower)) {
            return false;
        }
        let in_memory = stale.map(|stored| stored.head().date());
        let known = in_memory.max(self.begun.get().copied());
        let form = self.form.get_or_init(|| self.form(number, known));
        *form.await == Form::Whole
    }

    /// In which form the request is answered, where memory has no more than a slice of the date
    /// `known`; `number` is the one that it lacks.
    pub(super) async fn form(&self, number: u64, known: Option<SystemTime>) -> Form {
        let whole = *self.in_tiers().await;
        let listed = match whole {
            // Both may be kept: the more recent one is asked about.
            Some((TierDecision::Validate(_), _)) => {
                let asks = self.would_ask(known);
                Listed::sought(&self.routed.node, &self.key(number), &asks).await
            }
            Some(_) | None => Listed::NOTHING,
        };
        self.form_of(whole, known, &listed)
    }

    /// The same where tiers have `listed` of that slice.
    pub(in super::super) fn form_of(
        &self,
        whole: InTiers,
        known: Option<SystemTime>,
        listed: &Listed,
    ) -> Form {
        let in_tiers = match whole {
            Some((TierDecision::Validate(_), _)) => {
                let (_, offered) = listed.decide(&self.routed.node, &self.would_ask(known));
                offered.map(|offered| offered.found.date)
            }
            Some(_) | None => None,
        };
        decide_form(whole, known.max(in_tiers))
    }

    /// What tiers have of the whole.
    pub(super) async fn in_tiers(&self) -> &InTiers {
        let asked = self.in_tiers.get_or_init(|| async {
            let asks = self.would_ask(None);
            let listed = Listed::sought(&self.routed.node, &self.whole, &asks).await;
            self.in_tiers_of(&listed)
        });
        asked.await
    }

    /// The same where they have `listed` of it.
    pub(in super::super) fn in_tiers_of(&self, listed: &Listed) -> InTiers {
        let (decision, offered) = listed.decide(&self.routed.node, &self.would_ask(None));
        offered.map(|offered| (decision, offered.found.date))
    }

    /// Whether what tiers have of a slice, `listed`, would be validated in the background.
    pub(in super::super) fn is_due_in(&self, listed: &Listed) -> bool {
        let (_, offered) = listed.decide(&self.routed.node, &self.would_ask(None));
        offered.is_some_and(|offered| offered.found.reuse == Reuse::StaleWhileRevalidate)
    }

    fn would_ask(&self, known: Option<SystemTime>) -> WouldAsk<'_> {
        WouldAsk {
            fields: &self.viewed.head.fields,
            directives: &self.directives,
            known,
            in_slices: None,
            is_proven: false,
        }
    }
}
