//! The cache's side of a tier that outlives the process: it hears of every
//! purge, and tells after a restart what was purged before.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use super::Cache;
use crate::disk::{DiskTier, LoggedPurge, PurgesBefore};
use crate::purge::{Hardness, Purge, PurgeId, PurgeScope};

/// Who writes purges down, if anybody does, and what was written down before this start.
#[derive(Debug, Default)]
pub(super) struct Journal {
    disk: OnceLock<Arc<DiskTier>>,
    /// The numbers of purges by their names; at most as many as the log holds.
    before: OnceLock<HashMap<PurgeId, u64>>,
}

impl Journal {
    pub(super) fn is_kept(&self) -> bool {
        self.disk.get().is_some()
    }

    /// The number by which an earlier process knew a purge.
    pub(super) fn number_before(&self, id: PurgeId) -> Option<u64> {
        self.before.get()?.get(&id).copied()
    }
}

impl Cache {
    /// From now on `disk` hears of every purge, those of other nodes included; what was purged
    /// `before` is purged. For the start of the node; a second disk is not heard of.
    pub fn keep_purges(&self, disk: Arc<DiskTier>, before: &PurgesBefore) {
        let purges = &self.0.purges;
        let mut numbers = HashMap::new();
        for logged in &before.purges {
            self.0.make_table_room();
            match Purge::decode(&logged.purge) {
                Ok(purge) => {
                    numbers.insert(purge.id, logged.number);
                    purges.restore(&purge.scope, purge.hardness, purge.at, logged.number);
                }
                // What cannot be read, or was too much to be written, may have been anything.
                Err(_) => purges.restore(
                    &PurgeScope::Everything,
                    Hardness::Hard,
                    SystemTime::UNIX_EPOCH,
                    logged.number,
                ),
            }
        }
        purges.begin_at(before.base, before.floor);
        let _ = self.0.journal.before.set(numbers);
        let _ = self.0.journal.disk.set(disk);
    }

    /// Writes a purge down under its `number` of this node.
    pub(super) fn journal(&self, purge: &Purge, number: u64) {
        let Some(disk) = self.0.journal.disk.get() else {
            return;
        };
        let uri = match &purge.scope {
            PurgeScope::Uri(target) => Some(self.key(target.target(), &[]).uri_digest()),
            _ => None,
        };
        let logged = LoggedPurge {
            number,
            wall: crate::disk::micros(purge.at),
            purge: purge.encode().into(),
        };
        disk.purge(logged, uri.as_ref());
    }
}
