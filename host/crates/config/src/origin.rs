//! `[origin.NAME]`: a server, or several that do the same, behind the node.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::host::{is_host, split_port};
use crate::kinds::{Choice, Count, Flag, Kind, Size, Text, time};
use crate::section::section;
use crate::table::Table;

/// One address of an origin: a host, which may be a name, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OriginAddress {
    host: Box<str>,
    port: u16,
}

impl OriginAddress {
    /// An IP address without brackets, or a name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, which is not 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as an IP address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for OriginAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Reads an [`OriginAddress`].
struct HostAndPort;

impl Kind for HostAndPort {
    type Value = OriginAddress;

    fn expected(&self) -> String {
        "a host and a port, such as \"10.0.0.5:3000\" or \"app.internal:3000\"".to_owned()
    }

    fn read(&self, value: &toml::de::DeValue<'_>) -> Result<OriginAddress, String> {
        let Some(text) = value.as_str() else {
            return Err(crate::kinds::found(value));
        };
        let valid = split_port(text)
            .filter(|(host, port)| is_host(host) && port.is_some_and(|port| port > 0));
        let (host, port) =
            valid.ok_or_else(|| format!("\"{}\" is not valid", text.escape_debug()))?;
        let host = host.trim_matches(['[', ']']).to_ascii_lowercase().into();
        Ok(OriginAddress {
            host,
            port: port.unwrap_or_default(),
        })
    }

    fn show(&self, value: &OriginAddress) -> String {
        format!("\"{value}\"")
    }
}

/// How an origin is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginProtocol {
    /// HTTP/1.1 with connections that are kept.
    Http1,
}

const PROTOCOL: Choice<OriginProtocol> = Choice(&[
    ("http/1.1", Ok(OriginProtocol::Http1)),
    ("h2", Err("is not available in this version")),
]);

/// `tls` of an origin. Its certificate is always verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OriginTls {
    /// The name that the certificate must have, sent as SNI too; default the address's host.
    pub name: Option<String>,
    /// A PEM file with the authorities to trust; default those of the system.
    pub ca: Option<PathBuf>,
}

const HOST: Text = Text {
    what: "a host name or IP address",
    accepts: |text| is_host(text),
};

const AUTHORITY: Text = Text {
    what: "a host with or without a port, such as \"app.internal\"",
    accepts: |text| split_port(text).is_some_and(|(host, port)| is_host(host) && port != Some(0)),
};

impl OriginTls {
    fn read(table: &Table<'_, '_>) -> Option<Self> {
        let tls = Self {
            name: table.maybe("name", HOST),
            ca: table.file("ca"),
        };
        if !table.or("verify", &Flag, true) {
            table.problem_at(
                "verify",
                "certificates are always verified",
                "expected `ca` with the authority's file instead",
            );
        }
        table.is_given().then_some(tls)
    }
}

section! {
    /// `timeouts` of an origin; none is infinite.
    pub struct OriginTimeouts {
        /// TCP and TLS handshake; 1ms to 5m, default 1s.
        pub connect: Duration = Duration::from_secs(1), time("1ms", "5m");
        /// From the request's last byte to the response's head; 1ms to 1h, default 15s.
        pub first_byte: Duration = Duration::from_secs(15), time("1ms", "1h");
        /// Between two parts of a body, either way; 1ms to 1h, default 10s.
        pub between_bytes: Duration = Duration::from_secs(10), time("1ms", "1h");
        /// The whole exchange, retries included; 1ms to 1d, default 60s.
        pub total: Duration = Duration::from_secs(60), time("1ms", "1d");
        /// How long an unused connection is kept; 0s to 1h, default 30s. Less than the
        /// origin's own idle time.
        pub idle: Duration = Duration::from_secs(30), time("0s", "1h");
    }
}

/// `[origin.NAME]`: where misses go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Its name.
    pub name: Arc<str>,
    /// One or more addresses, used in turn.
    pub addresses: Vec<OriginAddress>,
    /// TLS to the origin; none is plaintext.
    pub tls: Option<OriginTls>,
    /// The authority that the origin sees in Host; default that of the request.
    pub host: Option<String>,
    /// How it is spoken to; default `http/1.1`.
    pub protocol: OriginProtocol,
    /// Its timeouts.
    pub timeouts: OriginTimeouts,
    /// Connections to one address, used and idle; 1 to 100000, default 256.
    pub connections: usize,
    /// Requests that wait for a connection of the origin; 0 to 1000000, default 1024. One
    /// more fails at once.
    pub queue: usize,
    /// How long a request waits for a connection; 0s to 5m, default 1s.
    pub queue_wait: Duration,
    /// Further tries where they are safe: nothing was sent, or the method is idempotent and
    /// the connection was reused; 0 to 10, default 1.
    pub retries: u32,
    /// Bytes of a response's head; 1KiB to 1MiB, default 64KiB.
    pub head_bytes: usize,
    /// Fields of a response's head; 10 to 1000, default 100.
    pub fields: usize,
}

impl Origin {
    /// An origin with the default limits.
    fn with_defaults(name: Arc<str>) -> Self {
        Self {
            name,
            addresses: Vec::new(),
            tls: None,
            host: None,
            protocol: OriginProtocol::Http1,
            timeouts: OriginTimeouts::default(),
            connections: 256,
            queue: 1024,
            queue_wait: Duration::from_secs(1),
            retries: 1,
            head_bytes: 64 << 10,
            fields: 100,
        }
    }

    /// An origin at one plaintext address, with the default limits. None when `address` is
    /// not a host and a port.
    #[must_use]
    pub fn at(name: &str, address: &str) -> Option<Self> {
        let address = HostAndPort
            .read(&toml::de::DeValue::String(address.into()))
            .ok()?;
        Some(Self {
            addresses: vec![address],
            ..Self::with_defaults(name.into())
        })
    }

    pub(crate) fn read(name: &Arc<str>, table: &Table<'_, '_>) -> Self {
        let default = Self::with_defaults(Arc::clone(name));
        let addresses = table.items("addresses", "addresses", true);
        if addresses.is_empty()
            && table
                .item("addresses")
                .is_none_or(|item| item.value.is_array())
        {
            table.missing(
                "addresses",
                "one or more addresses, such as [\"10.0.0.5:3000\"]",
            );
        }
        Self {
            addresses: addresses
                .iter()
                .filter_map(|item| item.read(&HostAndPort))
                .collect(),
            tls: OriginTls::read(&table.table("tls")),
            host: table.maybe("host", AUTHORITY),
            protocol: table.or("protocol", &PROTOCOL, default.protocol),
            timeouts: OriginTimeouts::read(&table.table("timeouts")),
            connections: table.or("connections", &Count(1..=100_000), default.connections),
            queue: table.or("queue", &Count(0..=1_000_000), default.queue),
            queue_wait: table.or("queue_wait", &time("0s", "5m"), default.queue_wait),
            retries: table.or("retries", &Count(0..=10), default.retries),
            head_bytes: table.or("head_bytes", &Size(1 << 10..=1 << 20), default.head_bytes),
            fields: table.or("fields", &Count(10..=1_000), default.fields),
            name: default.name,
        }
    }
}
