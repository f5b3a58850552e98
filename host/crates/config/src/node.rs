//! `[node]`, `[listen]`, `[stop]`, `[admin]`, `[log]`, `[runtime]` and
//! `[cache]`: what the node is as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::addresses::{Address, Cidr};
use crate::kinds::{ANY_TEXT, Choice, Count, PSEUDONYM, Size, Text, VARIABLE, time};
use crate::section::section;
use crate::table::Table;

/// How connections are spread over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One single-threaded runtime for each worker, each with its own socket.
    PerCore,
    /// One runtime whose workers take work from each other.
    WorkStealing,
}

const TOPOLOGY: Choice<Topology> = Choice(&[
    ("per-core", Ok(Topology::PerCore)),
    ("work-stealing", Ok(Topology::WorkStealing)),
]);

section! {
    /// `[node]`: the process. Not reloadable: a change needs a restart.
    pub struct Node {
        /// What the node calls itself in Via (RFC 9110 7.6.3), Cache-Status (RFC 9211 2),
        /// Proxy-Status (RFC 9209 2) and CDN-Loop (RFC 8586 2); default `verge`. Nodes in a
        /// row need different names, or they take each other for a loop.
        pub name: String = "verge".to_owned(), PSEUDONYM;
        /// Threads that serve; 0 (one for each core) to 1024, default 0.
        pub workers: usize = 0, Count(0..=1024);
        /// How connections are spread over the workers; default `per-core`.
        pub topology: Topology = Topology::PerCore, TOPOLOGY;
    }
}

section! {
    /// `[stop]`: how the node goes.
    pub struct Stop {
        /// Time between "not ready" and the last accepted connection, for balancers to
        /// notice; 0s to 10m, default 0s.
        pub ready_delay: Duration = Duration::ZERO, time("0s", "10m");
        /// Time that idle connections linger, so that a request already under way is
        /// answered; 0s to 10m, default 5s.
        pub linger: Duration = Duration::from_secs(5), time("0s", "10m");
        /// Time for requests in flight to end; then they are cut. 0s to 1h, default 30s.
        pub deadline: Duration = Duration::from_secs(30), time("0s", "1h");
    }
}

section! {
    /// `[cache]`: the cache in memory.
    pub struct Cache {
        /// Bytes of all stored responses and of fills in progress; 1MiB to 1TiB, default
        /// 512MiB.
        pub memory: u64 = 512 << 20, Size(1 << 20..=1 << 40);
        /// Largest response that is stored, head and content; 1KiB to 1TiB, at most
        /// half of `memory`, default 64MiB or that half if it is less.
        pub max_object: u64 = 64 << 20, Size(1 << 10..=1 << 40);
        /// Bytes that a fill keeps for its readers once the response is over `max_object`;
        /// a reader that falls further behind is cut. 256KiB to 64MiB, default 1MiB.
        pub fill_window: u64 = 1 << 20, Size(256 << 10..=64 << 20);
        /// Time for which requests are not collapsed after an answer that could not be
        /// stored; 0s to 1h, default 2s.
        pub uncollapsible_for: Duration = Duration::from_secs(2), time("0s", "1h");
        /// Time that a collapsed request waits for the leader's head; then it asks the
        /// origin itself. 10ms to 5m, default 10s.
        pub collapse_wait: Duration = Duration::from_secs(10), time("10ms", "5m");
        /// How stale a response may answer when its origin cannot be reached or answers
        /// 5xx, and neither the response nor the client says otherwise (RFC 9111 4.2.4);
        /// 0s (never) to 365d, default 1h.
        pub stale_on_failure: Duration = Duration::from_secs(3600), time("0s", "365d");
    }
}

/// `[runtime]`: what all functions share. Not reloadable: a change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Runtime {
    /// Instances that can exist at once; 1 to 100000, default 256. A call that finds none
    /// free fails as its function's policy says.
    pub instances: u32,
    /// Largest linear memory of an instance; it bounds `function.NAME.memory`. 1MiB to
    /// 4GiB, default 64MiB. Address space is set aside for all instances at start.
    pub instance_memory: u64,
    /// Bytes of stack that the code of a function may use; 64KiB to 16MiB, default 512KiB.
    pub stack: usize,
    /// How often a running function is interrupted so that others get their turn and its
    /// limits are looked at; 100us to 100ms, default 1ms.
    pub tick: Duration,
    /// Folder for compiled code; it is made if it is missing. Without it, functions are
    /// compiled at each start.
    pub cache_dir: Option<PathBuf>,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            instances: 256,
            instance_memory: 64 << 20,
            stack: 512 << 10,
            tick: Duration::from_millis(1),
            cache_dir: None,
        }
    }
}

impl Runtime {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            instances: table.or("instances", &Count(1..=100_000), default.instances),
            instance_memory: table.or(
                "instance_memory",
                &Size(1 << 20..=4 << 30),
                default.instance_memory,
            ),
            stack: table.or("stack", &Size(64 << 10..=16 << 20), default.stack),
            tick: table.or("tick", &time("100us", "100ms"), default.tick),
            cache_dir: table.output("cache_dir"),
        }
    }
}

/// `[listen]`: the sockets, and who may speak for a client. Addresses are not
/// reloadable: a change needs a restart. Port 0 takes any free port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listen {
    /// Plaintext: HTTP/1.1, and HTTP/2 by prior knowledge.
    pub http: Vec<SocketAddr>,
    /// TLS 1.3 and 1.2: HTTP/1.1 and HTTP/2 by ALPN.
    pub https: Vec<SocketAddr>,
    /// The admin API.
    pub admin: Vec<SocketAddr>,
    /// Proxies whose word about the client is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The one field in which they say it; the other is the client's own claim. Default
    /// `x-forwarded-for`.
    pub proxy_field: ProxyField,
}

/// The field in which trusted proxies name the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyField {
    /// Forwarded (RFC 7239).
    Forwarded,
    /// X-Forwarded-For.
    #[default]
    XForwardedFor,
}

const PROXY_FIELD: Choice<ProxyField> = Choice(&[
    ("x-forwarded-for", Ok(ProxyField::XForwardedFor)),
    ("forwarded", Ok(ProxyField::Forwarded)),
]);

impl Listen {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let addresses = |key| table.list(key, "addresses", true, &Address);
        Self {
            http: addresses("http"),
            https: addresses("https"),
            admin: addresses("admin"),
            trusted_proxies: table.list("trusted_proxies", "ranges of addresses", true, &Cidr),
            proxy_field: table.or("proxy_field", &PROXY_FIELD, ProxyField::default()),
        }
    }
}

/// Where a secret text comes from. It holds no secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The content of a file, without one trailing line end.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

impl SecretSource {
    /// Reads two keys of which at most one may be given.
    pub(crate) fn read(
        table: &Table<'_, '_>,
        file: &'static str,
        variable: &'static str,
    ) -> Option<Self> {
        let path = table.file(file);
        let name = table.maybe(variable, VARIABLE);
        match (path, name) {
            (Some(_), Some(_)) => {
                table.problem(
                    format!("has both `{file}` and `{variable}`"),
                    "expected one of them",
                );
                None
            }
            (Some(path), None) => Some(Self::File(path)),
            (None, Some(name)) => Some(Self::Variable(name)),
            (None, None) => None,
        }
    }
}

/// `[admin]`: who may use the admin API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admin {
    /// The bearer token (`token_file` or `token_env`); without one, only `/healthz` and
    /// `/readyz` answer.
    pub token: Option<SecretSource>,
}

impl Admin {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        Self {
            token: SecretSource::read(table, "token_file", "token_env"),
        }
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    #[default]
    Stdout,
    /// A file, which is appended to.
    File(PathBuf),
    /// Nowhere.
    Off,
}

/// How lines of the node's log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// `[log]`: what the node writes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Log {
    /// Where the access log goes, one JSON object for each request; default `stdout`.
    pub access: LogTarget,
    /// What the node's log on standard error contains: a level, or directives such as
    /// `info,verge::reload=debug`; default `info`.
    pub filter: String,
    /// How the node's log looks; default `text`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            access: LogTarget::Stdout,
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

const FILTER: Text = Text {
    what: "a level or directives, such as \"info,verge::reload=debug\"",
    accepts: is_filter,
};

/// Whether each directive is `LEVEL`, `TARGET` or `TARGET=LEVEL`.
fn is_filter(text: &str) -> bool {
    let is_level = |level: &str| {
        ["off", "error", "warn", "info", "debug", "trace"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(level))
    };
    let is_target = |target: &str| {
        !target.is_empty()
            && target
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte))
    };
    text.split(',')
        .all(|directive| match directive.trim().split_once('=') {
            Some((target, level)) => is_target(target) && is_level(level),
            None => is_level(directive.trim()) || directive.contains("::"),
        })
}

impl Log {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        let access = table.or("access", &ANY_TEXT, "stdout".to_owned());
        Self {
            access: match access.as_str() {
                "stdout" => LogTarget::Stdout,
                "off" => LogTarget::Off,
                path => LogTarget::File(table.resolve(path)),
            },
            filter: table.or("filter", &FILTER, default.filter),
            format: table.or(
                "format",
                &Choice(&[("text", Ok(LogFormat::Text)), ("json", Ok(LogFormat::Json))]),
                default.format,
            ),
        }
    }
}
