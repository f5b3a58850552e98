//! How much is written in a second: what is more is dropped, never queued.

use std::time::Instant;

/// Bytes that may still be written in this second.
pub(super) struct Rate {
    left: u64,
    since: Instant,
}

impl Rate {
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        Self {
            left: rate,
            since: now,
        }
    }

    pub(super) fn allows(&mut self, len: u64, rate: u64, now: Instant) -> bool {
        if rate == 0 {
            return true;
        }
        let passed = now.saturating_duration_since(self.since).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        if passed > 0 {
            self.since = now;
            let earned = rate.saturating_mul(passed) / 1000;
            self.left = self.left.saturating_add(earned).min(rate);
        }
        // What is larger than a second's worth passes when nothing was written for a second.
        let is_allowed = self.left >= len.min(rate);
        if is_allowed {
            self.left = self.left.saturating_sub(len);
        }
        is_allowed
    }
}
