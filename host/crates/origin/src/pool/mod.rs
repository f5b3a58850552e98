//! The pool of an origin: which connections exist, which are unused, and who
//! waits for one.
//!
//! One lock, held for a few list operations and never across an await. What is
//! taken from here is an obligation: a [`Slot`] is the right to one connection
//! and lives as long as its socket; a [`Lease`] is the use of one connection,
//! which ends in [`Lease::recycle`] or closes it.

mod obligations;
mod state;
mod sweeper;

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use verge_base::Clock;
use verge_http::Failure;
use verge_http::failure::OriginFault;

pub(crate) use self::obligations::{Acquired, Lease, Slot};

use self::obligations::QueuePlace;
use self::state::{Entry, State, Waiter};
use self::sweeper::Sweeper;
use crate::balance::{Need, Selection};
use crate::connection::Connection;
use crate::resolve::Target;
use crate::settings::{Limits, Timeouts};
use crate::stats::{AddressStats, OriginStats};

/// The connections of one origin.
pub(crate) struct Pool {
    limits: Limits,
    timeouts: Timeouts,
    clock: Clock,
    state: Mutex<State>,
}

/// One address of the origin.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) target: Target,
}

enum Turn<'pool> {
    Acquired(Acquired),
    Queued(QueuePlace<'pool>),
    Refused,
}

impl Pool {
    /// An empty pool; `turn` is the index of the address that comes first.
    pub(crate) fn new(limits: Limits, timeouts: Timeouts, clock: Clock, turn: usize) -> Arc<Self> {
        let state = State {
            turn,
            ..State::default()
        };
        Arc::new(Self {
            limits,
            timeouts,
            clock,
            state: Mutex::new(state),
        })
    }

    /// Takes an unused connection or the right to open one, or waits for it in
    /// turn. `avoid` is where a former attempt failed.
    ///
    /// # Errors
    /// `ConnectionLimitReached` when the queue is full or the wait too long.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        need: Need,
        avoid: Option<SocketAddr>,
    ) -> Result<Acquired, Failure> {
        let refused = Failure::unsent(OriginFault::ConnectionLimitReached);
        let mut place = match self.take_turn(need, avoid) {
            Turn::Acquired(acquired) => return Ok(acquired),
            Turn::Queued(place) => place,
            Turn::Refused => return Err(refused),
        };
        match tokio::time::timeout(self.limits.queue_wait, &mut place.granted).await {
            Ok(Ok(acquired)) => {
                place.waiting = false;
                Ok(acquired)
            }
            Ok(Err(_)) | Err(_) => {
                self.state.lock().counts.queue_timed_out += 1;
                Err(refused)
            }
        }
    }

    /// Whether there is an address besides `tried`.
    pub(crate) fn has_other_address(&self, tried: Option<SocketAddr>) -> bool {
        let state = self.state.lock();
        let mut listed = state.entries.iter().filter(|entry| entry.listed);
        listed.any(|entry| Some(entry.endpoint.target.socket) != tried)
    }

    /// Makes `targets` the addresses of the origin. Those that stay keep their
    /// connections; those that go lose the unused ones.
    pub(crate) fn set_targets(self: &Arc<Self>, targets: &[Target]) {
        let mut closing = Vec::new();
        let mut state = self.state.lock();
        for entry in &mut state.entries {
            entry.listed = targets.contains(&entry.endpoint.target);
            if !entry.listed {
                closing.extend(entry.idle.drain(..));
            }
        }
        for target in targets {
            let known = |entry: &Entry| entry.endpoint.target == *target;
            if !state.entries.iter().any(known) {
                state.entries.push(Entry::new(target.clone()));
            }
        }
        state.entries.retain(|entry| entry.listed || entry.open > 0);
        drop(state);
        // Outside of the lock: closing a connection comes back to the pool.
        drop(closing);
        self.serve_waiters();
    }

    /// Notes how making a connection went. Returns whether the address was
    /// well before and is not now.
    pub(crate) fn note_connect(&self, endpoint: &Arc<Endpoint>, made: bool) -> bool {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let Some(entry) = state.entry(endpoint) else {
            return false;
        };
        if made {
            entry.counts.opened += 1;
            entry.penalised_until = None;
            return false;
        }
        entry.counts.connect_failed += 1;
        let was_well = entry.penalised_until.is_none_or(|until| now >= until);
        entry.penalised_until = Some(now + self.limits.penalty);
        was_well
    }

    pub(crate) fn count_retry(&self) {
        self.state.lock().counts.retries += 1;
    }

    pub(crate) fn count_failure(&self) {
        self.state.lock().counts.failed += 1;
    }

    pub(crate) fn stats(&self) -> OriginStats {
        let now = self.clock.now();
        let state = self.state.lock();
        let mut stats = state.counts.clone();
        stats.waiting = state.waiters.len();
        stats.addresses = state
            .entries
            .iter()
            .map(|entry| AddressStats {
                open: entry.open,
                idle: entry.idle.len(),
                in_use: entry.open.saturating_sub(entry.idle.len()),
                penalised: entry.is_penalised(now),
                ..entry.counts.clone()
            })
            .collect();
        stats
    }

    fn take_turn(self: &Arc<Self>, need: Need, avoid: Option<SocketAddr>) -> Turn<'_> {
        let now = self.clock.now();
        // Closed outside of the lock, at the end of this function.
        let mut closing = Vec::new();
        let mut state = self.state.lock();
        // Who comes later waits longer.
        while state.waiters.is_empty() {
            match state.select(need, avoid, now, &self.limits) {
                Selection::Reuse(index) => {
                    let Some(entry) = state.entries.get_mut(index) else {
                        break;
                    };
                    if let Some(connection) = entry.take_idle(&mut closing) {
                        entry.counts.reused += 1;
                        state.turn = index + 1;
                        return Turn::Acquired(Acquired::Reused(connection));
                    }
                }
                Selection::Open(index) => {
                    let Some(entry) = state.entries.get_mut(index) else {
                        break;
                    };
                    let slot = entry.take_slot(self);
                    state.turn = index + 1;
                    return Turn::Acquired(Acquired::Slot(slot));
                }
                Selection::Replace(index) => {
                    // Its slot comes back when its socket is closed, and then
                    // goes to the queue, where nobody stands before this request.
                    closing.extend(
                        state
                            .entries
                            .get_mut(index)
                            .and_then(|e| e.idle.pop_front()),
                    );
                    return self.enqueue(&mut state);
                }
                Selection::Wait => break,
            }
        }
        if state.waiters.len() >= self.limits.queue {
            state.counts.queue_refused += 1;
            return Turn::Refused;
        }
        self.enqueue(&mut state)
    }

    fn enqueue<'pool>(self: &'pool Arc<Self>, state: &mut State) -> Turn<'pool> {
        let (sender, granted) = oneshot::channel();
        state.waiter_id += 1;
        let id = state.waiter_id;
        state.waiters.push_back(Waiter {
            id,
            granted: sender,
        });
        Turn::Queued(QueuePlace {
            pool: self,
            id,
            granted,
            waiting: true,
        })
    }

    /// Gives an unused connection to who waits longest, or keeps it.
    fn offer(self: &Arc<Self>, mut connection: Connection) {
        loop {
            let mut state = self.state.lock();
            let Some(index) = state.index(&connection.endpoint) else {
                drop(state);
                return drop(connection);
            };
            let Some(waiter) = state.waiters.pop_front() else {
                if self.timeouts.idle.is_zero() {
                    drop(state);
                    return drop(connection);
                }
                connection.idle_since = Instant::now();
                let arm = !std::mem::replace(&mut state.sweeping, true);
                if let Some(entry) = state.entries.get_mut(index) {
                    entry.idle.push_back(connection);
                }
                drop(state);
                if arm {
                    Sweeper::start(self);
                }
                return;
            };
            if let Some(entry) = state.entries.get_mut(index) {
                entry.counts.reused += 1;
            }
            drop(state);
            match waiter.granted.send(Acquired::Reused(connection)) {
                Err(Acquired::Reused(returned)) => connection = returned,
                Ok(()) | Err(Acquired::Slot(_)) => return,
            }
        }
    }

    /// A connection is gone: its place goes to who waits longest.
    fn release(self: &Arc<Self>, endpoint: &Arc<Endpoint>) {
        let mut closed = Vec::new();
        let mut state = self.state.lock();
        let Some(index) = state.position(endpoint) else {
            return;
        };
        if let Some(entry) = state.entries.get_mut(index) {
            entry.open = entry.open.saturating_sub(1);
            entry.purge_closed(&mut closed);
            if !entry.listed && entry.open == 0 {
                state.entries.remove(index);
            }
        }
        drop(state);
        drop(closed);
        self.serve_waiters();
    }

    /// Gives out slots as long as there are both slots and waiters.
    fn serve_waiters(self: &Arc<Self>) {
        loop {
            let now = self.clock.now();
            let mut state = self.state.lock();
            if state.waiters.is_empty() {
                return;
            }
            let Selection::Open(index) = state.select(Need::Fresh, None, now, &self.limits) else {
                return;
            };
            let Some(slot) = state
                .entries
                .get_mut(index)
                .map(|entry| entry.take_slot(self))
            else {
                return;
            };
            state.turn = index + 1;
            let waiter = state.waiters.pop_front();
            drop(state);
            let unwanted = match waiter {
                None => Some(slot),
                Some(waiter) => match waiter.granted.send(Acquired::Slot(slot)) {
                    Err(Acquired::Slot(slot)) => Some(slot),
                    Ok(()) | Err(Acquired::Reused(_)) => None,
                },
            };
            if let Some(slot) = unwanted {
                slot.take_back(self);
            }
        }
    }

    /// Closes what has been unused for too long; returns when to look again.
    fn sweep(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut closing = Vec::new();
        let mut state = self.state.lock();
        let mut next: Option<Instant> = None;
        for entry in &mut state.entries {
            while let Some(oldest) = entry.idle.front() {
                let expiry = oldest.idle_since + self.timeouts.idle;
                if expiry > now {
                    next = Some(next.map_or(expiry, |next| next.min(expiry)));
                    break;
                }
                closing.extend(entry.idle.pop_front());
            }
        }
        if next.is_none() {
            state.sweeping = false;
        }
        drop(state);
        drop(closing);
        next
    }
}
