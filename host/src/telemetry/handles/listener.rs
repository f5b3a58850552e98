//! What a listener counts: connections, handshakes, and why connections ended.

use std::sync::Arc;
use std::time::Duration;

use super::super::counters::{Counters, Histogram, LabelledCounters, ShardCount};
use super::NETWORK_BOUNDS;

/// What a listener counts.
#[derive(Debug)]
pub struct ListenerMetrics {
    name: Arc<str>,
    pub(in crate::telemetry) numbers: Counters<2>,
    pub(in crate::telemetry) handshakes: Histogram,
    pub(in crate::telemetry) resumptions: Histogram,
    pub(in crate::telemetry) ends: LabelledCounters<64>,
}

impl ListenerMetrics {
    const OPENED: usize = 0;
    const CLOSED: usize = 1;

    pub(in crate::telemetry) fn new(name: Arc<str>, shards: ShardCount) -> Self {
        Self {
            name,
            numbers: Counters::new(shards),
            handshakes: Histogram::new(NETWORK_BOUNDS, shards),
            resumptions: Histogram::new(NETWORK_BOUNDS, shards),
            ends: LabelledCounters::new(shards),
        }
    }

    /// The listener's name, as `http`, `https`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a new connection, open until [`ListenerMetrics::record_closed`].
    pub fn record_opened(&self) {
        self.numbers.add(Self::OPENED, 1);
    }

    /// Counts the end of a connection.
    pub fn record_closed(&self) {
        self.numbers.add(Self::CLOSED, 1);
    }

    /// Counts a completed TLS handshake.
    pub fn record_handshake(&self, duration: Duration, resumed: bool) {
        let histogram = if resumed {
            &self.resumptions
        } else {
            &self.handshakes
        };
        histogram.observe(duration);
    }

    /// Counts why a connection ended, other than by the client's closing it:
    /// the word of a failure, of a limit, or of an error that the protocol
    /// library answered by itself.
    pub fn record_end(&self, reason: &'static str) {
        self.ends.increment(reason);
    }

    /// Connections accepted since the start.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.numbers.sum(Self::OPENED)
    }

    /// Connections open now.
    #[must_use]
    pub fn open_now(&self) -> u64 {
        // The closed ones are read first: whatever closed had opened before.
        let closed = self.numbers.sum(Self::CLOSED);
        self.opened().saturating_sub(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_is_open_until_it_is_closed() {
        let listener = ListenerMetrics::new("https".into(), ShardCount::for_workers(2));
        listener.record_opened();
        listener.record_opened();
        listener.record_closed();
        assert_eq!((listener.opened(), listener.open_now()), (2, 1));
        listener.record_closed();
        assert_eq!((listener.opened(), listener.open_now()), (2, 0));
    }
}
