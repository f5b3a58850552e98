//! The tiers of a node, in the order in which they are asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use smallvec::SmallVec;
use verge_base::Clock;

use super::{Listed, Saved, Tier, TierAnswer, TierHit, TierKey, TierName, Want};
use crate::response::StoredResponse;

/// The tiers of a node, nearest first; cheap to clone.
#[derive(Clone)]
pub struct Tiers {
    clock: Clock,
    list: Arc<[Arc<dyn Tier>]>,
}

/// One tier that was asked.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// Which.
    pub tier: TierName,
    /// [`TierAnswer::label`].
    pub outcome: &'static str,
    /// How long it took.
    pub took: Duration,
}

impl Tiers {
    /// These tiers, nearest first.
    #[must_use]
    pub fn new(clock: Clock, list: Vec<Arc<dyn Tier>>) -> Self {
        Self {
            clock,
            list: list.into(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Which there are, nearest first.
    #[must_use]
    pub fn names(&self) -> SmallVec<[TierName; 2]> {
        self.list.iter().map(|tier| tier.name()).collect()
    }

    /// Asks this one of them; `None` if it is not there.
    pub async fn load(
        &self,
        name: TierName,
        key: &TierKey,
        request: &HeaderMap,
        want: Want,
    ) -> Option<(Looked, Option<Box<TierHit>>)> {
        let tier = self.list.iter().find(|tier| tier.name() == name)?;
        let begun = self.clock.now();
        let answer = tier.load(key, request, want).await;
        let looked = Looked {
            tier: name,
            outcome: answer.label(),
            took: self.clock.now().saturating_duration_since(begun),
        };
        let hit = match answer {
            TierAnswer::Hit(hit) => Some(hit),
            TierAnswer::Miss(_) | TierAnswer::Off(_) => None,
        };
        Some((looked, hit))
    }

    /// All that this one of them has for `key`, as if nobody had asked; `None` if it is not there.
    pub async fn list(&self, name: TierName, key: &TierKey) -> Option<Listed> {
        let tier = self.list.iter().find(|tier| tier.name() == name)?;
        Some(tier.list(key).await)
    }

    /// Gives `response` to all tiers but `except`, from which it came. Pieces of a response are
    /// kept in memory only.
    pub fn save(
        &self,
        key: &TierKey,
        response: &Arc<StoredResponse>,
        except: Option<TierName>,
    ) -> SmallVec<[(TierName, Saved); 2]> {
        let tiers = self.list.iter().filter(|_| response.pieces().is_none());
        tiers
            .filter(|tier| Some(tier.name()) != except)
            .map(|tier| (tier.name(), tier.save(key, response)))
            .collect()
    }

    /// Returns once all purges so far would outlive a crash, or after a bounded time.
    pub async fn settle(&self) {
        for tier in self.list.iter() {
            tier.settle().await;
        }
    }

    /// Removes what this one of them has for `key`: the others may have another.
    pub fn forget_in(&self, name: TierName, key: &TierKey) {
        let tiers = self.list.iter();
        for tier in tiers.filter(|tier| tier.name() == name) {
            tier.forget(key);
        }
    }

    /// Removes what any of them has for `key`.
    pub fn forget(&self, key: &TierKey) {
        for tier in self.list.iter() {
            tier.forget(key);
        }
    }
}

impl fmt::Debug for Tiers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.list.iter().map(|tier| tier.name());
        formatter.debug_list().entries(names).finish()
    }
}
