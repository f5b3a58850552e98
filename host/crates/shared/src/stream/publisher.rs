//! From this node's purges to entries of the stream, in order, each until Redis
//! has taken it.

use std::sync::atomic::Ordering;

use super::Stream;
use super::wire::{Outgoing, read_tail};
use crate::link::{Link, Pauses};

/// Publishes what is queued, until the stream is over.
pub(super) async fn publish(stream: Stream, link: Link) {
    let inner = &stream.0;
    let mut pauses = Pauses::new();
    loop {
        let next = inner.queue.lock().front().cloned();
        if inner.is_over.load(Ordering::Acquire) {
            return;
        }
        let Some(waiting) = next else {
            inner.queued.notified().await;
            continue;
        };
        let now = inner.around.clock.now();
        let waited = now.saturating_duration_since(waiting.asked);
        let outgoing = Outgoing {
            token: inner.around.random.next_u64(),
            ago_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            node: inner.node,
            sequence: waiting.sequence,
            purge: waiting.purge,
        };
        let keep = inner.around.settings.stream_entries;
        let command = inner
            .keys
            .publish(stream.fresh(), stream.number(), &outgoing, keep);
        let taken = link.command(&command).await;
        match taken.and_then(|reply| read_tail(&reply)) {
            Ok(tail) => {
                inner.published.fetch_add(1, Ordering::Relaxed);
                stream.was_published(waiting.sequence, tail);
                pauses = Pauses::new();
            }
            // It may have been taken all the same: a purge that is applied twice does no harm.
            Err(_) => pauses.pause(&inner.around.random).await,
        }
    }
}

impl Stream {
    /// Redis has taken the first of the queue as `tail`.
    fn was_published(&self, sequence: u64, tail: super::chain::Tail) {
        // Both under one lock, so that a reset sees it either waiting or awaited.
        let mut known = self.0.known.lock();
        let is_read = known.place.is_some_and(|place| {
            place.incarnation == tail.incarnation && place.number >= tail.number
        });
        if !is_read {
            known.awaited.push(tail);
        }
        let mut queue = self.0.queue.lock();
        if queue
            .front()
            .is_some_and(|first| first.sequence == sequence)
        {
            queue.pop_front();
        }
    }
}
