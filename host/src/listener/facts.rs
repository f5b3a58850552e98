//! What is known of a connection before its first request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// One client connection, as the request pipeline sees it.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// Unique in this process.
    pub id: u64,
    /// The other end; IPv4 addresses are never written as IPv6.
    pub peer: SocketAddr,
    /// This end; IPv4 addresses are never written as IPv6.
    pub local: SocketAddr,
    /// When it was accepted.
    pub accepted_at: Instant,
    /// What carries the bytes.
    pub transport: Transport,
    /// What the bytes mean.
    pub protocol: Protocol,
}

/// What carries the bytes of a connection.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TCP alone.
    Plain,
    /// TLS over TCP.
    Tls(Box<TlsFacts>),
}

/// What the TLS handshake agreed on.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    /// The protocol version.
    pub version: TlsVersion,
    /// The server name that the client asked for (SNI), in lower case.
    pub server_name: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// From the accepted connection to the end of the handshake.
    pub handshake: Duration,
    /// Whether a receipt has told of the handshake.
    pub told: Arc<AtomicBool>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// The version of HTTP that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

impl ConnectionFacts {
    /// Whether the client's bytes are encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }
}

impl TlsVersion {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::V1_2 => "tls1.2",
            Self::V1_3 => "tls1.3",
        }
    }
}

impl Protocol {
    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

/// `address` with IPv4 written as IPv4, also on a socket that serves both families.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), address.port()),
        IpAddr::V6(_) => address,
    }
}
