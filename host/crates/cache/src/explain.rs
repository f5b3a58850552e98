//! What an operator is told of the cache: all that is kept for a key, what
//! purged it, and why nothing was stored. Nothing here counts as use, and
//! nothing here removes anything.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::cache::{Cache, Inner};
use crate::key::Key;
use crate::policy::Freshness;
use crate::purge::{PurgeSeen, Purged, Subject};
use crate::record::Recorded;
use crate::refusals::{LastRefusal, NotStored};
use crate::response::{StoredHead, StoredResponse};
use crate::tier::Unusable;

/// A stored response, as an operator is told of it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// All but the content.
    pub head: Arc<StoredHead>,
    /// How fresh it is now.
    pub freshness: Freshness,
    /// Bytes of content that are kept.
    pub content_length: u64,
    /// Whether it was purged: hard, it answers nobody any more.
    pub purged: Purged,
    /// The response itself, where it is in memory.
    pub in_memory: Option<Arc<StoredResponse>>,
}

impl Cache {
    /// All that stands in memory under `key`, what was purged and is not freed yet included.
    #[must_use]
    pub fn kept(&self, key: &Key) -> Vec<Kept> {
        let inner = self.inner();
        let stored = inner.store.variants(key);
        stored
            .into_iter()
            .map(|stored| inner.kept(key, stored))
            .collect()
    }

    /// The same of the pieces that are stored of responses that are not stored whole.
    #[must_use]
    pub fn kept_pieces(&self, key: &Key) -> Vec<Kept> {
        self.kept(&self.inner().incomplete_key(key))
    }

    /// What a request with these fields would be answered with of the slice under `key`.
    #[must_use]
    pub fn kept_slice(&self, key: &Key, fields: &HeaderMap) -> Option<Kept> {
        let inner = self.inner();
        let stored = inner.store.variants(key);
        let found = stored
            .into_iter()
            .find(|stored| stored.head().is_selected_by(fields));
        found.map(|stored| inner.kept(key, stored))
    }

    /// The same of what a tier keeps for `key`.
    #[must_use]
    pub fn kept_elsewhere(&self, key: &Key, mut recorded: Recorded) -> Kept {
        let inner = self.inner();
        let purged = inner.judge_recorded(key, &mut recorded);
        let head = Arc::new(recorded.head);
        Kept {
            freshness: head.freshness(inner.clock.now()),
            head,
            content_length: recorded.content_length,
            purged,
            in_memory: None,
        }
    }

    /// Why what a tier keeps would not be taken into memory, if it would not be.
    #[must_use]
    pub fn unusable(&self, kept: &Kept) -> Option<Unusable> {
        if kept.content_length > self.settings().max_object {
            Some(Unusable::ObjectTooLarge)
        } else if kept.purged == Purged::Hard {
            Some(Unusable::Purged)
        } else {
            None
        }
    }

    /// The purges that are remembered and concern responses of `key`: of each scope the last, the
    /// latest first. `head` is one that is stored for it, if any is; without one only what names
    /// URLs is found.
    #[must_use]
    pub fn purges_of(&self, key: &Key, head: Option<&StoredHead>) -> Vec<PurgeSeen> {
        let subject = Subject {
            key,
            head,
            is_stored: false,
        };
        let mut found = self.inner().purges.concerning(subject, 0);
        // A floor without a time is the beginning of this process.
        found.retain(|seen| seen.at > SystemTime::UNIX_EPOCH);
        found.sort_by_key(|seen| std::cmp::Reverse(seen.number));
        found
    }

    /// How long ago `at` was, by this node's wall clock.
    #[must_use]
    pub fn since(&self, at: SystemTime) -> Duration {
        let now = self.inner().walls.now();
        now.duration_since(at).unwrap_or_default()
    }

    /// Why nothing was stored the last time that the origin was asked for `key`
    /// in vain, if that is still remembered.
    #[must_use]
    pub fn last_refusal(&self, key: &Key) -> Option<LastRefusal> {
        self.inner().refusals.last(key)
    }
}

impl Inner {
    fn kept(&self, key: &Key, stored: Arc<StoredResponse>) -> Kept {
        let subject = Subject {
            key,
            head: Some(stored.head()),
            is_stored: true,
        };
        // A soft purge that no lookup has met yet is noted here, as one would.
        let purged = if self.is_purged(key, &stored) {
            Purged::Hard
        } else if stored.is_soft_purged() {
            let soft = self.purges.concerning(subject, stored.head().sequence());
            let at = soft.iter().map(|seen| seen.at).min();
            Purged::Soft(at.unwrap_or(SystemTime::UNIX_EPOCH))
        } else {
            Purged::No
        };
        Kept {
            head: Arc::clone(stored.head()),
            freshness: stored.freshness(self.clock.now()),
            content_length: stored.content_length(),
            purged,
            in_memory: Some(stored),
        }
    }

    /// Nothing is stored under `key` for now, for this reason.
    pub(crate) fn note_not_stored(&self, key: &Key, reason: NotStored) {
        if let NotStored::Refused(reason) = reason {
            self.stats.refused(reason);
        }
        self.make_table_room();
        self.refusals.note(key, reason, self.clock.now());
    }

    /// A response, or a part of one, is stored under `key`.
    pub(crate) fn note_stored(&self, key: &Key) {
        self.stats.stored();
        self.note_superseded(key);
    }

    /// What was refused under `key` is of the past.
    pub(crate) fn note_superseded(&self, key: &Key) {
        self.refusals.supersede(key, self.clock.now());
    }
}
