//! What the use of Redis is told: where it is, how long anything may take, and
//! how much may be under way. Durations and sizes are limits; each has a key in
//! `[redis]` of the configuration.

use std::fmt;
use std::time::Duration;

use crate::breaker::BreakerSettings;

/// How the servers belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One server; of several, the first that answers.
    Single,
    /// The nodes are Sentinels that know where the master of this name is.
    Sentinel {
        /// The master's name.
        master: String,
    },
    /// The nodes are some of a cluster.
    Cluster,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// A password; it shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(..)")
    }
}

/// How servers are spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// How they belong together.
    pub mode: Mode,
    /// Where they are; never empty.
    pub servers: Vec<Server>,
    /// Whether TLS is spoken, verified by the system's roots.
    pub tls: bool,
    /// The database, 0 in a cluster.
    pub database: i64,
    /// The user of the server's access list; none is its default user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Password>,
    /// How long a connection may take until it can be used.
    pub connect_timeout: Duration,
}

/// All settings of the use of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedSettings {
    /// The servers.
    pub server: ServerSettings,
    /// What all keys begin with, so that fleets can share a Redis.
    pub prefix: String,
    /// How long one command may take.
    pub timeout: Duration,
    /// Commands under way at once, for each use; more are done without.
    pub commands: usize,
    /// When a use is given up for a while.
    pub breaker: BreakerSettings,
    /// Largest content that is shared, in bytes.
    pub object_max: u64,
    /// Bytes of content from Redis that are under way or held at once; more is a miss.
    pub loads_max: u64,
    /// Responses that wait to be saved; more are dropped.
    pub saves_max: usize,
    /// Bytes of content of those.
    pub saves_bytes_max: u64,
    /// How long a lease holds without being renewed.
    pub lease: Duration,
    /// How long a node waits for the response that another one fetches.
    pub lease_wait: Duration,
    /// Purges that the stream keeps, about.
    pub stream_entries: u64,
    /// How long after the stream was last heard stored responses in Redis are trusted.
    pub stream_trust: Duration,
    /// Purges that wait to be published; more become one of everything.
    pub publish_max: usize,
}

impl SharedSettings {
    /// The defaults, with the servers given.
    #[must_use]
    pub fn new(server: ServerSettings) -> Self {
        Self {
            server,
            prefix: "verge".to_owned(),
            timeout: Duration::from_millis(20),
            commands: 256,
            breaker: BreakerSettings {
                failures: 5,
                open_for: Duration::from_secs(1),
            },
            object_max: 8 << 20,
            loads_max: 64 << 20,
            saves_max: 1024,
            saves_bytes_max: 64 << 20,
            lease: Duration::from_secs(5),
            lease_wait: Duration::from_secs(2),
            stream_entries: 10_000,
            stream_trust: Duration::from_secs(5),
            publish_max: 10_000,
        }
    }
}
