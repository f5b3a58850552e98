//! The records of purges: a table for each kind of scope, bounded together.
//!
//! Whether a stored response is purged is found by hash lookups: its URI, each
//! border of its path, each surrogate key, its site, each function; never by
//! going through the records. What had to be forgotten leaves a floor behind
//! and counts as if it had been about everything older, so that forgetting
//! never lets a purged response back.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;

use super::marks::{Last, Mark, Records};
use super::recent::Recent;
use super::scope::{PREFIX_SEGMENTS_MAX, PurgeScope, ScopeKind};
use super::wire::millis;
use super::{Hardness, Purged};
use crate::counted::Tables;
use crate::key::{Key, KeyHasher, Target};
use crate::response::StoredHead;

/// Purges that are remembered one by one, by default.
pub const PURGE_RECORDS_MAX: usize = 65_536;

/// See the module.
pub(crate) struct Purges {
    /// The number of the last purge; 0 before the first.
    sequence: AtomicU64,
    hasher: KeyHasher,
    records: RwLock<Records>,
    recent: Recent,
    records_max: usize,
}

/// One purge that concerns a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurgeSeen {
    /// What kind of scope; `None` for what is remembered only as a floor.
    pub scope: Option<ScopeKind>,
    /// What became of what it concerned.
    pub hardness: Hardness,
    /// Its number on this node.
    pub number: u64,
    /// When it was, by this node's wall clock; in milliseconds.
    pub at: SystemTime,
}

/// Where a purge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// This node was asked for it.
    Here,
    /// It is known already, and was known first by this number.
    Again(u64),
    /// Another node was asked for it. Its time may be off by as much as `skew`.
    Elsewhere {
        /// As long as that.
        skew: Duration,
    },
}

/// The response that is asked about.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) key: &'a Key,
    /// What is not known of a response on its way is not looked at.
    pub(crate) head: Option<&'a StoredHead>,
    /// Whether it stands in the store, from which URIs are removed at once.
    pub(crate) is_stored: bool,
}

/// What [`Purges::decide`] found, and up to which purge it looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) purged: Purged,
    pub(crate) sequence: u64,
}

impl Purges {
    /// Remembers at most `records_max` purges one by one, as far as `tables` has memory for them.
    pub(crate) fn new(hasher: KeyHasher, records_max: usize, tables: &Tables) -> Self {
        Self {
            sequence: AtomicU64::new(0),
            hasher,
            records: RwLock::new(Records::new(tables)),
            recent: Recent::new(),
            records_max,
        }
    }

    /// The number of the last purge.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Purges `scope`, as if at `at`, and returns the purge's number.
    pub(crate) fn purge_from(
        &self,
        scope: &PurgeScope,
        hardness: Hardness,
        at: SystemTime,
        source: Source,
    ) -> u64 {
        let hash = self.scope_hash(scope);
        self.purge_hash(scope.kind(), hash, hardness, at, source)
    }

    /// The same for the URI of `key`, without a scope, by this node's clock.
    pub(crate) fn purge_uri(&self, key: &Key, hardness: Hardness, at: SystemTime) -> u64 {
        self.purge_hash(ScopeKind::Uri, key.uri_hash(), hardness, at, Source::Here)
    }

    fn purge_hash(
        &self,
        kind: ScopeKind,
        hash: u64,
        hardness: Hardness,
        at: SystemTime,
        source: Source,
    ) -> u64 {
        let mut records = self.records.write();
        let number = self.sequence.load(Ordering::Relaxed).saturating_add(1);
        let mark = Mark {
            number,
            at: millis(at),
            kept: match source {
                Source::Here => number,
                Source::Again(first) => first,
                Source::Elsewhere { .. } => 0,
            },
            until: match source {
                Source::Here | Source::Again(_) => 0,
                Source::Elsewhere { skew } => millis(at.checked_add(skew).unwrap_or(at)),
            },
        };
        records.add(kind, hash, hardness, mark);
        records.forget(self.records_max);
        self.recent.note(kind, hash, number);
        // Published after the record stands: whoever sees the number finds the record.
        self.sequence.store(number, Ordering::Release);
        number
    }

    /// Purges from now on have higher numbers than `base`, and what was asked for before
    /// `floor` counts as purged.
    pub(crate) fn begin_at(&self, base: u64, floor: u64) {
        let mut records = self.records.write();
        records.floor.hard.raise(Mark::of_number(floor, 0));
        self.recent.note_all(base.max(floor));
        self.sequence.fetch_max(base.max(floor), Ordering::AcqRel);
    }

    /// A purge of an earlier process, under the number that it had there.
    pub(crate) fn restore(
        &self,
        scope: &PurgeScope,
        hardness: Hardness,
        at: SystemTime,
        number: u64,
    ) {
        let hash = self.scope_hash(scope);
        let mut records = self.records.write();
        let mark = Mark::of_number(number, millis(at));
        records.add(scope.kind(), hash, hardness, mark);
        records.forget(self.records_max);
        self.recent.note(scope.kind(), hash, number);
        self.sequence.fetch_max(number, Ordering::AcqRel);
    }

    /// Whether anything that was purged later than `seen` may concern `subject`: what a hit asks
    /// before it looks at the records, which takes a lock. What is forgotten concerns only those
    /// whom it concerned while it was remembered.
    pub(crate) fn may_concern(&self, subject: Subject<'_>, seen: u64) -> bool {
        self.recent.may_concern(subject, seen)
    }

    /// What was purged later than `seen` and concerns `subject`.
    pub(crate) fn decide(&self, subject: Subject<'_>, seen: u64) -> Verdict {
        self.decide_by(subject, |mark| mark.number > seen)
    }

    /// Whether nothing was purged later than `seen` that concerns, or could concern, a response
    /// for `key` that has no head yet.
    pub(crate) fn is_unpurged_since(&self, key: &Key, seen: u64) -> bool {
        let subject = Subject {
            key,
            head: None,
            is_stored: false,
        };
        let last_by_head = self.records.read().last_by_head;
        last_by_head <= seen && self.decide(subject, seen).purged == Purged::No
    }

    /// What concerns `subject`, which is kept on disk, and was purged since it was asked for: later
    /// than `seen`, the number of then, and for what another node purged also by the time of
    /// then, `since`. When this node hears of that again after a restart, only the time tells.
    pub(crate) fn decide_kept(
        &self,
        subject: Subject<'_>,
        seen: u64,
        since: SystemTime,
    ) -> Verdict {
        let since = millis(since);
        self.decide_by(subject, |mark| mark.is_after(seen, since))
    }

    fn decide_by(&self, subject: Subject<'_>, counts: impl Fn(&Mark) -> bool) -> Verdict {
        let (mut is_hard, mut soft_at) = (false, None::<u64>);
        let records = self.records.read();
        self.each_record(&records, subject, |_, last| {
            is_hard |= counts(&last.hard);
            if counts(&last.soft) {
                soft_at = Some(soft_at.map_or(last.soft.at, |at| at.min(last.soft.at)));
            }
        });
        let purged = match soft_at {
            _ if is_hard => Purged::Hard,
            Some(at) => Purged::Soft(time(at)),
            None => Purged::No,
        };
        Verdict {
            purged,
            // Read under the lock: all records up to this number were looked at.
            sequence: self.sequence.load(Ordering::Relaxed),
        }
    }

    /// Every purge that is remembered and concerns `subject`, the last of each scope; of what is
    /// stored, only those that came later than `seen`.
    pub(crate) fn concerning(&self, subject: Subject<'_>, seen: u64) -> Vec<PurgeSeen> {
        let mut found = Vec::new();
        let records = self.records.read();
        self.each_record(&records, subject, |scope, last| {
            for (hardness, mark) in [(Hardness::Hard, last.hard), (Hardness::Soft, last.soft)] {
                if mark.number > seen {
                    found.push(PurgeSeen {
                        scope,
                        hardness,
                        number: mark.number,
                        at: time(mark.at),
                    });
                }
            }
        });
        found
    }

    /// Purges that are remembered one by one, and how many were forgotten.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let records = self.records.read();
        (records.len() as u64, records.forgotten)
    }

    /// Shows every record that concerns `subject`: a bounded number of lookups.
    fn each_record(
        &self,
        records: &Records,
        subject: Subject<'_>,
        mut see: impl FnMut(Option<ScopeKind>, &Last),
    ) {
        let Subject {
            key,
            head,
            is_stored,
        } = subject;
        see(None, &records.floor);
        if !is_stored || key.has_parts() {
            see(None, &records.uri_floor);
        }
        let mut look = |kind: ScopeKind, hash: u64| {
            if let Some(last) = records.tables.get(kind.index()).and_then(|t| t.get(&hash)) {
                see(Some(kind), last);
            }
        };
        look(ScopeKind::Everything, 0);
        look(ScopeKind::Uri, key.uri_hash());
        let target = key.target();
        if records.has(ScopeKind::Prefix) {
            self.each_border(target, |hash| look(ScopeKind::Prefix, hash));
        }
        let Some(head) = head else {
            return;
        };
        if records.has(ScopeKind::SurrogateKey) {
            for key in head.surrogate_keys().iter() {
                look(ScopeKind::SurrogateKey, key.hash_value());
            }
        }
        if records.has(ScopeKind::Group) {
            let origin = self.origin_hash(target);
            for group in head.surrogate_keys().groups() {
                look(ScopeKind::Group, group_hash(origin, group.hash_value()));
            }
        }
        if let Some(site) = head.site().filter(|_| records.has(ScopeKind::Site)) {
            look(ScopeKind::Site, self.hasher.hash(site.as_bytes()));
        }
        if let Some(site) = head.site().filter(|_| records.has(ScopeKind::SiteKey)) {
            let site = self.hasher.hash(site.as_bytes());
            for key in head.surrogate_keys().tags() {
                look(ScopeKind::SiteKey, group_hash(site, key.hash_value()));
            }
        }
        if let Some(made_by) = head.made_by().filter(|_| records.has(ScopeKind::Function)) {
            let names = made_by.split(' ').flat_map(|used| used.split('@'));
            for name in names {
                look(ScopeKind::Function, self.hasher.hash(name.as_bytes()));
            }
        }
    }

    fn scope_hash(&self, scope: &PurgeScope) -> u64 {
        match scope {
            PurgeScope::Uri(target) => Key::new(&self.hasher, target.target(), &[]).uri_hash(),
            PurgeScope::Prefix(target) => {
                let mut last = 0;
                self.each_border(target.target(), |hash| last = hash);
                last
            }
            PurgeScope::SurrogateKey(key) => key.hash_value(),
            PurgeScope::Group(target, group) => {
                group_hash(self.origin_hash(target.target()), group.hash_value())
            }
            PurgeScope::Site(text) | PurgeScope::Function(text) => {
                self.hasher.hash(text.as_bytes())
            }
            PurgeScope::SiteKey(site, key) => {
                group_hash(self.hasher.hash(site.as_bytes()), key.hash_value())
            }
            PurgeScope::Everything => 0,
        }
    }

    fn origin_hash(&self, target: Target<'_>) -> u64 {
        self.origin_hasher(target).finish()
    }

    fn origin_hasher(&self, target: Target<'_>) -> ahash::AHasher {
        let mut hasher = self.hasher.hasher();
        hasher.write(target.scheme.as_str().as_bytes());
        hasher.write(target.authority.as_bytes());
        hasher
    }

    /// The hashes of all prefixes of a path that end at a border: behind each
    /// slash, and behind each segment; the whole path is the last.
    fn each_border(&self, target: Target<'_>, mut see: impl FnMut(u64)) {
        let mut hasher = self.origin_hasher(target);
        let segments = target.path.split('/').skip(1).take(PREFIX_SEGMENTS_MAX);
        for segment in segments {
            hasher.write(b"/");
            see(hasher.clone().finish());
            if !segment.is_empty() {
                hasher.write(segment.as_bytes());
                see(hasher.clone().finish());
            }
        }
    }
}

fn group_hash(origin: u64, group: u64) -> u64 {
    origin.rotate_left(1) ^ group
}

fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests;
