//! `[function.NAME]` and `[secret.NAME]`: what runs, what it may take, and what
//! it may touch.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::deploy::{Rollback, SigningKey};
use crate::fetch::Fetch;
use crate::grants::{Grantable, Grants};
use crate::kinds::{Choice, Count, FIELD_NAME, FilePath, Size, time};
use crate::names::Names;
use crate::node::{Runtime, SecretSource};
use crate::record::Record;
use crate::registry::OciComponent;
use crate::section::section;
use crate::setting::{AnySetting, Setting};
use crate::table::Table;

/// How instances are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A new instance for each call.
    Fresh,
    /// A new instance for each call, made ahead of it.
    Prepared,
    /// An instance serves calls one after the other.
    Reused,
}

impl Isolation {
    /// The word in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Prepared => "prepared",
            Self::Reused => "reused",
        }
    }
}

const ISOLATION: Choice<Isolation> = Choice(&[
    ("fresh", Ok(Isolation::Fresh)),
    ("prepared", Ok(Isolation::Prepared)),
    ("reused", Ok(Isolation::Reused)),
]);

/// What becomes of a request whose function failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The request fails with 500.
    Closed,
    /// The request goes on as if the function were not there.
    Open,
    /// What is stored answers, fresh or as stale as it may be when an origin fails; otherwise the
    /// request fails with 500.
    Stale,
}

impl OnFailure {
    /// The word in the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Stale => "stale",
        }
    }
}

/// How much a line of a function's log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words every log uses")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

const LOG_LEVEL: Choice<LogLevel> = Choice(&[
    ("trace", Ok(LogLevel::Trace)),
    ("debug", Ok(LogLevel::Debug)),
    ("info", Ok(LogLevel::Info)),
    ("warn", Ok(LogLevel::Warn)),
    ("error", Ok(LogLevel::Error)),
]);

/// The words of an `on_failure` key.
pub(crate) const ON_FAILURE: Choice<OnFailure> = Choice(&[
    ("closed", Ok(OnFailure::Closed)),
    ("open", Ok(OnFailure::Open)),
    ("stale", Ok(OnFailure::Stale)),
]);

section! {
    /// `[function.NAME.quarantine]`: when a function that fails is left out, and for how long.
    pub struct Quarantine {
        /// Failures within `window` that put it out; 0 to 1000000, default 20. 0 is never.
        pub failures: u32 = 20, Count(0..=1_000_000);
        /// The least share of the window's calls that must have failed, in percent; 1 to 100,
        /// default 50.
        pub share: u32 = 50, Count(1..=100);
        /// How long failures are counted together; 100ms to 1h, default 10s.
        pub window: Duration = Duration::from_secs(10), time("100ms", "1h");
        /// How long it is out before one call tries it again; doubled after each that fails; 1ms
        /// to 1h, default 1s.
        pub backoff: Duration = Duration::from_secs(1), time("1ms", "1h");
        /// The longest it is out before the next trial; 1ms to 1d, default 1m.
        pub backoff_max: Duration = Duration::from_secs(60), time("1ms", "1d");
    }
}

/// `[function.NAME]`: a component and its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function {
    /// Its name.
    pub name: Arc<str>,
    /// The file of the component, or a folder with it; empty for one of a registry.
    pub component: PathBuf,
    /// The component, if it is one of a registry: `component = "oci:.."`.
    pub oci: Option<OciComponent>,
    /// Public keys of minisign, one of which must have signed its components; default those of
    /// `deploy.keys`.
    pub keys: Vec<String>,
    /// How instances are kept apart; default `fresh`.
    pub isolation: Isolation,
    /// Instances that wait for calls at most, `prepared` or `reused`; 1 to 10000, default 64.
    /// They take slots of `runtime.instances` that no call wants.
    pub idle_max: usize,
    /// Calls after which a `reused` instance is dropped; 1 to 1000000000, default 1000.
    pub reuse_requests: u32,
    /// Age at which a `reused` instance is dropped; 1ms to 1d, default 1m.
    pub reuse_time: Duration,
    /// Linear memory of one instance in bytes; 64KiB to `runtime.instance_memory`, default
    /// 32MiB.
    pub memory: u64,
    /// Elements of the tables of one instance; 1 to 20000, default 20000.
    pub table_elements: u32,
    /// Time that one call may compute; 1ms to 1m, default 10ms. It is looked at on each
    /// `runtime.tick`.
    pub cpu: Duration,
    /// Time that one call may last; 1ms to 10m, default 100ms.
    pub deadline: Duration,
    /// Time, in all, that one call may wait for content of its request and for what is behind a
    /// middleware, without that counting to the deadline; 0ms to 1h, default 1m.
    pub peer_wait: Duration,
    /// Time that one call after the response may compute; 1ms to 1m, default 50ms.
    pub deferred_cpu: Duration,
    /// Time that one call after the response may last; 1ms to 10m, default 10s.
    pub deferred_deadline: Duration,
    /// Host functions that one call may call; 1 to 10000000, default 10000.
    pub hostcalls: u32,
    /// Bytes of content that one call may read or write; 0B to 1GiB, default 1MiB.
    pub body: u64,
    /// Bytes that one call may log; 0B to 16MiB, default 16KiB. The rest is dropped.
    pub log_bytes: u32,
    /// The lowest level that it logs; stdout is `info`, stderr `warn`. Default `trace`: what
    /// `log.filter` lets through.
    pub log_level: LogLevel,
    /// Counters and histograms that it may have, each set of labels one; 1 to 10000, default
    /// 100. What is over it is counted as `other`.
    pub metric_series: u32,
    /// Fields that it writes, as a middleware, into requests for what is behind it without
    /// deriving them from the client; default none.
    pub unkeyed: Vec<String>,
    /// What becomes of a request whose call failed; default `closed`. A use of the function
    /// can say otherwise. `open` is `closed` for a route's target, `stale` is for viewer-response.
    pub on_failure: OnFailure,
    /// When it is left out after failures.
    pub quarantine: Quarantine,
    /// What it may import.
    pub grants: Grants,
    /// When a version of it is taken back by itself.
    pub rollback: Rollback,
    /// How its own requests are sent.
    pub fetch: Fetch,
    /// Which of its calls are recorded.
    pub record: Record,
    /// Its settings.
    pub config: BTreeMap<String, Setting>,
}

impl Function {
    /// A function with the default limits and nothing granted.
    #[must_use]
    pub fn new(name: &str, component: PathBuf) -> Self {
        Self {
            name: name.into(),
            component,
            oci: None,
            keys: Vec::new(),
            isolation: Isolation::Fresh,
            idle_max: 64,
            reuse_requests: 1000,
            reuse_time: Duration::from_secs(60),
            memory: 32 << 20,
            table_elements: 20_000,
            cpu: Duration::from_millis(10),
            deadline: Duration::from_millis(100),
            peer_wait: Duration::from_secs(60),
            deferred_cpu: Duration::from_millis(50),
            deferred_deadline: Duration::from_secs(10),
            hostcalls: 10_000,
            body: 1 << 20,
            log_bytes: 16 << 10,
            log_level: LogLevel::Trace,
            metric_series: 100,
            unkeyed: Vec::new(),
            on_failure: OnFailure::Closed,
            quarantine: Quarantine::default(),
            grants: Grants::default(),
            rollback: Rollback::default(),
            fetch: Fetch::default(),
            record: Record::default(),
            config: BTreeMap::new(),
        }
    }

    /// The file with the signature of its component.
    #[must_use]
    pub fn signature(&self) -> PathBuf {
        let mut file = self.component.clone().into_os_string();
        file.push(".minisig");
        file.into()
    }

    pub(crate) fn read(
        name: &Arc<str>,
        table: &Table<'_, '_>,
        there: &Grantable<'_>,
        runtime: &Runtime,
        deployable: &Deployable<'_>,
    ) -> Self {
        let default = Self::new(name, PathBuf::new());
        let (component, oci) = read_component(table, deployable.registries);
        let settings = table.table("config");
        let function = Self {
            component,
            oci,
            keys: table.list("keys", "public keys of minisign", true, &SigningKey),
            isolation: table.or("isolation", &ISOLATION, default.isolation),
            idle_max: table.or("idle_max", &Count(1..=10_000), default.idle_max),
            reuse_requests: table.or(
                "reuse_requests",
                &Count(1..=1_000_000_000),
                default.reuse_requests,
            ),
            reuse_time: table.or("reuse_time", &time("1ms", "1d"), default.reuse_time),
            memory: table.or("memory", &Size(64 << 10..=4 << 30), default.memory),
            table_elements: table.or("table_elements", &Count(1..=20_000), default.table_elements),
            cpu: table.or("cpu", &time("1ms", "1m"), default.cpu),
            deadline: table.or("deadline", &time("1ms", "10m"), default.deadline),
            peer_wait: table.or("peer_wait", &time("0ms", "1h"), default.peer_wait),
            deferred_cpu: table.or("deferred_cpu", &time("1ms", "1m"), default.deferred_cpu),
            deferred_deadline: table.or(
                "deferred_deadline",
                &time("1ms", "10m"),
                default.deferred_deadline,
            ),
            hostcalls: table.or("hostcalls", &Count(1..=10_000_000), default.hostcalls),
            body: table.or("body", &Size(0..=1 << 30), default.body),
            log_bytes: table.or("log_bytes", &Size(0..=16 << 20), default.log_bytes),
            log_level: table.or("log_level", &LOG_LEVEL, default.log_level),
            metric_series: table.or("metric_series", &Count(1..=10_000), default.metric_series),
            unkeyed: table.list("unkeyed", "names of fields", true, &FIELD_NAME),
            on_failure: table.or("on_failure", &ON_FAILURE, default.on_failure),
            quarantine: Quarantine::read(&table.table("quarantine")),
            grants: Grants::read(&table.table("grants"), there, settings.is_given()),
            rollback: Rollback::read(&table.table("rollback")),
            fetch: Fetch::read(&table.table("fetch")),
            record: Record::read(&table.table("record")),
            config: read_settings(&settings),
            name: default.name,
        };
        let is_signed = !(function.keys.is_empty() && deployable.keys.is_empty());
        if is_signed && function.oci.is_none() {
            table.depends_on("component", function.signature());
        }
        if function.memory > runtime.instance_memory {
            let bound = crate::units::show_size(runtime.instance_memory);
            let what = format!("`memory` is over `runtime.instance_memory`, which is \"{bound}\"");
            table.problem_at(
                "memory",
                what,
                "expected less, or a larger `runtime.instance_memory`",
            );
        }
        function
    }
}

/// What components may come from, and who may make them.
pub(crate) struct Deployable<'a> {
    /// The keys of `[deploy]`.
    pub(crate) keys: &'a [String],
    pub(crate) registries: &'a Names,
}

/// A file or a folder, or a component in a registry.
fn read_component(table: &Table<'_, '_>, registries: &Names) -> (PathBuf, Option<OciComponent>) {
    const KEY: &str = "component";
    let Some(given) = table.required(KEY, &FilePath) else {
        return (PathBuf::new(), None);
    };
    let Some(named) = given.to_str().and_then(|text| text.strip_prefix("oci:")) else {
        let path = table.resolve(&given);
        table.depends_on(KEY, path.clone());
        return (path, None);
    };
    match OciComponent::parse(named, registries) {
        Ok(component) => (PathBuf::new(), Some(component)),
        Err(what) => {
            table.problem_at(KEY, what, OciComponent::EXPECTED);
            (PathBuf::new(), None)
        }
    }
}

pub(crate) fn read_settings(table: &Table<'_, '_>) -> BTreeMap<String, Setting> {
    let entries = table.entries().into_iter();
    entries
        .filter_map(|(name, item)| Some((name, item.read(&AnySetting)?)))
        .collect()
}

/// `[secret.NAME]`: where a secret comes from. It holds no secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secret {
    /// Its name.
    pub name: Arc<str>,
    /// Where it comes from: `file` or `env`.
    pub source: SecretSource,
}

impl Secret {
    pub(crate) fn read(name: &Arc<str>, table: &Table<'_, '_>) -> Option<Self> {
        let before = table.problems();
        let source = SecretSource::read(table, "file", "env");
        if source.is_none() && table.problems() == before {
            table.problem("names no source", "expected `file` or `env`");
        }
        Some(Self {
            name: Arc::clone(name),
            source: source?,
        })
    }
}
