//! What waits for the writer: bounded by bytes and by number.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::purge_log::LoggedPurge;
use crate::response::StoredResponse;
use crate::tier::TierKey;

/// Responses that may wait, whatever their size.
const WAITING_MAX: usize = 4096;

/// A response that waits to be written.
pub(super) struct Save {
    pub(super) key: TierKey,
    pub(super) response: Arc<StoredResponse>,
}

/// What the writer does next.
pub(super) enum Job {
    /// Purges to be written together, first of all, and the number of the last of them.
    Purges(Vec<LoggedPurge>, u64),
    /// There are keys to be written down as gone.
    Forgotten,
    Save(Save),
    /// Nothing came in time.
    Idle,
    /// All is written, and nothing more will come.
    End,
}

/// Groups of URIs of which the last purge is known that was not written down.
const SKIPPED: usize = 1024;

/// Purges that may wait; with more, everything counts as purged.
const PURGES_MAX: usize = 65_536;

/// Why a response is not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too much waits.
    Full,
    /// It has been purged since it was asked for.
    Purged,
}

/// See the module.
pub(super) struct WriteQueue {
    state: Mutex<State>,
    wake: Condvar,
    ended: Condvar,
    settled: watch::Sender<Settled>,
}

/// How far purges are written.
#[derive(Clone, Copy, Default)]
struct Settled {
    /// So many of those that were queued.
    written: u64,
    /// No more will be.
    has_ended: bool,
}

/// Whether the purges that were queued are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settling {
    /// All of them.
    Done,
    /// Not in time, for the first time since the writer last did.
    Late,
    /// Not yet, and the writer is late already: nobody waits for it again.
    StillLate,
    /// Nothing is written any more.
    Ended,
}

#[derive(Default)]
struct State {
    purges: Vec<LoggedPurge>,
    /// Purges that were queued, ever.
    queued: u64,
    /// Somebody has waited for purges in vain since the writer last wrote some.
    is_late: bool,
    has_forgotten: bool,
    /// The last purge of a group of URIs that was not written down, because nothing of its URI
    /// was there: what was asked for before it must not be written after it. Empty at first.
    skipped: Vec<u64>,
    saves: VecDeque<Save>,
    /// The URI of what is being written.
    writing: Option<[u8; 32]>,
    bytes: u64,
    is_kicked: bool,
    is_closed: bool,
    has_ended: bool,
}

impl WriteQueue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            settled: watch::Sender::default(),
        }
    }

    /// Queues a response if no more than `bytes_max` wait then, or it waits alone.
    pub(super) fn save(&self, save: Save, bytes_max: u64) -> Result<(), Refused> {
        let mut state = self.state.lock();
        let bytes = state.bytes.saturating_add(save.response.content_length());
        // One alone always fits: its bytes are in memory anyway.
        let is_over = bytes > bytes_max && !state.saves.is_empty();
        if state.is_closed || is_over || state.saves.len() >= WAITING_MAX {
            return Err(Refused::Full);
        }
        let skipped = state.skipped.get(group(save.key.uri()));
        if skipped.is_some_and(|purge| *purge > save.response.head().sequence()) {
            return Err(Refused::Purged);
        }
        state.bytes = bytes;
        state.saves.push_back(save);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues a purge. One of a single URI is left out if nothing of the URI is here or, by
    /// `is_on_disk`, on the disk.
    pub(super) fn purge(
        &self,
        purge: LoggedPurge,
        uri: Option<&[u8; 32]>,
        is_on_disk: impl FnOnce() -> bool,
    ) {
        let mut state = self.state.lock();
        if let Some(uri) = uri
            && !state.knows_uri(uri)
            && !is_on_disk()
        {
            if state.skipped.is_empty() {
                state.skipped = vec![0; SKIPPED];
            }
            if let Some(skipped) = state.skipped.get_mut(group(uri)) {
                *skipped = purge.number.max(*skipped);
            }
            return;
        }
        state.queued = state.queued.saturating_add(1);
        if state.purges.len() >= PURGES_MAX {
            state.purges.clear();
            state.purges.push(LoggedPurge {
                purge: [].into(),
                ..purge
            });
        } else {
            state.purges.push(purge);
        }
        self.wake.notify_one();
    }

    /// Waits until all purges so far are written, no longer than `patience`; not at all if
    /// somebody else has waited in vain, and the writer has not written any since.
    pub(super) async fn settle(&self, patience: Duration) -> Settling {
        let (queued, is_late) = {
            let state = self.state.lock();
            (state.queued, state.is_late)
        };
        let is_settled = |settled: &Settled| settled.written >= queued || settled.has_ended;
        let mut settled = self.settled.subscribe();
        if !is_settled(&settled.borrow()) {
            if is_late {
                return Settling::StillLate;
            }
            let waiting = settled.wait_for(is_settled);
            if tokio::time::timeout(patience, waiting).await.is_err() {
                let was_late = std::mem::replace(&mut self.state.lock().is_late, true);
                return match was_late {
                    true => Settling::StillLate,
                    false => Settling::Late,
                };
            }
        }
        match self.settled.borrow().written >= queued {
            true => Settling::Done,
            false => Settling::Ended,
        }
    }

    /// Purges up to the one with this number, as [`Job::Purges`] told it, are written.
    pub(super) fn settled(&self, written: u64) {
        self.state.lock().is_late = false;
        self.settled
            .send_modify(|settled| settled.written = written);
    }

    /// Lets the writer look after the disk at once.
    pub(super) fn kick(&self) {
        self.state.lock().is_kicked = true;
        self.wake.notify_one();
    }

    /// Forgets what waits of a key, and has what was forgotten written down.
    pub(super) fn forget(&self, key: &TierKey) {
        let mut state = self.state.lock();
        state.saves.retain(|save| save.key != *key);
        state.bytes = state
            .saves
            .iter()
            .map(|save| save.response.content_length())
            .sum();
        state.has_forgotten = true;
        self.wake.notify_one();
    }

    /// Has what was forgotten written down.
    pub(super) fn write_forgotten(&self) {
        self.state.lock().has_forgotten = true;
        self.wake.notify_one();
    }

    /// Waits for the next job; no longer than `patience`, if there is any.
    pub(super) fn next(&self, patience: Option<Duration>) -> Job {
        let mut state = self.state.lock();
        state.writing = None;
        loop {
            if !state.purges.is_empty() {
                return Job::Purges(std::mem::take(&mut state.purges), state.queued);
            }
            // Before any save: what comes later of a key is not gone with what was there.
            if std::mem::take(&mut state.has_forgotten) {
                return Job::Forgotten;
            }
            if std::mem::take(&mut state.is_kicked) {
                return Job::Idle;
            }
            if let Some(save) = state.saves.pop_front() {
                state.bytes = state.bytes.saturating_sub(save.response.content_length());
                state.writing = Some(*save.key.uri());
                return Job::Save(save);
            }
            if state.is_closed {
                return Job::End;
            }
            match patience {
                None => self.wake.wait(&mut state),
                Some(patience) => {
                    if self.wake.wait_for(&mut state, patience).timed_out() {
                        return Job::Idle;
                    }
                }
            }
        }
    }

    /// Nothing more is taken; waits for what there is to be written, but no longer than `patience`.
    pub(super) fn close(&self, patience: Duration) {
        let mut state = self.state.lock();
        state.is_closed = true;
        self.wake.notify_one();
        while !state.has_ended {
            if self.ended.wait_for(&mut state, patience).timed_out() {
                return;
            }
        }
    }

    /// The writer has ended.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        state.has_ended = true;
        self.settled.send_modify(|settled| settled.has_ended = true);
        state.saves.clear();
        self.ended.notify_all();
    }

    /// Whether all that came is done.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        let is_empty = state.saves.is_empty() && state.purges.is_empty() && !state.has_forgotten;
        is_empty && state.writing.is_none()
    }

    /// Bytes of content that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }
}

impl State {
    /// Whether a response of the URI waits or is being written.
    fn knows_uri(&self, uri: &[u8; 32]) -> bool {
        let mut waiting = self.saves.iter().map(|save| save.key.uri());
        self.writing.as_ref() == Some(uri) || waiting.any(|waiting| waiting == uri)
    }
}

fn group(uri: &[u8; 32]) -> usize {
    let [first, second, ..] = *uri;
    usize::from(u16::from_le_bytes([first, second])) % SKIPPED
}
