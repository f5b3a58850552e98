//! What the disk tier holds and has done.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use crate::tier::Off;

/// A reading of the disk tier's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Why it is off, if it is.
    pub off: Option<Off>,
    /// Whether the index is complete.
    pub is_ready: bool,
    /// How often it was turned off.
    pub times_off: u64,
    /// Responses that can be found.
    pub records: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes that segments may take.
    pub bytes_max: u64,
    /// Bytes of content that wait to be written.
    pub queued_bytes: u64,
    /// Responses that were written.
    pub saved: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Segments that were evicted.
    pub evicted: u64,
    /// Records that turned out to be damaged, or of no known age.
    pub unusable: u64,
    /// Responses that were not written: too large.
    pub dropped_too_large: u64,
    /// Responses that were not written: too many waited.
    pub dropped_queue_full: u64,
    /// Responses that were not written: over the rate.
    pub dropped_over_rate: u64,
    /// Responses that were not written: the disk was off.
    pub dropped_off: u64,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) saved: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) evicted: AtomicU64,
    pub(super) unusable: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) over_rate: AtomicU64,
    pub(super) off: AtomicU64,
}

impl Shared {
    pub(super) fn stats(&self) -> DiskStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (records, bytes) = {
            let index = self.index.lock();
            (index.records(), index.bytes())
        };
        DiskStats {
            off: self.health.off(),
            is_ready: self.is_ready.load(Ordering::Acquire),
            times_off: self.health.times_off(),
            records,
            bytes,
            bytes_max: self.settings.size,
            queued_bytes: self.queue.bytes(),
            saved: read(&self.stats.saved),
            written_bytes: read(&self.stats.written_bytes),
            evicted: read(&self.stats.evicted),
            unusable: read(&self.stats.unusable),
            dropped_too_large: read(&self.stats.too_large),
            dropped_queue_full: read(&self.stats.queue_full),
            dropped_over_rate: read(&self.stats.over_rate),
            dropped_off: read(&self.stats.off),
        }
    }
}
