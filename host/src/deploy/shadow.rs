//! A version in the shadow of the live one: what it may do (look, and change nothing), where it
//! runs (on a thread of its own), and what is known of how its answers differ.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use verge_base::{Permit, Permits};
use verge_config::Setting;
use verge_runtime::capabilities::{
    AclEntry, CallId, Capabilities, ConfigValue, GeoPlace, KvError, KvFuture, KvOp, KvStore,
    KvStores, LogField, LogLevel, MetricUpdate, RateAnswer, RateDecision, RatePolicy, Rates,
    UnknownAcl,
};
use verge_runtime::{CallEnd, FetchOutcome};

use super::refusal::{Refusal, RefusalKind};
use super::state::BesideMode;
use crate::capabilities::FunctionCapabilities;
use crate::generation::Generation;
use crate::line_budget::LineBudget;
use crate::telemetry::FunctionMetrics;

/// Differences that are remembered of a version.
const REMEMBERED: usize = 10;

/// Where shadows run: a thread that no request waits for, and room for a few calls at once.
pub struct ShadowRoom {
    places: Permits,
    runtime: Handle,
    /// Dropped with the node: then the thread ends.
    _end: oneshot::Sender<()>,
}

impl ShadowRoom {
    /// A room for so many calls at once.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(most: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("verge-shadow".to_owned());
        thread.spawn(move || {
            runtime.block_on(async {
                // Nobody sends: it resolves when the node is gone.
                let _ = ended.await;
            });
        })?;
        Ok(Self {
            places: Permits::new("shadow-calls", most),
            runtime: handle,
            _end: end,
        })
    }

    /// The places in it.
    pub(crate) const fn places(&self) -> &Permits {
        &self.places
    }

    /// Whether there is a place, as far as one can know.
    pub(crate) fn has_room(&self) -> bool {
        self.places.in_use() < self.places.limit()
    }

    /// Takes a place, if there is one.
    pub(crate) fn try_enter(&self) -> Option<Permit> {
        self.places.try_acquire()
    }

    /// Runs `work` apart from all requests.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }
}

/// What became of one call in the shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rehearsed {
    /// It came to the same.
    Same,
    /// It came to something else.
    Differing,
    /// There was no room for it.
    Dropped,
    /// Its content was on its way, and nobody has it twice.
    Skipped,
}

impl Rehearsed {
    const fn label(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Differing => "differing",
            Self::Dropped => "dropped",
            Self::Skipped => "skipped",
        }
    }
}

/// How the calls of one version compare with the live one's.
pub struct ShadowReport {
    metrics: Arc<FunctionMetrics>,
    known: Mutex<Known>,
    /// Lines of the log that tell of differences.
    lines: LineBudget,
}

#[derive(Default)]
struct Known {
    same: u64,
    differing: u64,
    not_run: u64,
    last: VecDeque<String>,
}

impl ShadowReport {
    pub(crate) fn new(metrics: Arc<FunctionMetrics>) -> Arc<Self> {
        Arc::new(Self {
            metrics,
            known: Mutex::default(),
            lines: LineBudget::default(),
        })
    }

    /// Whether a difference may be told in the log, too: of a version that always differs, some.
    pub(crate) fn may_tell(&self, now: Instant) -> bool {
        self.lines.allows(now)
    }

    /// Notes a call, with what differed.
    pub(crate) fn note(&self, rehearsed: Rehearsed, difference: Option<String>) {
        self.metrics.record_shadow(rehearsed.label());
        let mut known = self.known.lock();
        match rehearsed {
            Rehearsed::Same => known.same += 1,
            Rehearsed::Differing => known.differing += 1,
            Rehearsed::Dropped | Rehearsed::Skipped => known.not_run += 1,
        }
        if let Some(difference) = difference {
            if known.last.len() >= REMEMBERED {
                known.last.pop_front();
            }
            known.last.push_back(difference);
        }
    }

    /// The numbers in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let known = self.known.lock();
        format!(
            "beside all requests, for nobody: {} calls alike, {} differing, {} not compared",
            known.same, known.differing, known.not_run
        )
    }

    /// The last differences, the latest last.
    #[must_use]
    pub fn differences(&self) -> Vec<String> {
        self.known.lock().last.iter().cloned().collect()
    }
}

/// A function's capabilities without those that change anything.
pub(crate) struct ShadowCapabilities {
    inner: Arc<FunctionCapabilities>,
    kv: KvStores,
    rates: ShadowRates,
}

impl ShadowCapabilities {
    pub(crate) fn new(inner: Arc<FunctionCapabilities>) -> Self {
        let stores = inner.granted.kv.iter().map(|(name, store)| {
            let store = Arc::clone(store) as Arc<dyn KvStore>;
            (
                Arc::clone(name),
                Arc::new(ReadOnly(store)) as Arc<dyn KvStore>,
            )
        });
        Self {
            kv: KvStores::new(stores),
            rates: ShadowRates(Arc::clone(&inner)),
            inner,
        }
    }

    fn marked(call: &CallId) -> CallId {
        CallId {
            function: format!("{} (shadow)", call.function).into(),
            request: Arc::clone(&call.request),
        }
    }
}

impl Capabilities for ShadowCapabilities {
    fn config(&self, name: &str) -> Option<String> {
        self.inner.config.get(name).map(Setting::to_string)
    }

    fn config_value(&self, name: &str) -> Option<ConfigValue> {
        self.inner.config_value(name)
    }

    fn config_all(&self) -> Vec<(String, String)> {
        self.inner.config_all()
    }

    fn secret(&self, name: &str) -> Option<Arc<[u8]>> {
        self.inner.secret(name)
    }

    fn secrets(&self) -> Vec<(String, Arc<[u8]>)> {
        self.inner.secrets()
    }

    fn acl(&self, name: &str, address: IpAddr) -> Result<Option<AclEntry>, UnknownAcl> {
        self.inner.acl(name, address)
    }

    fn geo(&self, address: IpAddr) -> Option<GeoPlace> {
        self.inner.geo(address)
    }

    fn rates(&self) -> Option<&dyn Rates> {
        Some(&self.rates)
    }

    fn kv(&self) -> Option<&KvStores> {
        Some(&self.kv)
    }

    /// Its calls are counted apart, as rehearsed.
    fn call_ended(&self, _call: &CallId, _end: &CallEnd) {}

    fn fetched(&self, _call: &CallId, _outcome: FetchOutcome) {}

    fn log(&self, call: &CallId, level: LogLevel, message: &str) {
        self.inner.log(&Self::marked(call), level, message);
    }

    fn log_with(&self, call: &CallId, level: LogLevel, message: &str, fields: &[LogField]) {
        self.inner
            .log_with(&Self::marked(call), level, message, fields);
    }

    fn log_threshold(&self) -> LogLevel {
        self.inner.log_threshold()
    }

    /// What it counts would count twice.
    fn count(&self, _name: &str, _labels: &[(String, String)], _update: MetricUpdate) {}
}

/// A store that takes nothing.
struct ReadOnly(Arc<dyn KvStore>);

impl KvStore for ReadOnly {
    fn run(&self, op: KvOp) -> KvFuture {
        if op.is_read() {
            return self.0.run(op);
        }
        Box::pin(std::future::ready(Err(KvError::Unavailable)))
    }
}

/// Counters that are asked and not changed: those of this node, also where the region decides.
struct ShadowRates(Arc<FunctionCapabilities>);

impl Rates for ShadowRates {
    fn check(&self, key: &str, policy: RatePolicy, cost: u32) -> RateAnswer<RateDecision> {
        let (rates, now) = (&self.0.rates, self.0.rates.clock.now());
        RateAnswer::Now(rates.counters.peek(&rates.owner, key, policy, cost, now))
    }

    fn count(&self, key: &str, window: Duration, _amount: u32) -> RateAnswer<u64> {
        let (rates, now) = (&self.0.rates, self.0.rates.clock.now());
        RateAnswer::Now(rates.counters.count(&rates.owner, key, window, 0, now))
    }

    fn penalize(&self, _key: &str, _duration: Duration) -> RateAnswer<()> {
        RateAnswer::Now(())
    }

    fn penalty(&self, key: &str) -> RateAnswer<Option<Duration>> {
        let (rates, now) = (&self.0.rates, self.0.rates.clock.now());
        RateAnswer::Now(rates.counters.penalty(&rates.owner, key, now))
    }
}

/// Whether a version may run in this way beside the live one.
///
/// # Errors
/// Nothing would be compared.
pub(super) fn check(
    generation: &Generation,
    name: &str,
    mode: Option<&BesideMode>,
) -> Result<(), Refusal> {
    if mode != Some(&BesideMode::Shadow) || !is_only_middleware(generation, name) {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalKind::Unfit,
        format!("`{name}` runs as middleware only, and calls of middleware are not compared"),
        "a share of the requests, as `share=5%`",
    ))
}

/// Whether all places where routes have the function are those of middleware, of which there is one.
fn is_only_middleware(generation: &Generation, name: &str) -> bool {
    let names =
        |uses: &[verge_config::FunctionUse]| uses.iter().any(|used| *used.function == *name);
    let sites = &generation.config.sites;
    let routes = || sites.iter().flat_map(|site| &site.routes);
    let is_compared = routes().any(|route| {
        let triggers = &route.triggers;
        let is_target =
            matches!(&route.target, verge_config::Target::Function(at) if **at == *name);
        is_target
            || names(&triggers.viewer_request)
            || names(&triggers.origin_request)
            || names(&triggers.origin_response)
            || names(&triggers.viewer_response)
    });
    let is_middleware = routes().any(|route| {
        names(&route.triggers.viewer_middleware) || names(&route.triggers.origin_middleware)
    });
    is_middleware && !is_compared
}
