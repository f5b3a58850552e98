//! Key-value stores: those that are open, by name, and what each operation
//! costs. A store's entries are in a file of this node or in the region's Redis.

mod disk;
mod region;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use verge_base::Clock;
use verge_config::{KvBackend, KvLimits};
use verge_runtime::KvStore;
use verge_runtime::capabilities::{KvError, KvFuture, KvOp, KvReply};
use verge_shared::Shared;

use self::disk::DiskStore;
use self::region::RegionStore;
use crate::telemetry::sample::KvSample;
use crate::telemetry::{KvMetrics, Metrics};

/// All stores of the node; they outlive generations.
pub struct Stores {
    clock: Clock,
    metrics: Metrics,
    shared: Option<Arc<Shared>>,
    /// Whether files are opened at all.
    opens: bool,
    /// By file: a store that is renamed, or gets other bounds, goes on with the same one.
    disks: Mutex<BTreeMap<PathBuf, Arc<DiskStore>>>,
    /// Those of one name, the newest last: a generation that is refused takes its own along, and
    /// leaves the one that serves.
    named: Mutex<BTreeMap<Arc<str>, Vec<Weak<Store>>>>,
}

/// One store, with the bounds that a generation gives it.
pub(crate) struct Store {
    settings: verge_config::KvStore,
    backend: Backend,
    clock: Clock,
    metrics: Arc<KvMetrics>,
}

enum Backend {
    Disk(Arc<DiskStore>),
    Region(RegionStore),
    /// For a configuration that is only looked at.
    None,
}

impl Stores {
    /// None yet.
    #[must_use]
    pub fn new(clock: Clock, metrics: Metrics, shared: Option<Arc<Shared>>) -> Self {
        Self {
            clock,
            metrics,
            shared,
            opens: true,
            disks: Mutex::default(),
            named: Mutex::default(),
        }
    }

    /// Stores that are never opened and that nothing can use: to check a configuration beside a
    /// node that serves.
    #[must_use]
    pub fn unopened(clock: Clock, metrics: Metrics) -> Self {
        Self {
            opens: false,
            ..Self::new(clock, metrics, None)
        }
    }

    /// Whether this is for a node that serves.
    pub(crate) fn opens(&self) -> bool {
        self.opens
    }

    /// The store of these settings, opened if it is not yet. Blocks: not for threads that serve.
    pub(crate) fn open(&self, settings: &verge_config::KvStore) -> Result<Arc<Store>, String> {
        let known = self.named.lock().get(&settings.name).cloned();
        let mut known = known.unwrap_or_default().into_iter();
        let known = known.find_map(|store| {
            let store = store.upgrade()?;
            (store.settings == *settings).then_some(store)
        });
        if let Some(store) = known {
            return Ok(store);
        }
        let store = Arc::new(Store {
            backend: self.backend(settings)?,
            settings: settings.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.kv(&settings.name),
        });
        let mut named = self.named.lock();
        let stores = named.entry(Arc::clone(&settings.name)).or_default();
        stores.retain(|store| store.strong_count() > 0);
        stores.push(Arc::downgrade(&store));
        Ok(store)
    }

    fn backend(&self, settings: &verge_config::KvStore) -> Result<Backend, String> {
        if !self.opens {
            return Ok(Backend::None);
        }
        match (settings.backend(), &settings.path) {
            (KvBackend::Disk, Some(path)) => {
                let mut disks = self.disks.lock();
                // What no generation uses any more is closed here.
                disks.retain(|known, disk| known == path || Arc::strong_count(disk) > 1);
                if let Some(disk) = disks.get(path) {
                    return Ok(Backend::Disk(Arc::clone(disk)));
                }
                let memory = settings.limits.memory;
                let disk = DiskStore::open(path, memory, self.clock.clone())?;
                let disk = Arc::new(disk);
                disks.insert(path.clone(), Arc::clone(&disk));
                Ok(Backend::Disk(disk))
            }
            _ => match &self.shared {
                Some(shared) => {
                    let kv = shared.kv().clone();
                    let name = Arc::clone(&settings.name);
                    Ok(Backend::Region(RegionStore::new(kv, name)))
                }
                None => Err("there was no [redis] when the node started".to_owned()),
            },
        }
    }

    /// What each store on a disk holds.
    #[must_use]
    pub fn sample(&self) -> Vec<KvSample> {
        let named = self.named.lock();
        let newest = |stores: &Vec<Weak<Store>>| stores.iter().rev().find_map(Weak::upgrade);
        let stores = named.values().filter_map(newest);
        stores.filter_map(|store| store.sample()).collect()
    }

    /// Closes all files, with what is waiting written. What is asked later fails.
    pub fn stop(&self) {
        let disks = std::mem::take(&mut *self.disks.lock());
        for disk in disks.values() {
            disk.stop();
        }
    }
}

impl Store {
    /// What it was built from.
    pub(crate) fn settings(&self) -> &verge_config::KvStore {
        &self.settings
    }

    fn sample(&self) -> Option<KvSample> {
        let Backend::Disk(disk) = &self.backend else {
            return None;
        };
        let totals = disk.totals();
        Some(KvSample {
            store: Arc::clone(&self.settings.name),
            bytes: totals.bytes,
            limit_bytes: self.settings.limits.max_bytes,
            entries: totals.entries,
            waiting: disk.waiting() as u64,
            swept: disk.swept(),
            usable: disk.is_usable(),
        })
    }
}

impl KvStore for Store {
    fn run(&self, op: KvOp) -> KvFuture {
        let label = op.label();
        let doing = match check(&op, &self.settings.limits) {
            Err(error) => Box::pin(std::future::ready(Err(error))) as KvFuture,
            Ok(()) => match &self.backend {
                Backend::Disk(disk) => disk.run(op, &self.settings.limits),
                Backend::Region(region) => region.run(op),
                Backend::None => Box::pin(std::future::ready(Err(KvError::Unavailable))),
            },
        };
        Box::pin(Counted {
            doing,
            label,
            begun: self.clock.now(),
            clock: self.clock.clone(),
            metrics: Some(Arc::clone(&self.metrics)),
        })
    }
}

/// Whether key and value are within the store's bounds.
fn check(op: &KvOp, limits: &KvLimits) -> Result<(), KvError> {
    if let Some(key) = op.key()
        && (key.is_empty() || key.len() > limits.max_key)
    {
        return Err(KvError::KeyInvalid);
    }
    if let KvOp::List { prefix, after, .. } = op
        && prefix.len().max(after.as_ref().map_or(0, String::len)) > limits.max_key
    {
        return Err(KvError::KeyInvalid);
    }
    let written = op.value().map_or(0, <[u8]>::len);
    let expected = op.expected_value().map_or(0, <[u8]>::len);
    if written.max(expected) > limits.max_value {
        return Err(KvError::ValueTooLarge);
    }
    Ok(())
}

/// An operation that is counted when it ends, also when nobody waits for its end.
struct Counted {
    doing: KvFuture,
    label: &'static str,
    begun: Instant,
    clock: Clock,
    metrics: Option<Arc<KvMetrics>>,
}

impl Counted {
    fn took(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.begun)
    }
}

impl Future for Counted {
    type Output = Result<KvReply, KvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(done) = self.doing.as_mut().poll(context) else {
            return Poll::Pending;
        };
        if let Some(metrics) = self.metrics.take() {
            metrics.record(self.label, outcome(&done), self.took());
        }
        Poll::Ready(done)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(metrics) = self.metrics.take() {
            metrics.record(self.label, "abandoned", self.took());
        }
    }
}

/// The word for metrics.
fn outcome(done: &Result<KvReply, KvError>) -> &'static str {
    match done {
        Ok(KvReply::Entry(None) | KvReply::Flag(false)) => "absent",
        Ok(KvReply::Swapped(Err(_))) => "conflict",
        Ok(
            KvReply::Entry(Some(_))
            | KvReply::Flag(true)
            | KvReply::Version(_)
            | KvReply::Number(_)
            | KvReply::Swapped(Ok(_))
            | KvReply::Page(_),
        ) => "done",
        Err(error) => error.label(),
    }
}
