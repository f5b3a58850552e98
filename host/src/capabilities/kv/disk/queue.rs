//! What waits for the threads of a store: reads one by one, writes together.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use verge_config::KvLimits;
use verge_runtime::capabilities::{KvError, KvOp, KvReply};

/// Writes that are done in one transaction, at most.
const TOGETHER: usize = 256;

/// One operation that waits.
pub(super) struct Job {
    pub(super) op: KvOp,
    /// The store's limit, as its generation has it.
    pub(super) max_bytes: u64,
    /// When nobody waits for it any more.
    pub(super) due: Instant,
    pub(super) answer: oneshot::Sender<Result<KvReply, KvError>>,
}

pub(super) struct Queue {
    state: Mutex<State>,
    has_read: Condvar,
    has_write: Condvar,
}

#[derive(Default)]
struct State {
    reads: VecDeque<Job>,
    writes: VecDeque<Job>,
    /// Bytes of keys and values among the writes.
    bytes: usize,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            has_read: Condvar::new(),
            has_write: Condvar::new(),
        }
    }

    /// Takes a job, if there is room.
    pub(super) fn push(&self, job: Job, limits: &KvLimits) -> Result<(), KvError> {
        let is_read = job.op.is_read();
        let bytes = if is_read { 0 } else { job.op.bytes() };
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(KvError::Unavailable);
        }
        // Each has its bound: writes that wait for a slow disk refuse no reads.
        let waiting = if is_read {
            state.reads.len()
        } else {
            state.writes.len()
        };
        let is_full = waiting >= limits.queue;
        // One value always has room, however large it may be.
        let is_heavy = bytes.min(state.bytes) > 0 && state.bytes + bytes > limits.queue_bytes;
        if is_full || is_heavy {
            return Err(KvError::Busy);
        }
        if is_read {
            state.reads.push_back(job);
            self.has_read.notify_one();
        } else {
            state.bytes += bytes;
            state.writes.push_back(job);
            self.has_write.notify_one();
        }
        Ok(())
    }

    /// The next read; `None` when the queue is closed and empty.
    pub(super) fn read(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.reads.pop_front() {
                return Some(job);
            }
            if state.is_closed {
                return None;
            }
            self.has_read.wait(&mut state);
        }
    }

    /// The writes that wait, none after `patience`; `None` when the queue is closed and empty.
    pub(super) fn writes(&self, patience: Duration) -> Option<Vec<Job>> {
        let mut state = self.state.lock();
        if state.writes.is_empty() && !state.is_closed {
            self.has_write.wait_for(&mut state, patience);
        }
        if state.writes.is_empty() && state.is_closed {
            return None;
        }
        let count = state.writes.len().min(TOGETHER);
        let jobs: Vec<Job> = state.writes.drain(..count).collect();
        state.bytes -= jobs.iter().map(|job| job.op.bytes()).sum::<usize>();
        Some(jobs)
    }

    pub(super) fn has_writes(&self) -> bool {
        let state = self.state.lock();
        !state.writes.is_empty() || state.is_closed
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        let state = self.state.lock();
        state.reads.len() + state.writes.len()
    }

    /// Takes nothing more; what waits is still given out.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.has_read.notify_all();
        self.has_write.notify_all();
    }
}
