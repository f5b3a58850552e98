//! Tables beside the store whose bytes the ledger knows of: purges, refusals,
//! marks. A table asks before it grows; what it may not have, it has to forget.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use verge_base::{Ledger, Reservation};

/// Entries for which bytes are reserved at once, so that not every one asks.
const STEP: u64 = 32;

/// Bytes that are free before a table grows: more than a step of any table.
pub(crate) const TABLE_ROOM: u64 = 16 * 1024;

/// The memory of all tables of a cache; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    ledger: Ledger,
    bytes: Arc<AtomicU64>,
}

impl Tables {
    /// No tables yet, whose memory is of `ledger`.
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            ledger: ledger.clone(),
            bytes: Arc::default(),
        }
    }

    /// Bytes that are reserved for tables now.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What is reserved for the entries of one table.
#[derive(Debug)]
pub(crate) struct Counted {
    tables: Tables,
    each: u64,
    /// Entries that are kept even where there is no memory for them.
    kept: usize,
    held: Option<Reservation>,
}

impl Counted {
    /// Nothing yet, for a table with entries of `each` bytes that may always have `kept` of them.
    pub(crate) fn new(tables: &Tables, each: u64, kept: usize) -> Self {
        Self {
            tables: tables.clone(),
            each,
            kept,
            held: None,
        }
    }

    /// Whether the table may have `count` entries. Gives back what is for many more.
    pub(crate) fn allows(&mut self, count: usize) -> bool {
        let before = self.bytes();
        let allows = self.reserve(count);
        // Wraps around where fewer are held now; the sum of all steps does not.
        let change = self.bytes().wrapping_sub(before);
        if change != 0 {
            self.tables.bytes.fetch_add(change, Ordering::Relaxed);
        }
        allows || count <= self.kept
    }

    fn bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, Reservation::bytes)
    }

    fn reserve(&mut self, count: usize) -> bool {
        let needed = self.each.saturating_mul(count as u64);
        let step = self.each * STEP;
        let held = match &mut self.held {
            Some(held) => held,
            none => match self.tables.ledger.try_reserve(0) {
                Some(held) => none.insert(held),
                None => return false,
            },
        };
        if held.bytes() < needed {
            let missing = needed - held.bytes();
            return held.try_grow(missing.max(step)) || held.try_grow(missing);
        }
        if held.bytes() > needed.saturating_add(4 * step) {
            held.shrink_to(needed + step);
        }
        true
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.tables.bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_what_is_reserved_and_gives_back_what_it_does_not_need() {
        let ledger = Ledger::new(10_000);
        let tables = Tables::new(&ledger);
        let mut counted = Counted::new(&tables, 10, 3);
        assert!(counted.allows(0));
        assert_eq!(ledger.used(), 0);
        assert!(counted.allows(1) && counted.allows(32));
        assert_eq!(ledger.used(), 320);
        assert!(counted.allows(1000));
        assert_eq!(ledger.used(), 10_000);
        assert!(!counted.allows(1001));
        assert!(counted.allows(10));
        assert_eq!((ledger.used(), tables.bytes()), (420, 420));
        drop(counted);
        assert_eq!((ledger.used(), tables.bytes()), (0, 0));
    }

    #[test]
    fn a_few_are_kept_where_there_is_no_memory() {
        let mut counted = Counted::new(&Tables::new(&Ledger::new(0)), 10, 3);
        assert!(counted.allows(3));
        assert!(!counted.allows(4));
    }
}
