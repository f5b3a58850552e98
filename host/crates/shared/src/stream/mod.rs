//! Purges from node to node: a stream in Redis that every node reads to its
//! end, from where it stopped, on a connection of its own.
//!
//! Whatever Redis lost is noticed by [`chain`], and then everything older is
//! purged softly. Nothing here knows what a purge is: [`PurgeSink`] does.

mod awaited;
pub(crate) mod chain;
pub(crate) mod positions;
mod publisher;
mod reader;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::histogram::{Histogram, HistogramSample};
use crate::link::{Link, Surroundings};
use awaited::Awaited;
use chain::{Incarnation, Place};
use positions::{Position, Positions};
use wire::Keys;

/// What purges are applied to: the cache of this node.
pub trait PurgeSink: Send + Sync + 'static {
    /// Applies a purge that another node, or this one, asked for so long `ago` by Redis's clock;
    /// the local sequence after it. `None` if it cannot be read: then everything is purged.
    fn apply(&self, purge: &[u8], ago: Duration) -> Option<u64>;

    /// Marks everything that is stored, or on its way, as stale; the local sequence after it.
    fn purge_everything_softly(&self) -> u64;

    /// The local sequence of the last purge.
    fn sequence(&self) -> u64;
}

/// What the stream is and has done.
#[derive(Clone, Debug)]
pub struct StreamSample {
    /// Whether stored responses in Redis are trusted now.
    pub is_trusted: bool,
    /// Number of the last entry read.
    pub number: u64,
    /// Time since the node last knew that it had read everything; `None` if it never did.
    pub behind: Option<Duration>,
    /// Purges of other nodes and of this one that were applied.
    pub applied: u64,
    /// Purges of this node that were published.
    pub published: u64,
    /// Purges of this node that wait to be published.
    pub waiting: u64,
    /// Times that the queue was full, and became a purge of everything.
    pub overflows: u64,
    /// Times that everything was purged, by reason.
    pub resets: [(&'static str, u64); 3],
    /// From the purge on another node to here, by Redis's clock.
    pub lag: HistogramSample,
}

/// Why everything was purged softly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reset {
    /// Redis has another stream.
    OtherStream,
    /// Entries that were never read are gone.
    Gap,
    /// A purge cannot be read.
    Unreadable,
}

impl Reset {
    const LABELS: [&'static str; 3] = ["other-stream", "gap", "unreadable"];
}

/// The stream as this node knows it; cheap to clone.
#[derive(Clone)]
pub(crate) struct Stream(Arc<Inner>);

struct Inner {
    around: Arc<Surroundings>,
    target: Arc<dyn PurgeSink>,
    keys: Keys,
    /// Tells this node's entries from those of others.
    node: u64,
    known: Mutex<Known>,
    queue: Mutex<VecDeque<Waiting>>,
    queued: Notify,
    is_over: AtomicBool,
    applied: AtomicU64,
    published: AtomicU64,
    overflows: AtomicU64,
    resets: [AtomicU64; Reset::LABELS.len()],
    lag: Histogram,
}

/// A purge of this node on its way into the stream.
#[derive(Clone)]
struct Waiting {
    sequence: u64,
    asked: Instant,
    purge: Vec<u8>,
}

struct Known {
    place: Option<Place>,
    positions: Positions,
    /// When everything that there was had been read.
    level: Option<Instant>,
    /// Entries of this node that Redis took and that have not come back.
    awaited: Awaited,
}

impl Stream {
    pub(crate) fn new(around: &Arc<Surroundings>, target: Arc<dyn PurgeSink>) -> Self {
        Self(Arc::new(Inner {
            target,
            keys: Keys::new(&around.settings.prefix),
            node: around.random.next_u64(),
            known: Mutex::new(Known {
                place: None,
                positions: Positions::new(),
                level: None,
                awaited: Awaited::default(),
            }),
            queue: Mutex::new(VecDeque::new()),
            queued: Notify::new(),
            is_over: AtomicBool::new(false),
            applied: AtomicU64::new(0),
            published: AtomicU64::new(0),
            overflows: AtomicU64::new(0),
            resets: std::array::from_fn(|_| AtomicU64::new(0)),
            lag: Histogram::default(),
            around: Arc::clone(around),
        }))
    }

    /// Reads and publishes on tasks of their own until [`Stream::end`].
    pub(crate) fn start(&self, publish: Link) {
        let runtime = &self.0.around.runtime;
        runtime.spawn(reader::read(self.clone()));
        runtime.spawn(publisher::publish(self.clone(), publish));
    }

    pub(crate) fn end(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.queued.notify_one();
    }

    /// This node has purged something, and its local sequence is `sequence` since. Never
    /// waits: what finds no room becomes, together with all that waits, a purge of everything.
    pub(crate) fn publish(&self, sequence: u64, purge: Vec<u8>) {
        let inner = &self.0;
        inner.known.lock().positions.purged_here(sequence);
        let asked = inner.around.clock.now();
        let mut queue = inner.queue.lock();
        if queue.len() >= inner.around.settings.publish_max {
            // The first may be on its way already; what follows says all of the rest.
            queue.truncate(1);
            inner.overflows.fetch_add(1, Ordering::Relaxed);
            queue.push_back(Waiting {
                sequence,
                asked,
                purge: Vec::new(),
            });
        } else {
            queue.push_back(Waiting {
                sequence,
                asked,
                purge,
            });
        }
        drop(queue);
        inner.queued.notify_one();
    }

    /// Whether this node has read the stream lately enough to use what is stored in Redis.
    pub(crate) fn is_trusted(&self, now: Instant) -> bool {
        let level = self.0.known.lock().level;
        level.is_some_and(|level| {
            now.saturating_duration_since(level) <= self.0.around.settings.stream_trust
        })
    }

    /// See [`Positions::position_at`].
    pub(crate) fn position_at(&self, sequence: u64) -> Option<Position> {
        self.0.known.lock().positions.position_at(sequence)
    }

    /// See [`Positions::sequence_at`].
    pub(crate) fn sequence_at(&self, position: Position) -> Option<u64> {
        self.0.known.lock().positions.sequence_at(position)
    }

    pub(crate) fn sample(&self) -> StreamSample {
        let now = self.0.around.clock.now();
        let is_trusted = self.is_trusted(now);
        let waiting = self.0.queue.lock().len() as u64;
        let known = self.0.known.lock();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut resets = Reset::LABELS.map(|label| (label, 0));
        for ((_, count), counter) in resets.iter_mut().zip(&self.0.resets) {
            *count = of(counter);
        }
        StreamSample {
            is_trusted,
            number: known.place.map_or(0, |place| place.number),
            behind: known
                .level
                .map(|level| now.saturating_duration_since(level)),
            applied: of(&self.0.applied),
            published: of(&self.0.published),
            waiting,
            overflows: of(&self.0.overflows),
            resets,
            lag: self.0.lag.sample(),
        }
    }

    /// The least sequence of this node that the stream does not have.
    fn first_unpublished(&self) -> Option<u64> {
        let queue = self.0.queue.lock();
        queue.iter().map(|waiting| waiting.sequence).min()
    }

    /// A number that no incarnation had.
    fn fresh(&self) -> Incarnation {
        Incarnation(self.0.around.random.next_u64())
    }

    /// The number of the last entry that this node knows of.
    fn number(&self) -> u64 {
        self.0.known.lock().place.map_or(0, |place| place.number)
    }
}
