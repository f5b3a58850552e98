//! TLS 1.3 and 1.2 on the client side: certificates by name from a table that
//! can be swapped, ALPN, and session resumption by tickets.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::CertificateTable;
use super::facts::{Protocol, TlsFacts, TlsVersion};

/// HTTP/2's protocol name (RFC 9113 3.2).
const ALPN_HTTP2: &[u8] = b"h2";
/// HTTP/1.1's protocol name (RFC 7301 6).
const ALPN_HTTP1: &[u8] = b"http/1.1";
/// Sessions kept for clients that resume by identifier rather than by ticket.
const STORED_SESSIONS: usize = 4096;

/// TLS cannot be offered at all.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// Ends TLS for a listener; cheap to clone.
///
/// Certificates come from a table that is swapped under running connections:
/// each handshake uses the table of its moment, and sessions stay resumable.
#[derive(Clone)]
pub struct TlsTerminator {
    with_http2: TlsAcceptor,
    http1_only: TlsAcceptor,
    certificates: Arc<ArcSwap<CertificateTable>>,
}

impl TlsTerminator {
    /// Ends TLS with the certificates of `table`.
    ///
    /// # Errors
    /// When the system yields no randomness for ticket keys.
    pub fn new(table: Arc<CertificateTable>) -> Result<Self, TlsError> {
        let certificates = Arc::new(ArcSwap::new(table));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(Arc::clone(&certificates))));
        // Keys of tickets change every six hours and are forgotten after twelve.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(STORED_SESSIONS);
        // Data in the first flight could be replayed (RFC 8446 8).
        config.max_early_data_size = 0;
        config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
        let http1_only = TlsAcceptor::from(Arc::new(config.clone()));
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), ALPN_HTTP1.to_vec()];
        Ok(Self {
            with_http2: TlsAcceptor::from(Arc::new(config)),
            http1_only,
            certificates,
        })
    }

    /// Uses `table` from the next handshake on.
    pub fn replace_certificates(&self, table: Arc<CertificateTable>) {
        self.certificates.store(table);
    }

    /// The certificates in use.
    #[must_use]
    pub fn certificates(&self) -> Arc<CertificateTable> {
        self.certificates.load_full()
    }

    pub(super) async fn accept(
        &self,
        tcp: TcpStream,
        http2_enabled: bool,
    ) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = if http2_enabled {
            &self.with_http2
        } else {
            &self.http1_only
        };
        acceptor.accept(tcp).await
    }
}

impl fmt::Debug for TlsTerminator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsTerminator")
            .finish_non_exhaustive()
    }
}

/// What the handshake of `stream` agreed on, and the protocol to speak.
pub(super) fn facts_of(stream: &TlsStream<TcpStream>, handshake: Duration) -> (TlsFacts, Protocol) {
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
        // No other version is offered.
        _ => TlsVersion::V1_3,
    };
    let protocol = if session.alpn_protocol() == Some(ALPN_HTTP2) {
        Protocol::Http2
    } else {
        Protocol::Http1
    };
    let facts = TlsFacts {
        version,
        server_name: session.server_name().map(str::to_ascii_lowercase),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
        handshake,
        told: Arc::default(),
    };
    (facts, protocol)
}

/// Finds the certificate for each handshake.
#[derive(Debug)]
struct Resolver(Arc<ArcSwap<CertificateTable>>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0
            .load()
            .select(hello.server_name(), hello.signature_schemes())
    }
}
