//! Making connections: TCP, then TLS where asked for, then HTTP/1.1.
//!
//! Which address, and whether to try another, is decided elsewhere.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use verge_base::Clock;
use verge_http::Failure;
use verge_http::failure::OriginFault;

use crate::connection::Connection;
use crate::error::{connect_fault, handshake_fault};
use crate::meter::{Meter, Metered};
use crate::pool::Slot;
use crate::request_body::RequestBody;
use crate::settings::Limits;

/// What the HTTP library may buffer in each direction. A head may be larger.
const BUFFER_BYTES: usize = 64 * 1024;
/// The library's own default; other values cost an allocation for each head.
const HEAD_FIELDS_INLINE: usize = 100;

/// Makes connections to an origin.
pub(crate) struct Connector {
    tls: Option<TlsConnector>,
    http: http1::Builder,
    limit: Duration,
    clock: Clock,
}

/// How long the parts of making a connection took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectTiming {
    pub(crate) tcp: Duration,
    pub(crate) tls: Duration,
}

/// A connection that could not be made.
#[derive(Debug)]
pub(crate) struct ConnectFailure {
    pub(crate) fault: OriginFault,
    /// What the operator should see; never shown to clients.
    pub(crate) detail: String,
}

impl ConnectFailure {
    fn new(fault: OriginFault, detail: impl std::fmt::Display) -> Self {
        Self {
            fault,
            detail: detail.to_string(),
        }
    }

    pub(crate) fn failure(&self) -> Failure {
        Failure::unsent(self.fault)
    }
}

impl Connector {
    pub(crate) fn new(
        tls: Option<TlsConnector>,
        limits: &Limits,
        limit: Duration,
        clock: Clock,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.max_header_size(limits.head_bytes)
            .max_buf_size(limits.head_bytes.max(BUFFER_BYTES));
        if limits.head_fields != HEAD_FIELDS_INLINE {
            http.max_headers(limits.head_fields);
        }
        Self {
            tls,
            http,
            limit,
            clock,
        }
    }

    /// Connects to the address of `slot` within the connect timeout, and leaves
    /// the connection's task running.
    pub(crate) async fn connect(
        &self,
        slot: Slot,
        timing: &mut ConnectTiming,
    ) -> Result<Connection, ConnectFailure> {
        let connecting = self.connect_unbounded(slot, timing);
        match tokio::time::timeout(self.limit, connecting).await {
            Ok(outcome) => outcome,
            Err(elapsed) => Err(ConnectFailure::new(OriginFault::ConnectionTimeout, elapsed)),
        }
    }

    async fn connect_unbounded(
        &self,
        slot: Slot,
        timing: &mut ConnectTiming,
    ) -> Result<Connection, ConnectFailure> {
        let target = slot.endpoint().target.clone();
        let started = self.clock.now();
        let tcp = TcpStream::connect(target.socket)
            .await
            .map_err(|error| ConnectFailure::new(connect_fault(&error), error))?;
        // Heads and chunks are written whole: waiting for more only delays them.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
        let connected = self.clock.now();
        timing.tcp += connected.saturating_duration_since(started);
        let (Some(tls), Some(name)) = (&self.tls, target.server_name) else {
            return self.speak_http(tcp, slot).await;
        };
        let stream = tls
            .connect(name, tcp)
            .await
            .map_err(|error| ConnectFailure::new(handshake_fault(&error), error))?;
        timing.tls += self.clock.now().saturating_duration_since(connected);
        self.speak_http(stream, slot).await
    }

    async fn speak_http<IO>(&self, io: IO, slot: Slot) -> Result<Connection, ConnectFailure>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let meter = Arc::new(Meter::new());
        let io = TokioIo::new(Metered::new(io, Arc::clone(&meter)));
        let (sender, connection) = self
            .http
            .handshake::<_, RequestBody>(io)
            .await
            .map_err(|error| ConnectFailure::new(OriginFault::ConnectionTerminated, error))?;
        let endpoint = Arc::clone(slot.endpoint());
        let driver = tokio::spawn(drive(slot, connection));
        Ok(Connection::new(
            sender,
            driver.abort_handle(),
            meter,
            endpoint,
        ))
    }
}

/// Moves the connection on until it ends. The slot goes last: its place is
/// free when the socket is closed.
async fn drive<F>(slot: Slot, connection: F)
where
    F: Future<Output = hyper::Result<()>>,
{
    if let Err(error) = connection.await {
        // Exchanges hear of their own failures; this is about idle connections.
        tracing::trace!(%error, "a connection to an origin ended");
    }
    drop(slot);
}
