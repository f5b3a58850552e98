//! How a node starts: parts, first generation, sockets, threads. Any failure
//! leaves nothing behind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use verge_base::{Clock, Permits, Random};
use verge_cache::{Cache, CacheSettings};
use verge_config::{Config, LogTarget, Problem, SecretSource};
use verge_runtime::capabilities::RateCounters;
use verge_runtime::{Engine, EngineSettings};

use super::listener_settings::listener_settings;
use super::options::StartOptions;
use super::{Addresses, NodeState, RunningNode, region, tiers, workers};
use crate::admin::{AdminAuth, AdminToken};
use crate::capabilities::kv::Stores;
use crate::deferred::DeferredRoom;
use crate::deploy::{ShadowRoom, Versions};
use crate::generation::{Foundation, Generation};
use crate::listener::{BindOptions, Bound, Drain, TlsTerminator, bind};
use crate::pipeline::compress::Compression;
use crate::recording::Waiting;
use crate::reload::Reloads;
use crate::secrets::SecretText;
use crate::telemetry::{AccessLog, AccessLogConfig, AccessLogOutput, Metrics, Telemetry};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration names things that are not right; all of them.
    #[error("{}", list(.0))]
    Problems(Vec<Problem>),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (`listen.{key}`): {source}")]
    Bind {
        /// The key of the address.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A thread or a file that the node needs cannot be had.
    #[error("cannot start {what}: {source}")]
    System {
        /// What it is for.
        what: &'static str,
        /// What the operating system says.
        source: std::io::Error,
    },
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Starts a node. Blocks until it serves.
///
/// # Errors
/// [`StartError`]; then nothing of it runs.
pub fn start(config: Config) -> Result<RunningNode, StartError> {
    start_at(config, Clock::system())
}

/// Functions whose rate of purges is remembered at once.
const PURGING_FUNCTIONS_MAX: usize = 4_096;

/// Starts a node that lives by `clock`. Blocks until it serves. Timers of the
/// async runtime go by the system's clock all the same.
///
/// # Errors
/// As [`start`].
pub fn start_at(config: Config, clock: Clock) -> Result<RunningNode, StartError> {
    start_with(config, StartOptions::at(clock))
}

/// Starts a node with `options`. Blocks until it serves.
///
/// # Errors
/// As [`start`].
pub fn start_with(mut config: Config, options: StartOptions) -> Result<RunningNode, StartError> {
    if let Some(overlay) = &options.overlay {
        overlay(&mut config);
    }
    let config = Arc::new(config);
    let workers = worker_count(&config);
    let state = build_state(&config, workers, options)?;
    let http = bind_all("http", &config.listen.http, workers)?;
    let https = bind_all("https", &config.listen.https, workers)?;
    let mut addresses = Addresses {
        http: http.iter().map(|bound| bound.address).collect(),
        https: https.iter().map(|bound| bound.address).collect(),
        admin: Vec::new(),
    };
    let system = |what| move |source| StartError::System { what, source };
    let control = workers::control(&state, &config.listen.admin)
        .map_err(system("the admin listener (`listen.admin`)"))?;
    addresses.admin = control.admin;
    let topology = config.node.topology;
    let workers = workers::start(&state, topology, workers, http, https)
        .map_err(system("the worker threads"))?;
    state.is_ready.store(true, Ordering::Release);
    Ok(RunningNode {
        addresses,
        state,
        control: control.runtime,
        workers,
        control_thread: Some(control.thread),
        end_control: Some(control.end),
    })
}

fn build_state(
    config: &Arc<Config>,
    workers: usize,
    options: StartOptions,
) -> Result<Arc<NodeState>, StartError> {
    let StartOptions {
        clock,
        overlay,
        access_log: output,
        front,
    } = options;
    let random = Random::system();
    let engine = Engine::new(engine_settings(config), clock.clone()).map_err(|error| {
        StartError::Problems(vec![config.problem("runtime", error.to_string(), "")])
    })?;
    let metrics = Metrics::new(workers);
    let cache = Cache::new(cache_settings(config), clock.clone());
    // The disk first: it is to hear of every purge of others.
    let disk = tiers::disk(config, &clock, &cache)?;
    let shared = region::start(config, &clock, &random, &cache)?;
    let stores = Stores::new(clock.clone(), metrics.clone(), shared.clone());
    let versions = Versions::open(config).map_err(|what| {
        let expected = "expected a folder for the versions of functions of this node alone";
        StartError::Problems(vec![config.problem("deploy.folder", what, expected)])
    })?;
    let foundation = Foundation {
        clock: clock.clone(),
        random: random.clone(),
        engine,
        metrics: metrics.clone(),
        kv: Arc::new(stores),
        versions: Arc::new(versions),
        shared: shared.clone(),
        recordings: Waiting::default(),
    };
    // Before files are read: what is saved from now on is read again.
    let reloads = Reloads::new(config, overlay);
    let generation =
        Generation::build(Arc::clone(config), &foundation, None).map_err(StartError::Problems)?;
    metrics.set_generation(generation.number);
    foundation.versions.settle(&generation, None);
    let tls = match &generation.certificates {
        None => None,
        Some(table) => Some(TlsTerminator::new(Arc::clone(table)).map_err(|error| {
            StartError::Problems(vec![config.problem("certificate", error.to_string(), "")])
        })?),
    };
    let access_log = access_log(config, workers, output).map_err(|source| StartError::System {
        what: "the access log",
        source,
    })?;
    let token = admin_token(config).map_err(|problem| StartError::Problems(vec![problem]))?;
    let shadows = ShadowRoom::start(config.deploy.shadow_calls);
    let shadows = shadows.map_err(|source| StartError::System {
        what: "the thread of versions in the shadow",
        source,
    })?;
    Ok(Arc::new(NodeState {
        shadows,
        tiers: tiers::list(&clock, disk.as_ref(), shared.as_ref()),
        disk,
        cache,
        admin_auth: AdminAuth::new(token),
        drain_deadline: Mutex::new(None),
        shared,
        telemetry: Telemetry::new(metrics, access_log),
        connections: Permits::new("connections", config.limits.connections),
        requests: Permits::new("requests", config.limits.requests),
        deferred: DeferredRoom::new(config.limits.deferred, config.limits.deferred_running),
        purge_rates: RateCounters::new(PURGING_FUNCTIONS_MAX, clock.now()),
        detached_fetches: Permits::new("detached-fetches", config.limits.detached_fetches),
        background_validations: Permits::new(
            "background-validations",
            config.limits.background_validations,
        ),
        slice_lookups: Permits::new("slice-lookups", config.limits.slice_lookups),
        compression: Compression::new(config.compression.jobs, workers),
        drain: Drain::new(),
        tls,
        listener_settings: Arc::new(ArcSwap::from_pointee(listener_settings(config))),
        reloads,
        front,
        started: clock.wall(),
        generation: ArcSwap::from_pointee(generation),
        foundation,
        is_ready: AtomicBool::new(false),
        clock,
        random,
    }))
}

/// The engine's settings out of the configuration's.
#[must_use]
pub fn engine_settings(config: &Config) -> EngineSettings {
    EngineSettings {
        instances: config.runtime.instances,
        memory: config.runtime.instance_memory,
        stack: config.runtime.stack,
        code_cache: config.runtime.cache_dir.clone(),
        tick: config.runtime.tick,
        ..EngineSettings::default()
    }
}

fn cache_settings(config: &Config) -> CacheSettings {
    CacheSettings {
        memory: config.cache.memory,
        max_object: config.cache.max_object,
        fill_window: config.cache.fill_window,
        uncollapsible_for: config.cache.uncollapsible_for,
        pieces_max: config.cache_limits.pieces,
        purge_records_max: config.cache_limits.purge_records,
        purge_skew: config.cache_limits.purge_skew,
        refusals_max: config.cache_limits.refusals,
        ..CacheSettings::default()
    }
}

fn access_log(
    config: &Config,
    workers: usize,
    output: Option<AccessLogOutput>,
) -> std::io::Result<Option<AccessLog>> {
    let output = match (output, &config.log.access) {
        (Some(output), _) => output,
        (None, LogTarget::Off) => return Ok(None),
        (None, LogTarget::Stdout) => AccessLogOutput::Stdout,
        (None, LogTarget::File(path)) => AccessLogOutput::File(path.clone()),
    };
    AccessLog::start(AccessLogConfig::new(output, workers)).map(Some)
}

/// The token of the admin API; `None` if none is configured.
pub(crate) fn admin_token(config: &Config) -> Result<Option<AdminToken>, Problem> {
    let Some(source) = &config.admin.token else {
        return Ok(None);
    };
    let key = match source {
        SecretSource::File(_) => "admin.token_file",
        SecretSource::Variable(_) => "admin.token_env",
    };
    let problem = |what: String| config.problem(key, what, "expected the admin API's token");
    let text = SecretText::read(source).map_err(problem)?;
    let text = std::str::from_utf8(text.expose()).map_err(|error| problem(error.to_string()))?;
    AdminToken::new(text)
        .map(Some)
        .map_err(|error| problem(error.to_string()))
}

fn bind_all(
    key: &'static str,
    addresses: &[SocketAddr],
    sockets: usize,
) -> Result<Vec<Bound>, StartError> {
    addresses
        .iter()
        .map(|address| {
            let options = BindOptions {
                sockets,
                ..BindOptions::default()
            };
            bind(*address, options).map_err(|source| StartError::Bind {
                key,
                address: *address,
                source,
            })
        })
        .collect()
}

fn worker_count(config: &Config) -> usize {
    match config.node.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}
