//! The admin listener: health, metrics, status and reload, on addresses of
//! its own and apart from all traffic.
//!
//! It is small on purpose and depends on nothing that traffic can use up: it
//! belongs on a runtime of its own, and knows the node only as an
//! [`AdminSource`].

pub mod auth;
mod content;
pub mod explain;
pub mod functions;
pub mod purge;
mod routes;
pub mod source;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use verge_base::{Permit, Permits};

pub use auth::{AdminAuth, AdminToken, Admission, TokenInvalid};
pub use explain::{ExplainRequest, Explanation};
pub use purge::{PurgeDone, PurgeItem, PurgeScopeText, ScopeProblem};
pub use source::{
    AdminSource, DrainStatus, FunctionStatus, GenerationStatus, Readiness, ReloadCause,
    ReloadProblem, ReloadReport, ReloadResult, Status,
};

/// What one peer may take up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminLimits {
    /// Connections at once; more are closed as they come.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Fields of a request's head.
    pub head_fields: usize,
    /// Time for a request's head to arrive, and for a connection to be idle.
    pub head_time: Duration,
    /// How long a connection takes new requests.
    pub connection_time: Duration,
    /// How long a connection may then finish its last one, a reader that does
    /// not read included.
    pub last_request_time: Duration,
    /// How long a stop waits for requests in flight.
    pub stop_time: Duration,
}

impl Default for AdminLimits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_bytes: 16 << 10,
            head_fields: 64,
            head_time: Duration::from_secs(10),
            connection_time: Duration::from_secs(600),
            last_request_time: routes::RELOAD_TIME + Duration::from_secs(5),
            stop_time: Duration::from_secs(2),
        }
    }
}

/// The bound listener.
#[derive(Debug)]
pub struct AdminServer {
    listeners: Vec<StdListener>,
    addresses: Vec<SocketAddr>,
    router: Router,
    limits: AdminLimits,
    permits: Permits,
}

impl AdminServer {
    /// Binds every address; connections wait until [`serve`](Self::serve).
    ///
    /// # Errors
    /// An address cannot be bound; the text names it.
    pub fn bind(
        addresses: &[SocketAddr],
        auth: AdminAuth,
        source: Arc<dyn AdminSource>,
        limits: AdminLimits,
    ) -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(addresses.len());
        let mut bound = Vec::with_capacity(addresses.len());
        for address in addresses {
            let listener = bind(*address).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?;
            bound.push(listener.local_addr()?);
            listeners.push(listener);
        }
        Ok(Self {
            listeners,
            addresses: bound,
            router: routes::router(auth, source),
            limits,
            permits: Permits::new("admin-connections", limits.connections),
        })
    }

    /// The addresses that were bound, in the order given; a port 0 has become a real one.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The permits of its connections, for the node's list of limits.
    #[must_use]
    pub fn permits(&self) -> &Permits {
        &self.permits
    }

    /// Serves until `stop` resolves, then finishes requests in flight for the
    /// configured while. Run it where traffic cannot hold it up: on a runtime
    /// with timers and I/O of its own.
    ///
    /// # Errors
    /// The runtime does not take a listener.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) -> io::Result<()> {
        let (stopping, stopped) = watch::channel(());
        let mut loops = JoinSet::new();
        for listener in self.listeners {
            let acceptor = Acceptor {
                listener: TcpListener::from_std(listener)?,
                router: self.router.clone(),
                limits: self.limits,
                permits: self.permits.clone(),
                stopped: stopped.clone(),
            };
            loops.spawn(acceptor.run());
        }
        stop.await;
        drop(stopping);
        // Loops that are not done by then are aborted with their connections.
        let _elapsed = timeout(self.limits.stop_time, async {
            while loops.join_next().await.is_some() {}
        })
        .await;
        Ok(())
    }
}

fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Accepts connections of one address.
struct Acceptor {
    listener: TcpListener,
    router: Router,
    limits: AdminLimits,
    permits: Permits,
    /// Its sender is dropped when the server stops.
    stopped: watch::Receiver<()>,
}

impl Acceptor {
    /// Pause after a failed accept: the process is out of files, and asking
    /// again at once would only burn its time.
    const PAUSE: Duration = Duration::from_millis(100);

    async fn run(mut self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _peer)) => {
                        if let Some(permit) = self.permits.try_acquire() {
                            connections.spawn(self.connection(stream, permit));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the admin listener cannot accept");
                        sleep(Self::PAUSE).await;
                    }
                },
                Some(_ended) = connections.join_next() => {}
                _ = self.stopped.changed() => break,
            }
        }
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }

    fn connection(&self, stream: TcpStream, permit: Permit) -> impl Future<Output = ()> + use<> {
        let limits = self.limits;
        let mut stopped = self.stopped.clone();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_time)
            .max_headers(limits.head_fields)
            // hyper's least is 8 KiB; it answers 431 by itself beyond it.
            .max_buf_size(limits.head_bytes.max(8 << 10))
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(self.router.clone()),
            );
        async move {
            let _held = permit;
            let mut connection = pin!(connection);
            tokio::select! {
                // A peer's mistakes are told to the peer by hyper.
                _ended = connection.as_mut() => return,
                _ = stopped.changed() => {}
                () = sleep(limits.connection_time) => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ended = timeout(limits.last_request_time, connection).await;
        }
    }
}

#[cfg(test)]
mod tests;
