//! What is not counted as it happens but looked up when metrics are scraped:
//! sizes and levels that other parts of the node know. The node fills it in.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;
use verge_base::Permits;
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
    /// Every limit that is a count of permits.
    pub limits: Vec<LimitSample>,
    /// Every pool of connections to an origin.
    pub pools: Vec<PoolSample>,
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
    /// The most bytes it may hold.
    pub limit_bytes: u64,
    /// Stored responses.
    pub entries: u64,
    /// Fills in progress.
    pub fills: u64,
    /// Stored responses put out for room since the start.
    pub evictions: u64,
    /// Requests that followed another one's fill since the start.
    pub collapsed: u64,
    /// Purges and invalidations since the start, by the word of their scope.
    pub purges: Vec<(&'static str, u64)>,
    /// Responses that were not stored since the start, by reason.
    pub refusals: Vec<(&'static str, u64)>,
    /// Purged responses that sweeps freed since the start.
    pub swept_removed: u64,
    /// Purged responses that sweeps made stale since the start.
    pub swept_softened: u64,
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

/// The access log's sums since the start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct AccessLogSample {
    /// Lines written.
    pub written: u64,
    /// Lines dropped, because the writer did not keep up or failed.
    pub dropped: u64,
}
