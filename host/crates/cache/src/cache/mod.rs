//! The cache of a node: one value that finds, collapses, fills, freshens and
//! purges. It lives as long as the node does; reloads leave it alone.
//!
//! Nothing here speaks to origins or clients, and nothing here spawns a task:
//! the caller pumps content into a [`crate::FillWriter`].

pub(crate) mod freshen;
mod joining;
mod journal;
mod purging;

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;
use verge_base::{Clock, Ledger, Reservation};
use verge_http::cache_status::Forward;

use crate::collapse::{Flights, FlightsSettings, SentAt};
use crate::counted::{TABLE_ROOM, Tables};
use crate::key::{Key, KeyHasher, KeyPart, Target};
use crate::policy::{HeadFreshening, decide_head_freshening};
use crate::purge::Purges;
use crate::record::Walls;
use crate::refusals::Refusals;
use crate::response::StoredResponse;
use crate::settings::CacheSettings;
use crate::stats::Stats;
use crate::store::{MemoryStore, Selection, Store, VARIANTS_MAX};
use freshen::{Former, Updated};
pub use freshen::{FreshenedByHead, Newer};
use journal::Journal;
use purging::Listeners;
pub use purging::{PurgeListener, SweepCursor, Swept};

/// How often room is made for one reservation before it is refused.
const RESERVE_ATTEMPTS: usize = 8;

/// The cache; cheap to clone, all clones are one cache.
#[derive(Clone)]
pub struct Cache(Arc<Inner>);

/// What all parts of the cache share.
pub(crate) struct Inner {
    pub(crate) settings: CacheSettings,
    pub(crate) clock: Clock,
    /// The wall times of purges.
    pub(crate) walls: Walls,
    pub(crate) hasher: KeyHasher,
    pub(crate) ledger: Ledger,
    pub(crate) tables: Tables,
    pub(crate) store: Box<dyn Store>,
    pub(crate) purges: Purges,
    listeners: Listeners,
    pub(crate) refusals: Refusals,
    journal: Journal,
    /// The name of this node in the names of purges.
    node_id: u64,
    pub(crate) flights: Flights,
    pub(crate) stats: Stats,
    /// Held while a piece is combined with others.
    pub(crate) combining: Mutex<()>,
}

/// What the cache has for a request.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The stored response that the request selects; whether it may be reused
    /// is [`crate::policy::decide_reuse`]'s to say.
    Selected(Arc<StoredResponse>),
    /// Nothing.
    Miss(MissReason),
}

/// Why nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissReason {
    /// Nothing is stored for the URI.
    UriMiss,
    /// Responses are stored for the URI, and none for this request's fields.
    VaryMiss,
}

impl Cache {
    /// An empty cache in memory.
    #[must_use]
    pub fn new(settings: CacheSettings, clock: Clock) -> Self {
        let settings = settings.effective();
        let hasher = KeyHasher::new();
        let ledger = Ledger::new(settings.memory);
        let tables = Tables::new(&ledger);
        let store = MemoryStore::new(settings.memory_settings(), hasher.clone());
        let flights = FlightsSettings {
            marked_for: settings.uncollapsible_for,
            marked_max: settings.uncollapsible_max,
        };
        Self(Arc::new(Inner {
            walls: Walls::new(clock.clone()),
            clock,
            purges: Purges::new(hasher.clone(), settings.purge_records_max, &tables),
            node_id: hasher.hash(b"node"),
            hasher,
            ledger,
            store: Box::new(store),
            listeners: Listeners::default(),
            refusals: Refusals::new(settings.refusals_max, &tables),
            journal: Journal::default(),
            flights: Flights::new(flights, &tables),
            stats: Stats::default(),
            combining: Mutex::new(()),
            tables,
            settings,
        }))
    }

    /// The key of `target` with the declared `parts`, in any order.
    #[must_use]
    pub fn key(&self, target: Target<'_>, parts: &[KeyPart<'_>]) -> Key {
        Key::new(&self.0.hasher, target, parts)
    }

    /// What `key` and the request's fields, as Vary sees them, select.
    #[must_use]
    pub fn lookup(&self, key: &Key, fields: &HeaderMap) -> Lookup {
        self.0.lookup(key, fields)
    }

    /// The variants of `key` that have an entity tag, by which the origin may select one for a
    /// request that matches none (RFC 9111 4.3.1).
    #[must_use]
    pub fn tagged_variants(&self, key: &Key) -> Vec<Arc<StoredResponse>> {
        let mut variants = self.0.store.variants(key);
        variants.retain(|stored| {
            stored.head().validators().entity_tag.is_some() && !self.0.is_purged(key, stored)
        });
        variants
    }

    /// An origin request is being sent now, without a permit (HEAD, for one).
    #[must_use]
    pub fn sent_at(&self) -> SentAt {
        self.0.sent_at()
    }

    /// Whether a response for `key`, of which nothing else is known yet, was not purged since its
    /// request was sent. A purge by what only a response shows counts, whatever it names.
    #[must_use]
    pub fn is_unpurged_since(&self, key: &Key, sent: &SentAt) -> bool {
        self.0.purges.is_unpurged_since(key, sent.sequence)
    }

    /// What the origin's response to HEAD means for `stored`, a response to
    /// GET of the same key: it is freshened, removed, or left alone (RFC 9111 4.3.5).
    pub fn freshen_by_head(
        &self,
        key: &Key,
        stored: &Arc<StoredResponse>,
        newer: &Newer<'_>,
    ) -> FreshenedByHead {
        if self.is_purged(key, stored) {
            return FreshenedByHead::Left;
        }
        let decision = decide_head_freshening(
            &stored.head().validators(),
            stored.content_length(),
            newer.response.status,
            newer.response.fields,
            newer.response.times.received_wall,
        );
        match decision {
            HeadFreshening::Update => match self.0.freshen(key, stored, newer, Former::Replaced) {
                Updated::Stored(freshened) => FreshenedByHead::Stored(freshened),
                Updated::Used(..) => FreshenedByHead::Removed,
                Updated::Superseded { .. } => FreshenedByHead::Left,
            },
            HeadFreshening::Invalidate => {
                self.0.store.remove_response(key, stored);
                FreshenedByHead::Removed
            }
            HeadFreshening::Leave => FreshenedByHead::Left,
        }
    }

    /// The same as [`Cache::lookup`], as if nobody had asked.
    #[must_use]
    pub fn peek(&self, key: &Key, fields: &HeaderMap) -> Lookup {
        self.0.judged(key, || self.0.store.peek(key, fields))
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &CacheSettings {
        &self.0.settings
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0
    }
}

impl Inner {
    fn lookup(&self, key: &Key, fields: &HeaderMap) -> Lookup {
        self.judged(key, || self.store.select(key, fields))
    }

    /// What `select` finds that is not purged. What is purged goes, and uncovers others that the
    /// request selects.
    pub(crate) fn judged(&self, key: &Key, select: impl Fn() -> Selection) -> Lookup {
        for _ in 0..=VARIANTS_MAX {
            match select() {
                Selection::Selected(response) if self.is_purged(key, &response) => {
                    self.store.remove_response(key, &response);
                }
                Selection::Selected(response) => return Lookup::Selected(response),
                Selection::VaryMiss => return Lookup::Miss(MissReason::VaryMiss),
                Selection::UriMiss => return Lookup::Miss(MissReason::UriMiss),
            }
        }
        Lookup::Miss(MissReason::UriMiss)
    }

    /// Reserves `bytes`, making room for them if there is none.
    pub(crate) fn reserve(&self, bytes: u64) -> Option<Reservation> {
        if let Some(reservation) = self.ledger.try_reserve(bytes) {
            return Some(reservation);
        }
        if bytes <= self.ledger.limit() {
            for _ in 0..RESERVE_ATTEMPTS {
                self.store.make_room(bytes);
                if let Some(reservation) = self.ledger.try_reserve(bytes) {
                    return Some(reservation);
                }
            }
        }
        self.stats.ledger_refused();
        None
    }

    /// A table beside the store may grow.
    pub(crate) fn make_table_room(&self) {
        if self.ledger.limit().saturating_sub(self.ledger.used()) < TABLE_ROOM {
            self.store.make_room(TABLE_ROOM);
        }
    }

    pub(crate) fn sent_at(&self) -> SentAt {
        SentAt {
            requested: self.clock.now(),
            sequence: self.purges.sequence(),
        }
    }
}

impl MissReason {
    /// The word for Cache-Status (RFC 9211 2.2).
    #[must_use]
    pub const fn forward(self) -> Forward {
        match self {
            Self::UriMiss => Forward::UriMiss,
            Self::VaryMiss => Forward::VaryMiss,
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cache")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
