//! All that a node shares with others, as one value: its thread, its uses of
//! Redis, and what they tell about themselves.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use verge_base::{Clock, Random};
use verge_cache::tier::{Saved, Want};

use crate::kv::RegionKv;
use crate::l2::{Candidate, L2, L2Sample, LoadedResponse, LookupOutcome, SavedResponse, Saver};
use crate::lease::{Lease, Leases, Leasing};
use crate::link::{Link, LinkSample, Surroundings};
use crate::rates::RegionRates;
use crate::settings::SharedSettings;
use crate::stream::{PurgeSink, Stream, StreamSample};

/// How long a command may take that nobody waits for.
const UNHURRIED: Duration = Duration::from_secs(1);

/// What the node shares. Its I/O has a thread of its own, so that nothing of it delays
/// admin calls or requests; dropping this ends the thread.
pub struct Shared {
    parts: Parts,
    around: Arc<Surroundings>,
    kv: OnceLock<RegionKv>,
    rates: OnceLock<RegionRates>,
    clock: Clock,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Parts {
    stream: Stream,
    l2: L2,
    saver: Saver,
    leases: Leases,
    links: [Link; 4],
}

/// What the use of Redis is and has done.
#[derive(Clone, Debug)]
pub struct SharedSample {
    /// Every use.
    pub links: Vec<LinkSample>,
    /// The stream of purges.
    pub stream: StreamSample,
    /// Stored responses of the region.
    pub l2: L2Sample,
    /// What nodes did about fetches, by outcome.
    pub leases: Vec<(&'static str, u64)>,
}

impl Shared {
    /// Begins to connect, to read the stream and to publish; waits for none of it.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        settings: SharedSettings,
        clock: Clock,
        random: Random,
        target: Arc<dyn PurgeSink>,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let around = Arc::new(Surroundings {
            settings,
            clock: clock.clone(),
            random,
            runtime: runtime.handle().clone(),
        });
        let hurried = around.settings.timeout;
        let lookup = Link::new("lookup", &around, hurried);
        let lease = Link::new("lease", &around, hurried);
        let save = Link::new("save", &around, UNHURRIED);
        let publish = Link::new("publish", &around, UNHURRIED);
        let stream = Stream::new(&around, target);
        stream.start(publish.clone());
        let owed = Arc::default();
        let parts = Parts {
            l2: L2::new(&around, &stream, lookup.clone(), Arc::clone(&owed)),
            saver: Saver::start(&around, &stream, save.clone(), owed),
            leases: Leases::new(&around, lease.clone()),
            stream,
            links: [lookup, lease, save, publish],
        };
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("verge-shared".to_owned())
            .spawn(move || {
                // Ends when told to, and also when whoever would tell is gone.
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })?;
        Ok(Self {
            parts,
            around,
            kv: OnceLock::new(),
            rates: OnceLock::new(),
            clock,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// This node has purged something, and its local sequence is `sequence` since: tells the
    /// others. Never waits.
    pub fn publish(&self, sequence: u64, purge: Vec<u8>) {
        self.parts.stream.publish(sequence, purge);
    }

    /// Looks for a stored response of the key, or for its head alone. Each variant goes through `pick`, which reads
    /// it: `None` is for what does not answer the request, and of the rest the highest rank
    /// is taken.
    ///
    /// # Errors
    /// Why there is none; it is always right to fetch then.
    pub async fn load<T>(
        &self,
        key: &[u8; 32],
        want: Want,
        pick: impl FnMut(Candidate<'_>) -> Option<(SystemTime, T)>,
    ) -> Result<LoadedResponse<T>, LookupOutcome> {
        self.parts.l2.load(key, want, pick).await
    }

    /// What `read` makes of each variant that is stored for the key; for operators.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub async fn list<T>(
        &self,
        key: &[u8; 32],
        read: impl FnMut(Candidate<'_>) -> Option<T>,
    ) -> Result<Vec<T>, LookupOutcome> {
        self.parts.l2.list(key, read).await
    }

    /// Queues a response to be saved; drops it, and counts that, if there is no room. Never
    /// waits.
    pub fn save(&self, response: SavedResponse) -> Saved {
        self.parts.saver.save(response)
    }

    /// Removes all that is kept for a key, soon. Never waits.
    pub fn forget(&self, key: &[u8; 32]) {
        self.parts.saver.forget(*key);
    }

    /// Takes the lease on the fetch of a key, or waits, bounded, for the node that has it.
    /// `waited` is how long the caller has waited for this fetch before.
    pub async fn lease(&self, key: &[u8; 32], waited: Duration) -> Leasing {
        self.parts.leases.take(key, waited).await
    }

    /// Gives a lease back once all that was queued before has been saved.
    pub fn release_when_saved(&self, lease: Lease) {
        self.parts.saver.release(lease);
    }

    /// The key-value stores of the region. The first call begins to connect.
    #[must_use]
    pub fn kv(&self) -> &RegionKv {
        self.kv.get_or_init(|| RegionKv::new(&self.around))
    }

    /// The rates of the region. The first call begins to connect.
    #[must_use]
    pub fn rates(&self) -> &RegionRates {
        self.rates.get_or_init(|| RegionRates::new(&self.around))
    }

    /// Whether stored responses in Redis are used now.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.parts.stream.is_trusted(self.clock.now())
    }

    /// What everything is and has done.
    #[must_use]
    pub fn sample(&self) -> SharedSample {
        let links = self.parts.links.iter();
        let links = links.chain(self.kv.get().map(RegionKv::link));
        let links = links.chain(self.rates.get().map(RegionRates::link));
        SharedSample {
            links: links.map(Link::sample).collect(),
            stream: self.parts.stream.sample(),
            l2: self.parts.l2.sample(&self.parts.saver),
            leases: self.parts.leases.outcomes(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.parts.stream.end();
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
