//! What is not counted as it happens but looked up when metrics are scraped:
//! sizes and levels that other parts of the node know. The node fills it in.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use verge_base::Permits;
use verge_cache::SiteEvictions;
use verge_cache::disk::DiskStats;
use verge_cache::tier::Off;
use verge_shared::SharedSample;

/// The node's levels at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// Whether the node wants traffic.
    pub ready: bool,
    /// Whether the node is finishing old work.
    pub draining: bool,
    /// The cache.
    pub cache: CacheSample,
    /// The disk beside the cache, if there is one.
    pub disk: Option<DiskSample>,
    /// Every limit that is a count of permits.
    pub limits: Vec<LimitSample>,
    /// Every pool of connections to an origin.
    pub pools: Vec<PoolSample>,
    /// Instances that wait for calls, of each function that has such.
    pub idle: Vec<IdleSample>,
    /// Which versions of functions run, and for which part of the requests.
    pub shares: Vec<ShareSample>,
    /// Functions whose versions are not kept on disk as they are.
    pub unkept: u64,
    /// Key-value stores on disk.
    pub kv: Vec<KvSample>,
    /// The access log.
    pub access_log: AccessLogSample,
    /// What is shared with other nodes, if anything is.
    #[serde(skip)]
    pub shared: Option<SharedSample>,
}

/// The cache's levels.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CacheSample {
    /// Bytes held, fills in progress included.
    pub bytes: u64,
    /// Bytes of what it remembers beside responses: purges, refusals, marks.
    pub table_bytes: u64,
    /// The most bytes it may hold, tables included.
    pub limit_bytes: u64,
    /// Stored responses.
    pub entries: u64,
    /// Fills in progress.
    pub fills: u64,
    /// Stored responses put out for room since the start.
    pub evictions: u64,
    /// The same by site.
    pub evicted: Vec<EvictedSample>,
    /// Requests that followed another one's fill since the start.
    pub collapsed: u64,
    /// Purges and invalidations since the start, by the word of their scope.
    #[serde(serialize_with = "by_name")]
    pub purges: Vec<(&'static str, u64)>,
    /// Responses that were not stored since the start, by reason.
    #[serde(serialize_with = "by_name")]
    pub refusals: Vec<(&'static str, u64)>,
    /// Purged responses that sweeps freed since the start.
    pub swept_removed: u64,
    /// Purged responses that sweeps made stale since the start.
    pub swept_softened: u64,
    /// Times that stored pieces gave way because there were too many, since the start.
    pub pieces_dropped: u64,
}

/// What was put out for room of one site since the start.
#[derive(Clone, Debug, Serialize)]
pub struct EvictedSample {
    /// The site's name; `None` for what is of no site.
    pub site: Option<Arc<str>>,
    /// Stored responses.
    pub evictions: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl From<SiteEvictions> for EvictedSample {
    fn from(counted: SiteEvictions) -> Self {
        Self {
            site: counted.site,
            evictions: counted.evictions,
            bytes: counted.bytes,
        }
    }
}

/// The disk's levels and sums.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DiskSample {
    /// Why it is not used, if it is not.
    pub off: Option<&'static str>,
    /// Bytes there.
    pub bytes: u64,
    /// The most bytes there may be.
    pub limit_bytes: u64,
    /// Responses that can be found.
    pub entries: u64,
    /// Bytes of content that wait to be written.
    pub queued_bytes: u64,
    /// Bytes written since the start.
    pub written_bytes: u64,
    /// Segments removed for room since the start.
    pub evictions: u64,
    /// Responses that turned out to be damaged, or of no known age.
    pub unusable: u64,
    /// Times that it was turned off.
    pub failures: u64,
    /// Responses that were not written, by reason.
    #[serde(serialize_with = "by_name")]
    pub dropped: [(&'static str, u64); 4],
}

/// Numbers with their names, as one object.
fn by_name<S: Serializer>(
    pairs: impl AsRef<[(&'static str, u64)]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.as_ref().iter().copied())
}

impl From<DiskStats> for DiskSample {
    fn from(stats: DiskStats) -> Self {
        Self {
            off: stats.off.map(Off::label),
            bytes: stats.bytes,
            limit_bytes: stats.bytes_max,
            entries: stats.records,
            queued_bytes: stats.queued_bytes,
            written_bytes: stats.written_bytes,
            evictions: stats.evicted,
            unusable: stats.unusable,
            failures: stats.times_off,
            dropped: [
                ("too-large", stats.dropped_too_large),
                ("queue-full", stats.dropped_queue_full),
                ("over-rate", stats.dropped_over_rate),
                ("off", stats.dropped_off),
            ],
        }
    }
}

/// One limit's level.
#[derive(Clone, Debug, Serialize)]
pub struct LimitSample {
    /// The limit's name.
    pub name: &'static str,
    /// Places taken.
    pub in_use: u64,
    /// Places there are.
    pub limit: u64,
    /// Refusals since the start.
    pub refused: u64,
}

impl From<&Permits> for LimitSample {
    fn from(permits: &Permits) -> Self {
        Self {
            name: permits.name(),
            in_use: permits.in_use() as u64,
            limit: permits.limit() as u64,
            refused: permits.refused(),
        }
    }
}

/// One pool's level.
#[derive(Clone, Debug, Serialize)]
pub struct PoolSample {
    /// The origin's name.
    pub origin: Arc<str>,
    /// The address that the pool connects to.
    pub address: SocketAddr,
    /// Connections that wait for a request.
    pub idle: u64,
    /// Connections that serve a request.
    pub in_use: u64,
    /// Requests that wait for a connection.
    pub queued: u64,
}

/// Instances of a function that wait for calls.
#[derive(Clone, Debug, Serialize)]
pub struct IdleSample {
    /// The function's name.
    pub function: Arc<str>,
    /// How many there are.
    pub instances: u64,
}

/// A version of a function that runs.
#[derive(Clone, Debug, Serialize)]
pub struct ShareSample {
    /// The function's name.
    pub function: Arc<str>,
    /// The version, as in other metrics.
    pub version: String,
    /// Its part of the requests, 0 to 1.
    pub ratio: f64,
}

/// One key-value store on disk.
#[derive(Clone, Debug, Serialize)]
pub struct KvSample {
    /// The store's name.
    pub store: Arc<str>,
    /// Bytes as they count for its limit.
    pub bytes: u64,
    /// Its limit.
    pub limit_bytes: u64,
    /// Entries, those included that have ended and were not swept yet.
    pub entries: u64,
    /// Operations that wait.
    pub waiting: u64,
    /// Entries that were swept since the start.
    pub swept: u64,
    /// Whether its file can be used.
    pub usable: bool,
}

/// The access log's sums since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct AccessLogSample {
    /// Lines written.
    pub written: u64,
    /// Lines dropped, because the writer did not keep up or failed.
    pub dropped: u64,
}
