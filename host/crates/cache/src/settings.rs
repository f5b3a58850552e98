//! The limits of the cache, by name.

use std::time::Duration;

use crate::partial::PIECES_MAX;
use crate::purge::PURGE_RECORDS_MAX;
use crate::refusals::REFUSALS_MAX;
use crate::segment::SEGMENT_BYTES;
use crate::store::MemorySettings;

/// Limits of a cache. Out-of-range combinations are brought into range by
/// [`CacheSettings::effective`], which [`crate::Cache::new`] applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Bytes of memory for all that is stored and all fills in progress. 0
    /// stores nothing.
    pub memory: u64,
    /// Bytes of content of the largest response that is stored; at most half of
    /// `memory`.
    pub max_object: u64,
    /// Entries up to this many bytes, fields included and all variants
    /// together, are kept by frequency of use, larger ones by recency. At most
    /// an eighth of the small entries' share.
    pub small_entry: u64,
    /// Percent of `memory` that small entries keep even if large ones want it,
    /// 0 to 100; the rest is the same for large ones. Either side takes what the
    /// other does not use.
    pub small_share: u8,
    /// Bytes that a fill keeps once it can no longer be stored; at least 256 KiB.
    pub fill_window: u64,
    /// How long requests for a key are not collapsed after an outcome that
    /// could not be shared.
    pub uncollapsible_for: Duration,
    /// Most keys that are marked so at once.
    pub uncollapsible_max: usize,
    /// Most separate pieces of one incomplete response; a piece that would be one more takes
    /// the place of the others.
    pub pieces_max: usize,
    /// Most purges that are remembered one by one; what was asked for before one that is
    /// forgotten counts as purged.
    pub purge_records_max: usize,
    /// By how much clocks of nodes may differ: what is kept with a wall time and was asked for up
    /// to so long after the purge of another node counts as older than the purge.
    pub purge_skew: Duration,
    /// Most keys of which it is remembered why nothing was stored.
    pub refusals_max: usize,
}

/// Smallest fill window: two segments on each side of the furthest reader.
const FILL_WINDOW_MIN: u64 = 4 * SEGMENT_BYTES as u64;

/// How many responses of the largest size all variants of one key may take together.
const KEY_OBJECTS: u64 = 4;

impl Default for CacheSettings {
    fn default() -> Self {
        Self::with_memory(256 * 1024 * 1024)
    }
}

impl CacheSettings {
    /// The defaults for `memory` bytes.
    #[must_use]
    pub fn with_memory(memory: u64) -> Self {
        Self {
            memory,
            max_object: 32 * 1024 * 1024,
            small_entry: 64 * 1024,
            small_share: 75,
            fill_window: 512 * 1024,
            uncollapsible_for: Duration::from_secs(10),
            uncollapsible_max: 16_384,
            pieces_max: PIECES_MAX,
            purge_records_max: PURGE_RECORDS_MAX,
            purge_skew: Duration::from_secs(1),
            refusals_max: REFUSALS_MAX,
        }
        .effective()
    }

    /// These settings, brought into range.
    #[must_use]
    pub fn effective(mut self) -> Self {
        self.small_share = self.small_share.min(100);
        self.max_object = self.max_object.min(self.memory / 2);
        self.small_entry = self.small_entry.min(self.small_bytes() / 8);
        self.fill_window = self.fill_window.max(FILL_WINDOW_MIN);
        self
    }

    fn small_bytes(&self) -> u64 {
        // Divided first: no overflow, and the rounding does not matter.
        self.memory / 100 * u64::from(self.small_share)
    }

    pub(crate) fn memory_settings(&self) -> MemorySettings {
        let small_bytes = self.small_bytes();
        MemorySettings {
            small_bytes,
            large_bytes: self.memory.saturating_sub(small_bytes),
            small_entry: self.small_entry,
            key_bytes: self
                .max_object
                .saturating_mul(KEY_OBJECTS)
                .min(self.memory / 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_brought_into_range() {
        let settings = CacheSettings {
            memory: 1_000_000,
            max_object: u64::MAX,
            small_entry: u64::MAX,
            small_share: 200,
            fill_window: 0,
            ..CacheSettings::default()
        }
        .effective();
        assert_eq!(settings.max_object, 500_000);
        assert_eq!(settings.small_share, 100);
        assert_eq!(settings.small_entry, 125_000);
        assert_eq!(settings.fill_window, 256 * 1024);
    }
}
