//! What a pool keeps under its lock: the addresses with their connections, and
//! the queue. It hands out, and leaves waking and closing to the pool.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Acquired, Endpoint, Pool, Slot};
use crate::balance::{Candidate, Need, Selection, select_address};
use crate::connection::{Connection, current_worker};
use crate::resolve::Target;
use crate::settings::Limits;
use crate::stats::{AddressStats, OriginStats};

/// How many unused connections are looked at for one of this worker.
const WORKER_SCAN: usize = 16;

#[derive(Default)]
pub(super) struct State {
    pub(super) entries: Vec<Entry>,
    pub(super) waiters: VecDeque<Waiter>,
    pub(super) waiter_id: u64,
    /// Where the next turn begins.
    pub(super) turn: usize,
    pub(super) sweeping: bool,
    pub(super) counts: OriginStats,
}

pub(super) struct Entry {
    pub(super) endpoint: Arc<Endpoint>,
    /// Still among the origin's addresses; otherwise kept until its last
    /// connection is gone.
    pub(super) listed: bool,
    /// Slots given out: connections that exist or are being made.
    pub(super) open: usize,
    /// Oldest first; the youngest is used first.
    pub(super) idle: VecDeque<Connection>,
    pub(super) penalised_until: Option<Instant>,
    pub(super) counts: AddressStats,
}

pub(super) struct Waiter {
    pub(super) id: u64,
    pub(super) granted: oneshot::Sender<Acquired>,
}

impl State {
    pub(super) fn position(&self, endpoint: &Arc<Endpoint>) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| Arc::ptr_eq(&entry.endpoint, endpoint))
    }

    /// The index of an endpoint that is still in use.
    pub(super) fn index(&self, endpoint: &Arc<Endpoint>) -> Option<usize> {
        self.position(endpoint)
            .filter(|index| self.entries.get(*index).is_some_and(|entry| entry.listed))
    }

    pub(super) fn entry(&mut self, endpoint: &Arc<Endpoint>) -> Option<&mut Entry> {
        let index = self.position(endpoint)?;
        self.entries.get_mut(index)
    }

    pub(super) fn select(
        &self,
        need: Need,
        avoid: Option<SocketAddr>,
        now: Instant,
        limits: &Limits,
    ) -> Selection {
        let candidate = |entry: &Entry| Candidate {
            penalised: !entry.listed || entry.is_penalised(now),
            avoided: Some(entry.endpoint.target.socket) == avoid,
            idle: entry.idle.len(),
            has_room: entry.listed && entry.open < limits.connections,
        };
        // No allocation for the usual few addresses.
        match self.entries.as_slice() {
            [one] => select_address(&[candidate(one)], self.turn, need),
            [one, two] => select_address(&[candidate(one), candidate(two)], self.turn, need),
            many => {
                let candidates: Vec<Candidate> = many.iter().map(candidate).collect();
                select_address(&candidates, self.turn, need)
            }
        }
    }
}

impl Entry {
    pub(super) fn new(target: Target) -> Self {
        Self {
            counts: AddressStats::new(target.socket),
            endpoint: Arc::new(Endpoint { target }),
            listed: true,
            open: 0,
            idle: VecDeque::new(),
            penalised_until: None,
        }
    }

    pub(super) fn is_penalised(&self, now: Instant) -> bool {
        self.penalised_until.is_some_and(|until| now < until)
    }

    pub(super) fn take_slot(&mut self, pool: &Arc<Pool>) -> Slot {
        self.open += 1;
        Slot::new(pool, &self.endpoint)
    }

    /// The youngest usable connection, one of this worker before all others:
    /// using it wakes no other core.
    pub(super) fn take_idle(&mut self, closing: &mut Vec<Connection>) -> Option<Connection> {
        let worker = current_worker();
        loop {
            let youngest = self.idle.len().checked_sub(1)?;
            let mut candidates = self.idle.iter().rev().take(WORKER_SCAN);
            let index = candidates
                .position(|connection| connection.worker == worker)
                .map_or(youngest, |behind| youngest - behind);
            let connection = self.idle.remove(index)?;
            if connection.is_usable() {
                return Some(connection);
            }
            closing.push(connection);
        }
    }

    pub(super) fn purge_closed(&mut self, closing: &mut Vec<Connection>) {
        let mut index = 0;
        while let Some(connection) = self.idle.get(index) {
            if connection.is_usable() {
                index += 1;
            } else {
                closing.extend(self.idle.remove(index));
            }
        }
    }
}
