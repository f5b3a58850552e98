//! What an operator may say about an origin: addresses, TLS, timeouts, limits.
//!
//! Settings compare equal exactly when an [`Origin`](crate::Origin) built from
//! one serves for the other: a reload keeps it, and with it its pool. Nothing
//! here does I/O.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{AddressError, OriginError};

/// Everything an origin is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginSettings {
    /// The name by which routes, metrics and the log speak of it.
    pub name: Arc<str>,
    /// Where it listens; at least one. All addresses of a host name are used.
    pub addresses: Vec<Address>,
    /// Speaks TLS to it where present.
    pub tls: Option<TlsSettings>,
    /// The authority to write into the Host field instead of the request's own.
    pub host_authority: Option<String>,
    /// How long each stage may take.
    pub timeouts: Timeouts,
    /// How much of it may be in use at once, and how large its messages may be.
    pub limits: Limits,
    /// How often a request may be sent again where that is safe; 0 to 10, default 1.
    pub retries: u32,
}

/// A host and a port to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Ip(IpAddr),
    Name(Arc<str>),
}

/// How an origin proves who it is. Verification cannot be switched off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// The name its certificate must be valid for, and the SNI to send; the
    /// host of its address where absent.
    pub server_name: Option<String>,
    /// Who may sign its certificate.
    pub roots: Roots,
}

/// The certificate authorities that are trusted for an origin.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system.
    #[default]
    System,
    /// Exactly those in this PEM text.
    Pem(Arc<[u8]>),
}

/// How long each stage of an exchange may take: at most a day, and longer than
/// zero except where said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolving the origin's name, where no earlier answer is at hand. Default 2 s.
    pub dns: Duration,
    /// Making a connection, the TLS handshake included. Default 1 s.
    pub connect: Duration,
    /// From the last byte of the request to the response's head. Default 15 s.
    pub first_byte: Duration,
    /// Silence within a response body, or an origin that takes nothing of a
    /// request body. Default 10 s.
    pub between_bytes: Duration,
    /// The whole exchange, waiting for a connection and retries included. Time
    /// in which the origin waits for the client (a slow upload, a reader that
    /// takes nothing) is not counted. Default 60 s.
    pub total: Duration,
    /// How long an unused connection is kept; zero keeps none. Default 30 s.
    pub idle: Duration,
    /// How long the origin's `100 (Continue)` is awaited before the body is
    /// sent all the same (RFC 9110 10.1.1). Default 1 s.
    pub expect_continue: Duration,
}

/// Bounds on what an origin may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections to each address. At least 1, default 256.
    pub connections: usize,
    /// Requests that may wait for a connection of the origin. Default 1024.
    pub queue: usize,
    /// How long a request may wait for a connection. Default 1 s.
    pub queue_wait: Duration,
    /// Bytes of a response head, and of its trailers. At least 1 KiB, default 64 KiB.
    pub head_bytes: usize,
    /// Fields of a response head. At least 1, default 100.
    pub head_fields: usize,
    /// How long an address is passed over after a failed connection, while
    /// others exist. Default 2 s.
    pub penalty: Duration,
    /// How old an answer of the DNS may be before the name is resolved again,
    /// in the background. Default 30 s.
    pub dns_age: Duration,
}

const RETRIES_MAX: u32 = 10;
/// Keep no connection; wait for none.
const MAY_BE_ZERO: [&str; 2] = ["timeouts.idle", "limits.queue_wait"];
const HEAD_BYTES_MIN: usize = 1024;
/// Longer is as good as infinite, and sums of times must not overflow.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl OriginSettings {
    /// An origin with defaults for all else.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, addresses: Vec<Address>) -> Self {
        Self {
            name: name.into(),
            addresses,
            tls: None,
            host_authority: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            retries: 1,
        }
    }

    /// Checks what one value alone can tell; names and certificates are checked
    /// where they are parsed.
    pub(crate) fn check(&self) -> Result<(), OriginError> {
        if self.addresses.is_empty() {
            return Err(OriginError::AddressMissing);
        }
        if self.retries > RETRIES_MAX {
            return Err(OriginError::TooLarge {
                setting: "retries",
                most: RETRIES_MAX as usize,
            });
        }
        let (timeouts, limits) = (&self.timeouts, &self.limits);
        let durations = [
            ("timeouts.dns", timeouts.dns),
            ("timeouts.connect", timeouts.connect),
            ("timeouts.first_byte", timeouts.first_byte),
            ("timeouts.between_bytes", timeouts.between_bytes),
            ("timeouts.total", timeouts.total),
            ("timeouts.idle", timeouts.idle),
            ("timeouts.expect_continue", timeouts.expect_continue),
            ("limits.queue_wait", limits.queue_wait),
            ("limits.penalty", limits.penalty),
            ("limits.dns_age", limits.dns_age),
        ];
        for (setting, duration) in durations {
            if duration.is_zero() && !MAY_BE_ZERO.contains(&setting) {
                return Err(OriginError::TimeoutZero(setting));
            }
            if duration > TIMEOUT_MAX {
                return Err(OriginError::TimeoutTooLong(setting));
            }
        }
        let counts = [
            ("limits.connections", limits.connections, 1),
            ("limits.head_bytes", limits.head_bytes, HEAD_BYTES_MIN),
            ("limits.head_fields", limits.head_fields, 1),
        ];
        for (setting, value, least) in counts {
            if value < least {
                return Err(OriginError::TooSmall { setting, least });
            }
        }
        Ok(())
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            dns: Duration::from_secs(2),
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(15),
            between_bytes: Duration::from_secs(10),
            total: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            expect_continue: Duration::from_secs(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            queue: 1024,
            queue_wait: Duration::from_secs(1),
            head_bytes: 64 * 1024,
            head_fields: 100,
            penalty: Duration::from_secs(2),
            dns_age: Duration::from_secs(30),
        }
    }
}

impl Address {
    /// The host as it is to stand in a Host field: IPv6 in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        self.to_string()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }
}

impl Host {
    /// The name or address as text, without brackets.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Name(name) => name.to_string(),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `host:port`, where host is a name, an IPv4 address, or an IPv6
    /// address in brackets.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::PortMissing)?;
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AddressError::PortInvalid);
        }
        let port: u16 = port.parse().map_err(|_| AddressError::PortInvalid)?;
        if port == 0 {
            return Err(AddressError::PortInvalid);
        }
        let host = if let Some(inner) = host.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(AddressError::HostInvalid)?;
            let ip = inner.parse().map_err(|_| AddressError::HostInvalid)?;
            Host::Ip(IpAddr::V6(ip))
        } else if let Ok(ip) = host.parse::<std::net::Ipv4Addr>() {
            Host::Ip(IpAddr::V4(ip))
        } else if is_host_name(host) {
            Host::Name(Arc::from(host.to_ascii_lowercase()))
        } else {
            return Err(AddressError::HostInvalid);
        };
        Ok(Self { host, port })
    }
}

/// RFC 1123 2.1 and RFC 952, with the underscore that container networks use.
fn is_host_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(formatter, "[{ip}]:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => write!(formatter, "{ip}:{}", self.port),
            Host::Name(name) => write!(formatter, "{name}:{}", self.port),
        }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => formatter.write_str("System"),
            Self::Pem(pem) => write!(formatter, "Pem({} bytes)", pem.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in [
            "10.0.0.5:3000",
            "[::1]:80",
            "app.internal:443",
            "my_service:8080",
        ] {
            let address: Address = text.parse().expect("a valid address");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_host_and_port_is_refused_with_its_reason() {
        use AddressError::{HostInvalid, PortInvalid, PortMissing};
        let table = [
            ("app", PortMissing),
            ("app:", PortInvalid),
            ("app:+80", PortInvalid),
            ("app:0", PortInvalid),
            ("app:65536", PortInvalid),
            (":80", HostInvalid),
            ("::1:80", HostInvalid),
            ("[::1:80", HostInvalid),
            ("user@app:80", HostInvalid),
            ("-app:80", HostInvalid),
            ("a..b:80", HostInvalid),
            ("http://app:80", HostInvalid),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Address>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn no_timeout_or_limit_can_be_zero_or_infinite() {
        let address: Address = "app:80".parse().expect("a valid address");
        let mut settings = OriginSettings::new("app", vec![address]);
        assert!(settings.check().is_ok());
        settings.timeouts.first_byte = Duration::ZERO;
        let error = settings.check().expect_err("zero is no timeout");
        assert!(error.to_string().contains("timeouts.first_byte"));
        settings.timeouts.first_byte = Duration::MAX;
        assert!(settings.check().is_err());
        settings.timeouts = Timeouts::default();
        settings.limits.connections = 0;
        assert!(settings.check().is_err());
    }
}
