//! The receipt: what one request cost, stage by stage.
//!
//! Plain data that the pipeline fills in as the request goes; reading clocks,
//! counting and printing happen elsewhere. It copies no text: what names a
//! thing is shared with the generation or with the request's own head.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderValue, Method, StatusCode, Uri, Version};
use smallvec::SmallVec;
use verge_http::Failure;
use verge_http::cache_status::{Forward, Outcome};

pub use verge_runtime::{StartClass, Trigger};

use super::handles::{FunctionMetrics, OriginMetrics, RouteLabel};
use super::span::{RequestId, TraceContext};

/// What one request cost.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The id that the client, the origin and the log are told.
    pub id: RequestId,
    /// The trace this request belongs to, if a trusted peer began one.
    pub trace: Option<TraceContext>,
    /// When the request's head was complete.
    pub started: Instant,
    /// The same moment on the wall clock, for the log.
    pub started_wall: SystemTime,
    /// The client's address: of the connection, or of the last trusted hop.
    pub client: Option<IpAddr>,
    /// The client's TLS handshake, on the connection's first request only.
    pub tls: Option<TlsReceipt>,
    /// The protocol version of the client's connection.
    pub protocol: Version,
    /// The request method, as received.
    pub method: Method,
    /// The target URI (RFC 9110 7.1) as received, before any function changed
    /// it; `None` if the head was refused before it had one. A clone shares its text.
    pub target: Option<Uri>,
    /// The `User-Agent` field, if it is to be logged.
    pub user_agent: Option<HeaderValue>,
    /// The site and route that answered; `None` if none was found.
    pub route: Option<Arc<RouteLabel>>,
    /// The status sent to the client; `None` if no head was sent.
    pub status: Option<StatusCode>,
    /// Bytes of request content read from the client.
    pub received_bytes: u64,
    /// Bytes of response content handed to the client's connection.
    pub sent_bytes: u64,
    /// How long the request waited for permits.
    pub queue: Duration,
    /// From the start to the first byte of the response, once there is one.
    pub first_byte: Option<Duration>,
    /// From the start to the last byte, or to the abort.
    pub total: Duration,
    /// Every trigger that ran for this request, in order.
    pub triggers: SmallVec<[TriggerReceipt; 2]>,
    /// What the cache said; `None` if it was not asked.
    pub cache: Option<CacheReceipt>,
    /// The exchange with an origin; `None` if there was none for this request.
    pub origin: Option<OriginReceipt>,
    /// Why the request was not answered as asked.
    pub failure: Option<Failure>,
    /// Whether the client went away before the last byte.
    pub aborted: bool,
}

impl Receipt {
    /// A receipt of a request whose head was complete at `started`.
    #[must_use]
    pub fn begin(id: RequestId, started: Instant, started_wall: SystemTime) -> Self {
        Self {
            id,
            trace: None,
            started,
            started_wall,
            client: None,
            tls: None,
            protocol: Version::HTTP_11,
            method: Method::GET,
            target: None,
            user_agent: None,
            route: None,
            status: None,
            received_bytes: 0,
            sent_bytes: 0,
            queue: Duration::ZERO,
            first_byte: None,
            total: Duration::ZERO,
            triggers: SmallVec::new(),
            cache: None,
            origin: None,
            failure: None,
            aborted: false,
        }
    }

    /// Notes that the response head with `status` went out at `now`. The first call counts.
    pub fn note_first_byte(&mut self, status: StatusCode, now: Instant) {
        if self.first_byte.is_none() {
            self.status = Some(status);
            self.first_byte = Some(now.saturating_duration_since(self.started));
        }
    }

    /// Notes that the exchange ended at `now`, complete or not.
    pub fn note_end(&mut self, now: Instant) {
        self.total = now.saturating_duration_since(self.started);
    }
}

/// The client's TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsReceipt {
    /// The version, as `1.3` or `1.2`.
    pub version: &'static str,
    /// From the accepted connection to the end of the handshake.
    pub handshake: Duration,
    /// Whether a session was resumed.
    pub resumed: bool,
}

/// The first six bytes of a component's SHA-256; printed in hex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FunctionDigest(pub [u8; 6]);

impl FunctionDigest {
    /// The start of a full `digest`; missing bytes are zero.
    #[must_use]
    pub fn from_full(digest: &[u8]) -> Self {
        let mut short = [0; 6];
        for (to, from) in short.iter_mut().zip(digest) {
            *to = *from;
        }
        Self(short)
    }
}

impl fmt::Display for FunctionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What one call of a trigger cost.
#[derive(Clone, Debug)]
pub struct TriggerReceipt {
    /// The function, with its name.
    pub function: Arc<FunctionMetrics>,
    /// The component that ran.
    pub digest: FunctionDigest,
    /// Which trigger ran.
    pub trigger: Trigger,
    /// How the instance came to this request; `None` if none ever started
    /// (no free slot, or the function is quarantined).
    pub start_class: Option<StartClass>,
    /// From the wish for an instance to its being ready to be called.
    pub start: Duration,
    /// Time the guest itself ran.
    pub cpu: Duration,
    /// Time from the call to its outcome.
    pub wall: Duration,
    /// How many hostcalls it made.
    pub hostcalls: u64,
    /// How many requests it sent.
    pub fetches: u32,
    /// How long it waited for the heads of their responses, all requests together.
    pub fetch_time: Duration,
    /// The most linear memory it held, in bytes.
    pub memory_peak_bytes: u64,
    /// The outcome's word, as `continued`, `responded`, `function-trapped`.
    pub outcome: &'static str,
}

/// What the cache did for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheReceipt {
    /// Hit, or why the request was forwarded.
    pub outcome: Outcome,
    /// Whether the response is being stored (RFC 9211 2.5).
    pub stored: bool,
    /// Whether the request waited for another's fill (RFC 9211 2.6).
    pub collapsed: bool,
    /// How long it waited for that fill's response head.
    pub collapsed_wait: Duration,
    /// How long the lookup took.
    pub lookup: Duration,
    /// Remaining freshness in seconds, negative when stale (RFC 9211 2.4).
    pub ttl_seconds: Option<i64>,
    /// The status of the forwarded request's response (RFC 9211 2.3).
    pub forward_status: Option<StatusCode>,
    /// The tier that had the response, if it was not memory.
    pub tier: Option<&'static str>,
    /// The precise reason, one word.
    pub detail: Option<&'static str>,
    /// Whether what is stored stands in for an origin that failed in this request.
    pub stands_in: bool,
}

impl CacheReceipt {
    /// An outcome with nothing else known yet.
    #[must_use]
    pub const fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            stored: false,
            collapsed: false,
            collapsed_wait: Duration::ZERO,
            lookup: Duration::ZERO,
            ttl_seconds: None,
            forward_status: None,
            tier: None,
            detail: None,
            stands_in: false,
        }
    }

    /// Forwarded for `reason`, which `detail` says more precisely.
    #[must_use]
    pub const fn forwarded(reason: Forward, detail: Option<&'static str>) -> Self {
        let mut receipt = Self::new(Outcome::Forward(reason));
        receipt.detail = detail;
        receipt
    }
}

/// What one exchange with an origin cost, its retries included.
#[derive(Clone, Debug)]
pub struct OriginReceipt {
    /// The origin, with its name.
    pub origin: Arc<OriginMetrics>,
    /// The address of the last attempt, if one was chosen.
    pub address: Option<SocketAddr>,
    /// Whether the last attempt used a connection that had served before.
    pub reused: bool,
    /// How long the request waited for a place in the pool.
    pub queue: Duration,
    /// Time to connect, if a connection was made.
    pub connect: Option<Duration>,
    /// Time for the TLS handshake, if there was one.
    pub tls: Option<Duration>,
    /// From the request's first byte out to the response head.
    pub first_byte: Option<Duration>,
    /// Attempts after the first.
    pub retries: u32,
    /// The status of the origin's response.
    pub status: Option<StatusCode>,
    /// Why the exchange failed, if it did.
    pub failure: Option<Failure>,
    /// Whether a fill reads the content: then the fill counts what goes wrong with it, whoever
    /// is still there to see.
    pub is_filling: bool,
}

impl OriginReceipt {
    /// An exchange that has not begun.
    #[must_use]
    pub fn new(origin: Arc<OriginMetrics>) -> Self {
        Self {
            origin,
            address: None,
            reused: false,
            queue: Duration::ZERO,
            connect: None,
            tls: None,
            first_byte: None,
            retries: 0,
            status: None,
            failure: None,
            is_filling: false,
        }
    }
}

/// What one fill of the cache cost. A fill outlives the request that began it
/// and serves others, so it has a receipt of its own.
#[derive(Clone, Debug)]
pub struct FillReceipt {
    /// The request that began it.
    pub id: RequestId,
    /// From its start to its last byte, or to its failure.
    pub total: Duration,
    /// Bytes of content received.
    pub received_bytes: u64,
    /// How it ended, one word: `stored`, `freshened`, or why nothing was stored.
    pub outcome: &'static str,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}
