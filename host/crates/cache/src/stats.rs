//! What the cache counts, readable without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::{Cache, Swept};
use crate::policy::RefuseReason;
use crate::purge::ScopeKind;
use crate::store::SiteEvictions;

/// Counters of the cache; each is one relaxed addition, off the hit path.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    fills_in_progress: AtomicU64,
    fills: AtomicU64,
    fills_given_up: AtomicU64,
    stored: AtomicU64,
    ledger_refusals: AtomicU64,
    collapsed: AtomicU64,
    purges: [AtomicU64; ScopeKind::ALL.len()],
    refusals: Refusals,
    swept_removed: AtomicU64,
    swept_softened: AtomicU64,
    pieces_dropped: AtomicU64,
}

/// By the place of the reason in [`RefuseReason::ALL`], which is their order.
#[derive(Debug)]
struct Refusals([AtomicU64; RefuseReason::ALL.len()]);

impl Default for Refusals {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

/// What the cache holds and has done, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Keys under which anything is stored.
    pub entries: u64,
    /// Bytes reserved: stored responses, fills in progress, and responses that
    /// were evicted and are still being read.
    pub bytes: u64,
    /// Bytes reserved for what is remembered beside responses: purges, refusals, marks.
    pub table_bytes: u64,
    /// The most bytes that were ever reserved, those of tables included.
    pub bytes_peak: u64,
    /// The limit on `bytes` and `table_bytes` together.
    pub bytes_max: u64,
    /// Keys that had to go for others since the start.
    pub evictions: u64,
    /// Fills in progress.
    pub fills_in_progress: u64,
    /// Fills begun since the start.
    pub fills: u64,
    /// Fills that could not be stored once they had begun, since the start.
    pub fills_given_up: u64,
    /// Responses stored or freshened since the start.
    pub stored: u64,
    /// Times that there was no memory, since the start.
    pub ledger_refusals: u64,
    /// Requests that followed another one, since the start.
    pub collapsed: u64,
    /// Keys that are not collapsed now; a few of them may have ended already.
    pub uncollapsible: u64,
    /// Purges and invalidations since the start.
    pub purges: u64,
    /// The same by [`ScopeKind::index`].
    pub purges_by_scope: [u64; ScopeKind::ALL.len()],
    /// Responses that were not stored, by the place of the reason in
    /// [`RefuseReason::ALL`], since the start.
    pub refusals: [u64; RefuseReason::ALL.len()],
    /// Stored responses that sweeps removed because they had been purged, since the start.
    pub swept_removed: u64,
    /// Stored responses that sweeps found to be purged softly, since the start.
    pub swept_softened: u64,
    /// Times that stored pieces of a response gave way to a new one because they were too many or
    /// too large together, since the start.
    pub pieces_dropped: u64,
    /// Keys of which it is remembered why nothing was stored.
    pub refusals_kept: u64,
    /// Those that were forgotten for others, since the start.
    pub refusals_forgotten: u64,
    /// Purges that are remembered one by one.
    pub purge_records: u64,
    /// Those that were forgotten, and count as purges of everything older, since the start.
    pub purge_records_forgotten: u64,
}

impl Cache {
    /// What the cache holds and has done.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let inner = self.inner();
        let usage = inner.store.usage();
        let table_bytes = inner.tables.bytes();
        let (refusals_kept, refusals_forgotten) = inner.refusals.counts();
        let (purge_records, purge_records_forgotten) = inner.purges.counts();
        CacheStats {
            refusals_kept,
            refusals_forgotten,
            purge_records,
            purge_records_forgotten,
            entries: usage.entries,
            evictions: usage.evictions,
            bytes: inner.ledger.used().saturating_sub(table_bytes),
            table_bytes,
            bytes_peak: inner.ledger.peak(),
            bytes_max: inner.ledger.limit(),
            uncollapsible: inner.flights.markers(),
            ..inner.stats.snapshot()
        }
    }

    /// What had to go for others since the start, by site.
    #[must_use]
    pub fn evictions_by_site(&self) -> Vec<SiteEvictions> {
        self.inner().store.evictions()
    }
}

impl Stats {
    pub(crate) fn fill_began(&self) {
        self.fills.fetch_add(1, Ordering::Relaxed);
        self.fills_in_progress.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fill_ended(&self) {
        self.fills_in_progress.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn fill_gave_up(&self) {
        self.fills_given_up.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stored(&self) {
        self.stored.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ledger_refused(&self) {
        self.ledger_refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn collapsed(&self) {
        self.collapsed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn purged(&self, kind: ScopeKind) {
        if let Some(purges) = self.purges.get(kind.index()) {
            purges.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused(&self, reason: RefuseReason) {
        if let Some(refusals) = self.refusals.0.get(reason as usize) {
            refusals.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn swept(&self, swept: &Swept) {
        self.swept_removed
            .fetch_add(swept.removed, Ordering::Relaxed);
        self.swept_softened
            .fetch_add(swept.softened, Ordering::Relaxed);
    }

    pub(crate) fn dropped_pieces(&self) {
        self.pieces_dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters; what others count is left at 0.
    pub(crate) fn snapshot(&self) -> CacheStats {
        let purges_by_scope = std::array::from_fn(|kind| self.purges.get(kind).map_or(0, load));
        CacheStats {
            fills_in_progress: self.fills_in_progress.load(Ordering::Relaxed),
            fills: self.fills.load(Ordering::Relaxed),
            fills_given_up: self.fills_given_up.load(Ordering::Relaxed),
            stored: self.stored.load(Ordering::Relaxed),
            ledger_refusals: self.ledger_refusals.load(Ordering::Relaxed),
            collapsed: self.collapsed.load(Ordering::Relaxed),
            refusals: std::array::from_fn(|place| self.refusals.0.get(place).map_or(0, load)),
            purges: purges_by_scope.iter().sum(),
            purges_by_scope,
            swept_removed: load(&self.swept_removed),
            swept_softened: load(&self.swept_softened),
            pieces_dropped: load(&self.pieces_dropped),
            ..CacheStats::default()
        }
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_in_the_order_of_all_reasons() {
        for (place, reason) in RefuseReason::ALL.into_iter().enumerate() {
            assert_eq!(place, reason as usize, "{}", reason.label());
        }
    }
}
