//! Which keys are being fetched, and which are marked as not to be collapsed.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::waiter::Outcome;
use crate::counted::{Counted, Tables};
use crate::key::{Key, PrecomputedHash};
use crate::response::StoredHead;
use crate::store::VariantHint;

/// Shards of the map; a power of two.
const SHARDS: usize = 64;

/// The purge sequence of a flight whose origin request is not sent yet: no
/// purge so far can concern it.
const UNSENT: u64 = u64::MAX;

/// Bytes of a marker: 25 in its table and 24 in the order, each with as much room beside it as
/// growing leaves, and with both copies while it grows.
const MARKER_BYTES: u64 = 160;

/// Markers of each shard that are kept even where there is no memory for them.
const MARKERS_KEPT: usize = 16;

/// Bounds on markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlightsSettings {
    /// How long a marker holds.
    pub(crate) marked_for: Duration,
    /// Most markers at once.
    pub(crate) marked_max: usize,
}

/// See the module.
pub(crate) struct Flights {
    shards: Box<[Mutex<Shard>]>,
    settings: FlightsSettings,
    markers: AtomicU64,
}

struct Shard {
    flights: HashMap<FlightKey, Arc<Flight>, PrecomputedHash>,
    markers: Markers,
}

/// Keys that are not collapsed, by hash: two of one hash share a marker, and
/// all that costs is a collapse.
struct Markers {
    until: HashMap<u64, Instant, PrecomputedHash>,
    /// The same in order of their end, which is the order in which they were left.
    order: VecDeque<(u64, Instant)>,
    /// The memory of all of them.
    counted: Counted,
}

/// What requests are collapsed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlightKey {
    key: Key,
    hint: VariantHint,
    /// Requests with Authorization fly apart: what may not be shared because of it
    /// (RFC 9111 3.5) must not keep the others from being collapsed.
    is_authorised: bool,
}

/// One fetch that others may wait for.
pub(crate) struct Flight {
    pub(crate) outcome: watch::Sender<Outcome>,
    /// The purge sequence seen when its origin request was sent.
    sequence: AtomicU64,
}

/// What stands at a key.
pub(crate) enum Entered {
    /// Nothing did; this flight does now.
    New(Arc<Flight>),
    /// This flight.
    Existing(Arc<Flight>),
    /// A marker.
    Marked,
}

impl FlightKey {
    pub(crate) fn new(key: &Key, hint: VariantHint, is_authorised: bool) -> Self {
        Self {
            key: key.clone(),
            hint,
            is_authorised,
        }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    fn hash_value(&self) -> u64 {
        self.key.hash_value() ^ self.hint.value().rotate_left(32) ^ u64::from(self.is_authorised)
    }
}

impl Hash for FlightKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash_value());
    }
}

impl Flight {
    fn new() -> Self {
        Self {
            outcome: watch::Sender::new(Outcome::Pending),
            sequence: AtomicU64::new(UNSENT),
        }
    }

    /// The origin request is sent, with `sequence` as the last purge.
    pub(crate) fn mark_sent(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Release);
    }

    /// The head of its response, once it has arrived.
    pub(crate) fn head(&self) -> Option<Arc<StoredHead>> {
        match &*self.outcome.borrow() {
            Outcome::Filling(head, _) => Some(Arc::clone(head)),
            Outcome::Stored(response) => Some(Arc::clone(response.head())),
            Outcome::Pending | Outcome::Released(_) => None,
        }
    }

    /// The purge sequence seen when its origin request was sent, if it was.
    pub(crate) fn sent_sequence(&self) -> Option<u64> {
        let sequence = self.sequence.load(Ordering::Acquire);
        (sequence != UNSENT).then_some(sequence)
    }
}

impl Flights {
    /// No flights, and markers whose memory is one of `tables`.
    pub(crate) fn new(settings: FlightsSettings, tables: &Tables) -> Self {
        let shard = || Shard {
            flights: HashMap::default(),
            markers: Markers {
                until: HashMap::default(),
                order: VecDeque::new(),
                counted: Counted::new(tables, MARKER_BYTES, MARKERS_KEPT),
            },
        };
        Self {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            settings,
            markers: AtomicU64::new(0),
        }
    }

    fn shard(&self, key: &FlightKey) -> &Mutex<Shard> {
        &self.shards[(key.hash_value() >> 40) as usize % SHARDS]
    }

    /// The flight at `key`, or a new one. A flight of which `is_outdated` says
    /// so makes place for a new one; those that wait for it still get its outcome.
    pub(crate) fn enter(
        &self,
        key: &FlightKey,
        now: Instant,
        is_outdated: impl FnOnce(&Flight) -> bool,
    ) -> Entered {
        let mut shard = self.shard(key).lock();
        if shard.markers.holds(key.hash_value(), now) {
            return Entered::Marked;
        }
        if let Some(flight) = shard.flights.get(key)
            && !is_outdated(flight)
        {
            return Entered::Existing(Arc::clone(flight));
        }
        let flight = Arc::new(Flight::new());
        shard.flights.insert(key.clone(), Arc::clone(&flight));
        Entered::New(flight)
    }

    /// The flight at `key`.
    pub(crate) fn find(&self, key: &FlightKey) -> Option<Arc<Flight>> {
        self.shard(key).lock().flights.get(key).map(Arc::clone)
    }

    /// Whether a marker stands at `key`.
    pub(crate) fn is_marked(&self, key: &FlightKey, now: Instant) -> bool {
        let shard = self.shard(key).lock();
        shard.markers.holds(key.hash_value(), now)
    }

    /// Takes `flight` away, if it still stands at `key`.
    pub(crate) fn leave(&self, key: &FlightKey, flight: &Arc<Flight>) {
        self.shard(key).lock().leave(key, flight);
    }

    /// Takes `flight` away and leaves a marker, in one step: no request comes
    /// in between and leads.
    pub(crate) fn leave_marked(&self, key: &FlightKey, flight: Option<&Arc<Flight>>, now: Instant) {
        let max = self.settings.marked_max.div_ceil(SHARDS);
        let mut shard = self.shard(key).lock();
        let before = shard.markers.until.len() as u64;
        if let Some(until) = now.checked_add(self.settings.marked_for) {
            shard.markers.mark(key.hash_value(), now, until, max);
        }
        let after = shard.markers.until.len() as u64;
        if let Some(flight) = flight {
            shard.leave(key, flight);
        }
        // Wraps around where fewer stand now; the sum of all steps does not.
        self.markers
            .fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    /// Takes the marker at `key` away: its last outcome could be shared.
    pub(crate) fn unmark(&self, key: &FlightKey) {
        if self.markers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let removed = self
            .shard(key)
            .lock()
            .markers
            .until
            .remove(&key.hash_value());
        if removed.is_some() {
            self.markers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Markers, those included that have ended and were not met since.
    pub(crate) fn markers(&self) -> u64 {
        self.markers.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn flights(&self) -> usize {
        self.shards.iter().map(|s| s.lock().flights.len()).sum()
    }
}

impl Shard {
    fn leave(&mut self, key: &FlightKey, flight: &Arc<Flight>) {
        let is_ours = self
            .flights
            .get(key)
            .is_some_and(|standing| Arc::ptr_eq(standing, flight));
        if is_ours {
            self.flights.remove(key);
        }
    }
}

impl Markers {
    fn holds(&self, hash: u64, now: Instant) -> bool {
        !self.until.is_empty() && self.until.get(&hash).is_some_and(|until| *until > now)
    }

    /// Marks `hash` until `until`; drops what has ended, and the oldest above `max`.
    fn mark(&mut self, hash: u64, now: Instant, until: Instant, max: usize) {
        self.until.insert(hash, until);
        self.order.push_back((hash, until));
        while let Some((oldest, ends)) = self.order.front().copied()
            && (ends <= now || self.order.len() > max || !self.counted.allows(self.order.len()))
        {
            self.order.pop_front();
            // It may have been marked again since.
            if self.until.get(&oldest) == Some(&ends) {
                self.until.remove(&oldest);
            }
        }
    }
}
