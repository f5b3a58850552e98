//! A store in a file of this node. Its I/O has threads of its own: one writes,
//! what waits together in one transaction, and is on the disk before anybody is
//! told; two read. Waiting is bounded in number, bytes and time.

mod entry;
mod file;
mod queue;
mod tables;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use verge_base::Clock;
use verge_config::KvLimits;
use verge_runtime::capabilities::{KvError, KvFuture, KvOp, KvReply};

use self::file::File;
use self::queue::{Job, Queue};
pub(super) use self::tables::Totals;

/// Threads that read.
const READERS: usize = 2;

/// How often it is looked for entries whose time is over while nothing is written.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// How long a stop waits for what is being written: a disk that hangs must not keep the node.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Entries that one step of a sweep removes.
const SWEEP_STEP: usize = 1000;

/// See the module.
pub(super) struct DiskStore {
    inner: Arc<Inner>,
    /// Each thread has a sender, which goes with it.
    threads: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

struct Inner {
    queue: Queue,
    file: File,
    clock: Clock,
    swept: AtomicU64,
}

impl DiskStore {
    /// Opens the file, or makes it. Blocks, for long if the file was not closed.
    pub(super) fn open(path: &Path, memory: usize, clock: Clock) -> Result<Self, String> {
        let inner = Arc::new(Inner {
            queue: Queue::new(),
            file: File::open(path, memory, clock.clone())?,
            clock,
            swept: AtomicU64::new(0),
        });
        let store = Self {
            inner,
            threads: Mutex::new(Some(mpsc::channel())),
        };
        let spawned = store.spawn("verge-kv-write", Inner::write);
        let spawned = (0..READERS).fold(spawned, |spawned, _| {
            spawned.and_then(|()| store.spawn("verge-kv-read", Inner::read))
        });
        spawned.map_err(|error| format!("its threads cannot be started: {error}"))?;
        Ok(store)
    }

    fn spawn(&self, name: &str, work: fn(&Inner)) -> std::io::Result<()> {
        let inner = Arc::clone(&self.inner);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let threads = self.threads.lock();
        let alive = threads.as_ref().map(|(sender, _)| sender.clone());
        thread.spawn(move || {
            work(&inner);
            drop(alive);
        })?;
        Ok(())
    }

    /// Does an operation on the threads of the store.
    pub(super) fn run(&self, op: KvOp, limits: &KvLimits) -> KvFuture {
        let (answer, told) = oneshot::channel();
        let job = Job {
            op,
            max_bytes: limits.max_bytes,
            due: self.inner.clock.now() + limits.timeout,
            answer,
        };
        let timeout = limits.timeout;
        if let Err(error) = self.inner.queue.push(job, limits) {
            return Box::pin(std::future::ready(Err(error)));
        }
        Box::pin(async move {
            match tokio::time::timeout(timeout, told).await {
                Ok(Ok(done)) => done,
                Ok(Err(_)) => Err(KvError::Unavailable),
                Err(_) => Err(KvError::TimedOut),
            }
        })
    }

    /// What is there.
    pub(super) fn totals(&self) -> Totals {
        self.inner.file.totals()
    }

    /// Operations that wait.
    pub(super) fn waiting(&self) -> usize {
        self.inner.queue.len()
    }

    /// Entries that sweeps have removed.
    pub(super) fn swept(&self) -> u64 {
        self.inner.swept.load(Ordering::Relaxed)
    }

    /// Whether the file can be used.
    pub(super) fn is_usable(&self) -> bool {
        self.inner.file.is_usable()
    }

    /// Writes what is waiting and closes the file, if its disk answers.
    pub(super) fn stop(&self) {
        self.stop_within(STOP_PATIENCE);
    }

    fn stop_within(&self, patience: Duration) {
        self.inner.queue.close();
        let Some((sender, ended)) = self.threads.lock().take() else {
            return;
        };
        drop(sender);
        match ended.recv_timeout(patience) {
            // All senders are gone, and with them the threads' work.
            Ok(()) | Err(RecvTimeoutError::Disconnected) => self.inner.file.close(),
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("a key-value store does not end in time: its disk hangs");
            }
        }
    }
}

/// What waits is still written, and the file closed by whoever uses it last.
impl Drop for DiskStore {
    fn drop(&mut self) {
        self.inner.queue.close();
    }
}

impl Inner {
    /// What the thread does that writes.
    fn write(&self) {
        while let Some(jobs) = self.queue.writes(SWEEP_EVERY) {
            let jobs: Vec<Job> = jobs.into_iter().filter(|job| self.is_wanted(job)).collect();
            if !jobs.is_empty() {
                self.write_together(jobs);
            }
            self.file.reopen_if_due();
            self.sweep();
        }
    }

    fn write_together(&self, jobs: Vec<Job>) {
        let now = self.file.wall_ms();
        let (ops, answers): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .map(|job| ((job.op, job.max_bytes), job.answer))
            .unzip();
        let done = self.file.write(|writing| {
            let ops = ops.into_iter();
            ops.map(|(op, max_bytes)| writing.apply(op, max_bytes, now))
                .collect::<Result<Vec<_>, _>>()
        });
        match done {
            Ok(replies) => {
                for (answer, reply) in answers.into_iter().zip(replies) {
                    // Nobody may wait any more.
                    let _ = answer.send(reply);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error));
                }
            }
        }
    }

    /// Removes entries whose time is over, until something waits to be written.
    fn sweep(&self) {
        let now = self.file.wall_ms();
        while self.file.has_ended(now) && !self.queue.has_writes() {
            let Ok(removed) = self.file.write(|writing| writing.sweep(SWEEP_STEP, now)) else {
                return;
            };
            self.swept.fetch_add(removed as u64, Ordering::Relaxed);
            if removed == 0 {
                return;
            }
        }
    }

    /// What a thread does that reads.
    fn read(&self) {
        while let Some(job) = self.queue.read() {
            if self.is_wanted(&job) {
                let reply = self.answer_read(&job.op);
                let _ = job.answer.send(reply);
            }
        }
    }

    fn answer_read(&self, op: &KvOp) -> Result<KvReply, KvError> {
        let now = self.file.wall_ms();
        match op {
            KvOp::Get { key } => self.file.read(|entries| {
                let found = tables::get(entries, key, now)?;
                Ok(KvReply::Entry(found))
            }),
            KvOp::Exists { key } => self.file.read(|entries| {
                let found = tables::head(entries, key)?;
                Ok(KvReply::Flag(found.is_some_and(|head| head.is_live(now))))
            }),
            KvOp::List {
                prefix,
                after,
                limit,
            } => self.file.read(|entries| {
                let page = tables::list(entries, prefix, after.as_deref(), *limit, now)?;
                Ok(KvReply::Page(page))
            }),
            KvOp::Set { .. } | KvOp::Delete { .. } | KvOp::Increment { .. } | KvOp::Swap { .. } => {
                Err(KvError::Unavailable)
            }
        }
    }

    /// Whether somebody still waits for it; nothing of it has been done.
    fn is_wanted(&self, job: &Job) -> bool {
        !job.answer.is_closed() && self.clock.now() < job.due
    }
}

#[cfg(test)]
mod tests;
