//! The disk tier: stored responses in a folder, so that a restarted node is
//! warm.
//!
//! Records are appended to segments, and whole segments are evicted in the
//! order in which they were written; what was asked for of them is written
//! anew. The index stands in memory and is rebuilt from the segments at the
//! start. One thread writes, a few read, and no other thread ever waits for
//! the disk: queues are bounded, reads have a deadline, and a disk that is
//! full, read-only, gone or failing is off until a trial succeeds. Whether
//! what is found may be reused is decided elsewhere.

mod body;
mod folder;
mod forgotten;
mod format;
mod health;
mod index;
mod listing;
mod pool;
mod purge_log;
mod queue;
mod read;
mod scan;
mod settings;
mod stats;
mod tier;
mod writer;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};
use verge_http::Body;

use crate::record::{ReadAt, Walls};
use crate::tier::{Off, TierAnswer, TierHit, TierKey, TierMiss, Want};
use body::DiskBody;
use folder::{Folder, FolderError, remove_all};
use health::{Health, off_for};
use index::Index;
use pool::Pool;
use purge_log::{PURGE_BYTES_MAX, PurgeLog};
use queue::{Settling, WriteQueue};
use read::{Content, Loaded, Wanted};
use stats::Counts;
use writer::Writer;

pub use purge_log::LoggedPurge;
pub use settings::DiskSettings;
pub use stats::DiskStats;
pub(crate) use writer::micros;

/// How long the end of the process waits for what is still to be written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// How long a purge waits to be on disk.
const PURGE_PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
pub struct DiskTier {
    shared: Arc<Shared>,
    streams: Arc<Semaphore>,
}

/// What was purged before this start, and where its numbers begin.
#[derive(Clone, Debug, Default)]
pub struct PurgesBefore {
    /// The purges, the oldest first; one without a scope is of everything.
    pub purges: Vec<LoggedPurge>,
    /// What was sent for before this number counts as purged.
    pub floor: u64,
    /// Purges of this process have higher numbers than this.
    pub base: u64,
}

/// Why a node must not start with this tier. A disk that does not work is none: the tier is off.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process has locked the folder.
    #[error("{} is in use by another node", .0.display())]
    InUse(PathBuf),
    /// There are no threads for it.
    #[error("cannot start threads: {0}")]
    Threads(#[from] io::Error),
}

/// What all threads of the tier share.
struct Shared {
    settings: DiskSettings,
    walls: Walls,
    index: Mutex<Index>,
    health: Health,
    queue: WriteQueue,
    pool: Pool,
    stats: Counts,
    is_ready: AtomicBool,
}

impl DiskTier {
    /// Opens the folder and begins to rebuild the index; until that is done, all are misses.
    /// Blocks for as long as the purge log is read.
    ///
    /// # Errors
    /// [`DiskError`]; not if the disk does not work.
    pub fn start(settings: DiskSettings, walls: Walls) -> Result<(Self, PurgesBefore), DiskError> {
        let shared = Arc::new(Shared {
            pool: Pool::start(settings.readers, settings.reads)?,
            index: Mutex::default(),
            health: Health::new(),
            queue: WriteQueue::new(),
            stats: Counts::default(),
            is_ready: AtomicBool::new(false),
            walls,
            settings,
        });
        let (folder, log) = match open(&shared.settings) {
            Ok((folder, log)) => (Some(folder), log),
            Err(FolderError::InUse) => return Err(DiskError::InUse(shared.settings.path.clone())),
            Err(FolderError::Io(error)) => {
                let off = off_for(&error);
                tracing::warn!(reason = off.label(), %error, "the disk cache is off");
                shared.health.turn_off(off);
                (None, PurgeLog::new(shared.settings.purges))
            }
        };
        let before = PurgesBefore {
            purges: log.content.purges.iter().cloned().collect(),
            floor: log.content.floor,
            base: log.content.base,
        };
        let is_untrusted = folder.is_none();
        let writer = Writer::new(Arc::clone(&shared), folder, log, is_untrusted);
        std::thread::Builder::new()
            .name("verge-disk-writer".to_owned())
            .spawn(move || writer.run())?;
        let streams = Arc::new(Semaphore::new(shared.settings.streams));
        Ok((Self { shared, streams }, before))
    }

    /// Queues a purge to be written down, before its caller confirms it by
    /// [`DiskTier::settle`]. `uri` is [`crate::Key::uri_digest`] if it concerns one URI only.
    pub fn purge(&self, mut purge: LoggedPurge, uri: Option<&[u8; 32]>) {
        if purge.purge.len() > PURGE_BYTES_MAX {
            // Never lost: what cannot be written down purges everything.
            purge.purge = [].into();
        }
        let shared = &self.shared;
        shared.queue.purge(purge, uri, || {
            // What is not on disk need not be remembered; but while the index is not complete,
            // or the disk is off, nobody knows.
            let is_sure = shared.is_ready.load(Ordering::Acquire) && shared.health.off().is_none();
            !is_sure || uri.is_none_or(|uri| shared.index.lock().knows_uri(first(uri)))
        });
    }

    /// Returns when all purges so far are on disk, or after a bounded time; says which. A disk
    /// that hangs is waited for once, until it has written something again.
    pub async fn settle(&self) -> bool {
        let patience = match self.shared.health.off() {
            Some(Off::Unresponsive) => Duration::ZERO,
            _ => PURGE_PATIENCE,
        };
        let settling = self.shared.queue.settle(patience).await;
        if settling == Settling::Late {
            tracing::warn!("a purge is not on disk yet");
        }
        settling == Settling::Done
    }

    /// Writes what waits, for a bounded time, and gives the folder back. Nothing is saved any
    /// more.
    pub fn stop(&self) {
        self.shared.queue.close(FLUSH_PATIENCE);
    }

    /// What it holds and has done.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        self.shared.stats()
    }

    async fn look(&self, key: &TierKey, request: &HeaderMap, want: Want) -> TierAnswer {
        let shared = &self.shared;
        if let Some(off) = shared.health.off() {
            return TierAnswer::Off(off);
        }
        if !shared.is_ready.load(Ordering::Acquire) {
            return TierAnswer::Miss(TierMiss::Starting);
        }
        let places = shared.index.lock().find(key.digest());
        if places.is_empty() {
            return TierAnswer::Miss(TierMiss::NotFound);
        }
        let Ok(permit) = Arc::clone(&self.streams).try_acquire_owned() else {
            return TierAnswer::Miss(TierMiss::Busy);
        };
        let wanted = Wanted {
            digest: *key.digest(),
            places,
            request: request.clone(),
            want,
            at: ReadAt::now(&shared.walls),
        };
        let loaded = shared.read(move || read::load(&wanted)).await;
        let (loaded, unusable) = match loaded {
            Ok(loaded) => loaded,
            Err(miss) => return TierAnswer::Miss(miss),
        };
        for (segment, offset) in unusable {
            shared.stats.unusable.fetch_add(1, Ordering::Relaxed);
            shared.index.lock().remove_at(key.digest(), segment, offset);
        }
        match loaded {
            Loaded::Hit(recorded, content, first) => {
                let body = || DiskBody::new(Arc::clone(shared), content, first, permit);
                TierAnswer::Hit(Box::new(TierHit {
                    recorded: *recorded,
                    content: match want {
                        Want::Whole => Body::stream(body()),
                        Want::Head => Body::Empty,
                    },
                }))
            }
            Loaded::Variant => TierAnswer::Miss(TierMiss::Variant),
            Loaded::Refused(reason) => TierAnswer::Miss(TierMiss::Corrupt(reason)),
            Loaded::Failed(error) => {
                shared.reading_failed(off_for(&error));
                TierAnswer::Miss(TierMiss::Failed)
            }
        }
    }
}

/// The folder and its purge log. Without a log that can be read, nothing that is there is used:
/// it may have been purged.
fn open(settings: &DiskSettings) -> Result<(Folder, PurgeLog), FolderError> {
    let folder = Folder::open(&settings.path)?;
    let path = folder.purge_log();
    let mut log = match PurgeLog::read(&path)? {
        Some(content) => PurgeLog::after(content, settings.purges),
        None if remove_all(&settings.path) => PurgeLog::new(settings.purges),
        None => return Err(io::Error::from(io::ErrorKind::PermissionDenied).into()),
    };
    log.write_anew(&path)?;
    Ok((folder, log))
}

impl Shared {
    /// Runs `work` on a thread that reads, and waits for it as long as a read may take.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TierMiss> {
        let (done, answer) = oneshot::channel();
        let is_queued = self.pool.submit(Box::new(move || {
            // Nobody waits any more: the disk has enough to do.
            if !done.is_closed() {
                let _ = done.send(work());
            }
        }));
        if !is_queued {
            return Err(TierMiss::Busy);
        }
        match tokio::time::timeout(self.settings.read_timeout, answer).await {
            Ok(Ok(answer)) => {
                self.health.note_answer();
                Ok(answer)
            }
            Ok(Err(_)) => Err(TierMiss::Failed),
            Err(_) => {
                if self.health.note_slow() {
                    self.reading_failed(Off::Unresponsive);
                }
                Err(TierMiss::Slow)
            }
        }
    }

    /// The piece of `content` that begins at `from`, if it can be had.
    async fn read_window(&self, content: Content, from: u64) -> Option<Bytes> {
        let (digest, link) = (content.digest, content.link);
        match self.read(move || content.read(from)).await {
            Ok(Ok(window)) => {
                if window.is_none() {
                    self.stats.unusable.fetch_add(1, Ordering::Relaxed);
                    // Who asks next gets it from elsewhere, also after a restart.
                    if self.index.lock().forget_content(&digest, link) {
                        self.queue.write_forgotten();
                    }
                }
                window
            }
            Ok(Err(error)) => {
                self.reading_failed(off_for(&error));
                None
            }
            Err(_) => None,
        }
    }

    fn reading_failed(&self, off: Off) {
        self.health.turn_off(off);
        self.queue.kick();
    }
}

fn first(uri: &[u8; 32]) -> u64 {
    uri.first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl Drop for DiskTier {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for DiskTier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DiskTier")
            .field("path", &self.shared.settings.path)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
