//! What memory and tiers together keep of a response in slices, found out before the first is
//! sent: for a client that takes what is stored or nothing (RFC 9111 5.2.1.7), and for slices that
//! are being validated. Nothing is read but heads, a few at once and for a bounded time; Redis is asked for nothing that the disk has.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use verge_cache::StoredHead;
use verge_cache::policy::{Form, TierDecision};

use super::super::listed::{Listed, WouldAsk};
use super::{Found, Held, Slices, Wanted};

/// Most slices that tiers are asked for; of more, one counts as missing.
const SLICES_ASKED_FOR_MAX: u64 = 256;

/// Most of them that are asked for at once.
const SLICES_ASKED_FOR_AT_ONCE: usize = 8;

/// What is not found out by then counts as missing.
const SLICES_ASKED_FOR_WITHIN: Duration = Duration::from_secs(1);

/// Its name, where it is counted.
const LIMIT: &str = "slice-lookup-time";

/// In which form all that a request wants is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum AllKept {
    /// In slices, in memory or in tiers.
    Slices,
    /// In one, in a tier.
    Whole,
    /// Not all of it, or nobody could say in time.
    No,
}

impl Slices {
    /// How memory and tiers keep what the request wants, if they keep all of it and that may
    /// answer as it is.
    pub(in super::super) async fn all_kept(&self) -> AllKept {
        match self.hold_all() {
            true => AllKept::Slices,
            false => self.all_kept_with_tiers().await,
        }
    }

    /// The same where memory does not hold all of it.
    pub(super) async fn all_kept_with_tiers(&self) -> AllKept {
        let node = &self.routed.node;
        if node.tiers.is_empty() {
            return AllKept::No;
        }
        let Some(_place) = node.slice_lookups.try_acquire() else {
            return AllKept::No;
        };
        let looked = tokio::time::timeout(SLICES_ASKED_FOR_WITHIN, self.look_for_all());
        looked.await.unwrap_or_else(|_| {
            node.telemetry.metrics().record_limit(LIMIT);
            AllKept::No
        })
    }

    async fn look_for_all(&self) -> AllKept {
        let number = self.first();
        let first = match self.held(number) {
            Held::Answers(stored, _, _) | Held::Stale(stored, _) => Some(stored),
            Held::Other(_) | Held::No => None,
        };
        let known = first.map(|stored| stored.head().date());
        let form = self.form(number, known).await;
        let answers = matches!(self.in_tiers().await, Some((TierDecision::Answer(_), _)));
        if answers && form == Form::Whole {
            AllKept::Whole
        } else if self.are_slices_kept(number).await {
            AllKept::Slices
        } else if answers {
            // What is more recent is not there completely.
            AllKept::Whole
        } else {
            AllKept::No
        }
    }

    /// Whether all slices that are wanted are kept, of one representation; `number` is the first.
    async fn are_slices_kept(&self, number: u64) -> bool {
        let Some((head, found)) = self.kept(number).await else {
            return false;
        };
        let want = match self.wanted(number, head.fields(), &found) {
            Wanted::Slices(want, _) => want,
            // That there is no such part is known, too.
            Wanted::Nothing => return true,
            Wanted::Whole => return false,
        };
        let (first, last) = (self.number(want.first), self.number(want.last));
        if last.saturating_sub(first) >= SLICES_ASKED_FOR_MAX {
            return false;
        }
        let others = (first..=last).filter(|other| *other != number);
        let kept = others.map(|other| Box::pin(self.kept(other)));
        let mut kept = stream::iter(kept).buffer_unordered(SLICES_ASKED_FOR_AT_ONCE);
        while let Some(kept) = kept.next().await {
            if kept.is_none_or(|(_, it)| it != found) {
                return false;
            }
        }
        true
    }

    /// Slice `number`, if memory or a tier has it and it may answer as it is.
    async fn kept(&self, number: u64) -> Option<(Arc<StoredHead>, Found)> {
        let stale = match self.held(number) {
            Held::Answers(stored, found, _) => return Some((Arc::clone(stored.head()), found)),
            Held::Stale(stored, _) => Some(stored),
            Held::Other(_) | Held::No => None,
        };
        let request = &self.viewed.head;
        let asks = WouldAsk {
            fields: &request.fields,
            directives: &self.directives,
            known: stale.map(|stored| stored.head().date()),
            // It is found out whether all of them are there.
            in_slices: None,
            is_proven: false,
        };
        let node = &self.routed.node;
        let listed = Listed::sought(node, &self.key(number), &asks).await;
        let (TierDecision::Answer(_), Some(offered)) = listed.decide(node, &asks) else {
            return None;
        };
        let head = &offered.response.head;
        let found = self.found(number, head.status(), head.fields())?;
        Some((Arc::clone(head), found))
    }
}
