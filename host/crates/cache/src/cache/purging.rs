//! The cache's side of purges: taking them, telling others of them, asking
//! about a response, and freeing what they purged in the background.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use verge_http::surrogate::SurrogateKey;

use super::{Cache, Inner};
use crate::collapse::SentAt;
use crate::key::{Key, Target};
use crate::policy::RefuseReason;
use crate::purge::{
    Hardness, Purge, PurgeCause, PurgeId, PurgeScope, PurgeTarget, Purged, ScopeKind, Source,
    Subject, Verdict,
};
use crate::record::Recorded;
use crate::response::{StoredHead, StoredResponse};
use crate::store::StoreCursor;

/// Hears of every purge that this node was asked for. It must not wait.
pub type PurgeListener = Arc<dyn Fn(&Purge) + Send + Sync>;

/// Those that hear of purges.
#[derive(Default)]
pub(super) struct Listeners(ArcSwap<Vec<PurgeListener>>);

/// Where a sweep stands; a new one begins at the beginning.
#[derive(Clone, Debug, Default)]
pub struct SweepCursor {
    store: StoreCursor,
    /// The last purge when the sweep began; none between sweeps.
    began_at: Option<u64>,
    /// The last purge up to which all that is stored was looked at.
    swept: u64,
}

/// What one step of a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Stored responses that were looked at.
    pub seen: u64,
    /// Those that had been purged hard, and are freed now.
    pub removed: u64,
    /// Those that had been purged softly, and are stale now.
    pub softened: u64,
    /// Nothing is left to be looked at until the next purge.
    pub is_done: bool,
}

impl Cache {
    /// Purges `scope` on this node and tells the listeners. Takes the same time
    /// whatever the cache holds. The purge's name carries its number.
    pub fn purge(&self, scope: PurgeScope, hardness: Hardness) -> Purge {
        self.purge_for(scope, hardness, PurgeCause::Operator)
    }

    /// Purges what another node tells of: from now on, but of what is kept on disk only what was
    /// asked for before [`Purge::at`], by this node's clock and give or take
    /// [`crate::CacheSettings::purge_skew`]. Listeners do not hear of it. One that this node was
    /// asked for itself, and that comes back to it, is not counted again; for what is kept on
    /// disk it has the number that it had, like one that was written down before a restart.
    /// Returns the purge's number on this node.
    pub fn purge_remote(&self, purge: &Purge) -> u64 {
        let is_own = purge.id.node == self.0.node_id && purge.id.number > 0;
        let first = match is_own {
            true => Some(purge.id.number),
            false => self.0.journal.number_before(purge.id),
        };
        let skew = self.0.settings.purge_skew;
        let source = first.map_or(Source::Elsewhere { skew }, Source::Again);
        let number = self.0.take(&purge.scope, purge.hardness, purge.at, source);
        if !is_own {
            self.0.stats.purged(purge.scope.kind());
        }
        if first.is_none() {
            self.journal(purge, number);
        }
        number
    }

    /// Has `listener` hear of every purge and invalidation that this node was
    /// asked for, those of other nodes excluded.
    pub fn on_purge(&self, listener: PurgeListener) {
        self.0.listeners.0.rcu(|known| {
            let mut all = Vec::clone(known);
            all.push(Arc::clone(&listener));
            all
        });
    }

    /// The number of this node in [`PurgeId`], drawn when it started.
    #[must_use]
    pub fn node_id(&self) -> u64 {
        self.0.node_id
    }

    /// The number of the last purge.
    #[must_use]
    pub fn purge_sequence(&self) -> u64 {
        self.0.purges.sequence()
    }

    /// Whether `stored`, which was looked up under `key` before a wait, has been purged since: then
    /// it answers nothing any more, whatever became of the origin meanwhile.
    #[must_use]
    pub fn is_purged(&self, key: &Key, stored: &StoredResponse) -> bool {
        self.0.is_purged_since(key, stored)
    }

    /// Invalidates all that is stored, or on its way, for the URI of `key`,
    /// with whatever declared parts (RFC 9111 4.4). Returns the purge's number.
    pub fn invalidate(&self, key: &Key) -> u64 {
        let at = self.0.walls.now();
        self.0.make_table_room();
        let number = self.0.purges.purge_uri(key, Hardness::Hard, at);
        self.0.store.remove(key);
        self.0.stats.purged(ScopeKind::Uri);
        // Only a listener is worth the copies.
        if !self.0.listeners.0.load().is_empty() || self.0.journal.is_kept() {
            let scope = PurgeScope::Uri(PurgeTarget::of(key.target()));
            let cause = PurgeCause::Invalidation;
            self.tell(scope, Hardness::Hard, cause, at, number);
        }
        number
    }

    /// Invalidates the URI of `target`, for a request sent at `by`.
    pub fn invalidate_target(&self, target: Target<'_>, by: &mut SentAt) {
        by.follow(self.invalidate(&self.key(target, &[])));
    }

    /// Invalidates all of the origin of `target` that is in one of `groups` (RFC 9875 3), for a
    /// request sent at `by`.
    pub fn invalidate_groups(&self, target: Target<'_>, groups: &[SurrogateKey], by: &mut SentAt) {
        for group in groups {
            let scope = PurgeScope::Group(PurgeTarget::of(target), group.clone());
            let purge = self.purge_for(scope, Hardness::Hard, PurgeCause::Invalidation);
            by.follow(purge.id.number);
        }
    }

    /// Looks at the next stored responses, at least `most` of them if there are
    /// as many, frees those that were purged and marks those that are stale, so
    /// that purged bytes do not wait for a lookup.
    pub fn sweep(&self, cursor: &mut SweepCursor, most: usize) -> Swept {
        let inner = &self.0;
        let mut swept = Swept::default();
        let sequence = inner.purges.sequence();
        if cursor.began_at.is_none() {
            if cursor.swept == sequence {
                swept.is_done = true;
                return swept;
            }
            cursor.began_at = Some(sequence);
        }
        let found = inner.store.walk(&mut cursor.store, most);
        for (key, response) in &found {
            swept.seen += 1;
            let was_soft = response.is_soft_purged();
            if inner.is_purged(key, response) {
                inner.store.remove_response(key, response);
                swept.removed += 1;
            } else if response.is_soft_purged() && !was_soft {
                swept.softened += 1;
            }
        }
        if cursor.store.is_at_end() {
            cursor.store = StoreCursor::default();
            cursor.swept = cursor.began_at.take().unwrap_or(sequence);
            swept.is_done = cursor.swept == inner.purges.sequence();
        }
        inner.stats.swept(&swept);
        swept
    }

    fn purge_for(&self, scope: PurgeScope, hardness: Hardness, cause: PurgeCause) -> Purge {
        let at = self.0.walls.now();
        let number = self.0.take(&scope, hardness, at, Source::Here);
        self.0.stats.purged(scope.kind());
        self.tell(scope, hardness, cause, at, number)
    }

    fn tell(
        &self,
        scope: PurgeScope,
        hardness: Hardness,
        cause: PurgeCause,
        at: SystemTime,
        number: u64,
    ) -> Purge {
        let node = self.0.node_id;
        let purge = Purge {
            id: PurgeId { node, number },
            scope,
            hardness,
            cause,
            at: whole_millis(at),
        };
        self.journal(&purge, number);
        for listener in self.0.listeners.0.load().iter() {
            listener(&purge);
        }
        purge
    }
}

impl Inner {
    /// Takes a purge, and returns its number.
    fn take(&self, scope: &PurgeScope, hardness: Hardness, at: SystemTime, source: Source) -> u64 {
        self.make_table_room();
        let number = self.purges.purge_from(scope, hardness, at, source);
        if let (PurgeScope::Uri(target), Hardness::Hard) = (scope, hardness) {
            // So that the bytes come free at once, and the record may be forgotten.
            self.store
                .remove(&Key::new(&self.hasher, target.target(), &[]));
        }
        number
    }

    /// Whether a stored response is gone; a soft purge makes it stale here.
    /// Looks at purges only if there was one since the last look.
    pub(crate) fn is_purged(&self, key: &Key, response: &StoredResponse) -> bool {
        self.look_again(key, response, true)
    }

    /// The same of what was looked up before, and may stand in the store no more: a purge of its
    /// URI has taken it out, and may be forgotten since.
    pub(crate) fn is_purged_since(&self, key: &Key, response: &StoredResponse) -> bool {
        self.look_again(key, response, false)
    }

    fn look_again(&self, key: &Key, response: &StoredResponse, is_stored: bool) -> bool {
        let (seen, sequence) = (response.checked(), self.purges.sequence());
        if seen >= sequence {
            return false;
        }
        let subject = Subject {
            key,
            head: Some(response.head()),
            is_stored,
        };
        if !self.purges.may_concern(subject, seen) {
            response.set_checked(sequence);
            return false;
        }
        self.settle(response, self.purges.decide(subject, seen))
    }

    /// Whether a response that is about to be stored under `key` may be: it may
    /// not if it was purged since it was asked for.
    pub(crate) fn admits(&self, key: &Key, response: &StoredResponse) -> bool {
        let seen = response.head().sequence();
        if seen == self.purges.sequence() {
            return true;
        }
        let subject = Subject {
            key,
            head: Some(response.head()),
            is_stored: false,
        };
        !self.settle(response, self.purges.decide(subject, seen))
    }

    /// Why a response is not stored under `key` now that it is complete, if it is not.
    pub(crate) fn refusal_of(&self, key: &Key, response: &StoredResponse) -> Option<RefuseReason> {
        let mut others = self.store.variants(key).into_iter();
        if others.any(|other| other.head().supersedes(response.head())) {
            return Some(RefuseReason::Superseded);
        }
        (!self.admits(key, response)).then_some(RefuseReason::Purged)
    }

    /// Whether a response on its way, asked for at `sent`, has been purged
    /// since. Of one whose head is not known yet only the target is.
    pub(crate) fn decide_arriving(
        &self,
        key: &Key,
        head: Option<&StoredHead>,
        sent: u64,
    ) -> Purged {
        if sent == self.purges.sequence() {
            return Purged::No;
        }
        let subject = Subject {
            key,
            head,
            is_stored: false,
        };
        self.purges.decide(subject, sent).purged
    }

    /// The head of what was kept elsewhere, unless it was purged since it was
    /// asked for; a soft purge ends its lifetime.
    pub(crate) fn unpurged(&self, key: &Key, mut recorded: Recorded) -> Option<StoredHead> {
        let purged = self.judge_recorded(key, &mut recorded);
        (purged != Purged::Hard).then_some(recorded.head)
    }

    /// Whether what was kept elsewhere was purged since it was asked for: by number, and, where it
    /// has a time, for other nodes' purges by that, too. A soft purge ends its lifetime.
    ///
    /// From then on it is as of the last purge that was looked at: a purge that is told again has
    /// a number behind that of what was stored between the two, which memory would go by.
    pub(crate) fn judge_recorded(&self, key: &Key, recorded: &mut Recorded) -> Purged {
        let head = &mut recorded.head;
        let subject = Subject {
            key,
            head: Some(head),
            is_stored: false,
        };
        let seen = head.sequence();
        let verdict = match recorded.sent_wall {
            None => self.purges.decide(subject, seen),
            Some(sent_wall) => self.purges.decide_kept(subject, seen, sent_wall),
        };
        match verdict.purged {
            Purged::Hard => return Purged::Hard,
            Purged::Soft(at) => head.end_lifetime(self.age_at(head, at)),
            Purged::No => {}
        }
        head.judged_up_to(verdict.sequence);
        verdict.purged
    }

    /// Notes on `response` what was found, and returns whether it is gone.
    fn settle(&self, response: &StoredResponse, verdict: Verdict) -> bool {
        match verdict.purged {
            Purged::Hard => return true,
            Purged::Soft(at) => response.soft_purge(self.age_at(response.head(), at)),
            Purged::No => {}
        }
        response.set_checked(verdict.sequence);
        false
    }

    /// The age that a response had at a moment of the past.
    fn age_at(&self, head: &StoredHead, at: SystemTime) -> Duration {
        let since = self.walls.now().duration_since(at).unwrap_or_default();
        head.age(self.clock.now()).saturating_sub(since)
    }
}

/// What encoding keeps of a time.
fn whole_millis(at: SystemTime) -> SystemTime {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

impl fmt::Debug for Listeners {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} listeners", self.0.load().len())
    }
}

#[cfg(test)]
mod tests;
