//! The request head behind `sanitize`: its type is the proof that framing,
//! authority, connection-specific fields and loops were dealt with.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};
use verge_http::authority::{Authority, Scheme};

/// A request head that later stages may rely on. Only `sanitize` makes one.
#[derive(Clone, Debug)]
pub struct TrustedHead {
    /// Never CONNECT or TRACE.
    pub method: Method,
    /// How the client's connection was made.
    pub scheme: Scheme,
    /// The one authority the request is for, in normal form.
    pub authority: Authority,
    /// Starts with `/`, or is `*` for OPTIONS.
    pub path_and_query: PathAndQuery,
    /// The version as received.
    pub version: Version,
    /// End-to-end fields only, without Host.
    pub fields: HeaderMap,
    /// Who sent it.
    pub client: Arc<Client>,
    pub(super) _seal: Seal,
}

/// Keeps other modules from making a [`TrustedHead`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Seal;

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
    /// Its port on this connection; 0 behind a trusted proxy.
    pub port: u16,
    /// The TLS version of the connection, if it has one.
    pub tls: Option<&'static str>,
}

impl TrustedHead {
    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path_and_query.path()
    }

    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        protocol_name(self.version)
    }
}

/// The name of a protocol version as receipts and functions show it.
#[must_use]
pub fn protocol_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
