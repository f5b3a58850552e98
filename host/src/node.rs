//! The node: what lasts from start to exit, and how it starts and stops.

mod admin_source;
mod handler;
mod listener_settings;
mod options;
mod purging;
mod region;
mod start;
mod stop;
mod tiers;
mod versions;
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use verge_base::{Clock, Permits, Random};
use verge_cache::Cache;
use verge_cache::disk::DiskTier;
use verge_cache::tier::Tiers;
use verge_runtime::capabilities::RateCounters;
use verge_shared::Shared;

pub use options::{Front, Overlay, StartOptions};
pub(crate) use purging::purge_site_url;
pub(crate) use start::admin_token;
pub use start::{StartError, engine_settings, start, start_at, start_with};
pub use stop::StopReport;

use listener_settings::listener_settings;

use crate::admin::AdminAuth;
use crate::deferred::DeferredRoom;
use crate::deploy::ShadowRoom;
use crate::generation::{Foundation, Generation};
use crate::listener::{Drain, ListenerSettings, TlsTerminator};
use crate::pipeline::compress::Compression;
use crate::reload::Reloads;
use crate::telemetry::Telemetry;

/// What every request, reload and admin call shares.
pub struct NodeState {
    /// The clock of all ages and deadlines.
    pub clock: Clock,
    /// Randomness for ids and jitter.
    pub random: Random,
    /// The snapshot that new requests live on.
    pub generation: ArcSwap<Generation>,
    /// What generations are built on.
    pub foundation: Foundation,
    /// The cache; it outlives generations.
    pub cache: Cache,
    /// What is shared with other nodes, if anything is.
    pub shared: Option<Arc<Shared>>,
    /// Where stored responses are kept beside memory.
    pub tiers: Tiers,
    /// The disk among them.
    pub disk: Option<Arc<DiskTier>>,
    /// Where receipts go.
    pub telemetry: Telemetry,
    /// Connections, as a limit.
    pub connections: Permits,
    /// Requests in flight, as a limit.
    pub requests: Permits,
    /// Fetches that may go on without their client, as a limit.
    pub detached_fetches: Permits,
    /// Room for what functions leave for after the response.
    pub deferred: DeferredRoom,
    /// Where versions run in the shadow of live ones.
    pub shadows: ShadowRoom,
    /// How often functions purge, each by its name.
    pub purge_rates: RateCounters,
    /// Validations in the background, as a limit.
    pub background_validations: Permits,
    /// Requests that find out which slices are kept in tiers, as a limit.
    pub slice_lookups: Permits,
    /// What compresses responses.
    pub compression: Compression,
    /// The one switch of all listeners.
    pub drain: Drain,
    /// TLS for all listeners, if there are certificates.
    pub tls: Option<TlsTerminator>,
    /// What listeners allow their clients.
    pub listener_settings: Arc<ArcSwap<ListenerSettings>>,
    /// Reloading.
    pub reloads: Reloads,
    /// Stands in front of the pipeline while somebody develops; none where a node serves.
    pub front: Option<Arc<dyn Front>>,
    /// When the node started.
    pub started: SystemTime,
    /// Who may use the admin API.
    pub admin_auth: AdminAuth,
    /// When a drain that has begun will cut what is left.
    pub drain_deadline: Mutex<Option<Instant>>,
    is_ready: AtomicBool,
}

impl NodeState {
    /// Whether balancers should send requests here.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Makes `next` the generation of all later requests.
    pub fn swap(&self, next: Generation) {
        if let (Some(tls), Some(certificates)) = (&self.tls, &next.certificates) {
            tls.replace_certificates(Arc::clone(certificates));
        }
        self.connections.set_limit(next.config.limits.connections);
        self.listener_settings
            .store(Arc::new(listener_settings(&next.config)));
        let limits = &next.config.limits;
        self.requests.set_limit(limits.requests);
        self.detached_fetches.set_limit(limits.detached_fetches);
        self.deferred.places.set_limit(limits.deferred);
        let shadows = next.config.deploy.shadow_calls;
        self.shadows.places().set_limit(shadows);
        self.background_validations
            .set_limit(limits.background_validations);
        self.slice_lookups.set_limit(limits.slice_lookups);
        self.compression
            .jobs
            .set_limit(next.config.compression.jobs);
        self.generation.store(Arc::new(next));
    }
}

/// Where a node listens.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Plaintext.
    pub http: Vec<SocketAddr>,
    /// TLS.
    pub https: Vec<SocketAddr>,
    /// The admin API.
    pub admin: Vec<SocketAddr>,
}

/// A node that serves.
pub struct RunningNode {
    addresses: Addresses,
    state: Arc<NodeState>,
    control: tokio::runtime::Handle,
    workers: workers::Workers,
    control_thread: Option<std::thread::JoinHandle<()>>,
    end_control: Option<tokio::sync::oneshot::Sender<()>>,
}

impl RunningNode {
    /// Where it listens, ports resolved.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What it shares with its requests.
    #[must_use]
    pub fn state(&self) -> &Arc<NodeState> {
        &self.state
    }
}
