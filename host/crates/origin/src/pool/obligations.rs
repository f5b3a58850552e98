//! What is taken from a pool and has to come back: each gives back by being
//! dropped, whatever path the code took.

use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use super::{Endpoint, Pool};
use crate::connection::Connection;

/// What a request was given.
pub(crate) enum Acquired {
    /// A connection that has served before.
    Reused(Connection),
    /// The right to open one.
    Slot(Slot),
}

/// The right to one connection. Held by the task that drives the connection,
/// so its place is free exactly when its socket is closed.
pub(crate) struct Slot {
    /// Weak: unused connections must not keep their own pool alive.
    pool: Weak<Pool>,
    endpoint: Arc<Endpoint>,
    armed: bool,
}

/// The use of a connection by one exchange. Dropped, it closes the connection.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    pub(crate) connection: Connection,
}

/// A place in the queue.
pub(super) struct QueuePlace<'pool> {
    pub(super) pool: &'pool Arc<Pool>,
    pub(super) id: u64,
    pub(super) granted: oneshot::Receiver<Acquired>,
    /// Nothing has been received yet.
    pub(super) waiting: bool,
}

impl Slot {
    /// To be called where the place was counted.
    pub(super) fn new(pool: &Arc<Pool>, endpoint: &Arc<Endpoint>) -> Self {
        Self {
            pool: Arc::downgrade(pool),
            endpoint: Arc::clone(endpoint),
            armed: true,
        }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Undoes the taking, without looking for another waiter.
    pub(super) fn take_back(mut self, pool: &Pool) {
        self.armed = false;
        if let Some(entry) = pool.state.lock().entry(&self.endpoint) {
            entry.open = entry.open.saturating_sub(1);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.armed
            && let Some(pool) = self.pool.upgrade()
        {
            pool.release(&self.endpoint);
        }
    }
}

impl Lease {
    pub(crate) fn new(pool: &Arc<Pool>, connection: Connection) -> Self {
        Self {
            pool: Arc::clone(pool),
            connection,
        }
    }

    /// Gives the connection back after a response that was cleanly framed and
    /// fully read, to a request that was fully written.
    pub(crate) fn recycle(self) {
        let Self {
            pool,
            mut connection,
        } = self;
        if connection.is_usable() {
            return pool.offer(connection);
        }
        if connection.is_closed() {
            return;
        }
        // Its task, on another core, has yet to notice that the exchange is over.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let settled = tokio::time::timeout(pool.timeouts.between_bytes, connection.ready());
            if settled.await.is_ok_and(|usable| usable) {
                pool.offer(connection);
            }
        });
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        if !self.waiting {
            return;
        }
        self.granted.close();
        let mut state = self.pool.state.lock();
        let waiter = state
            .waiters
            .iter()
            .position(|waiter| waiter.id == self.id)
            .and_then(|index| state.waiters.remove(index));
        drop(state);
        drop(waiter);
        // What was granted and never received belongs to the next in turn.
        match self.granted.try_recv() {
            Ok(Acquired::Reused(connection)) => self.pool.offer(connection),
            Ok(Acquired::Slot(slot)) => drop(slot),
            Err(_) => {}
        }
    }
}
