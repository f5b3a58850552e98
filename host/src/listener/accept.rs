//! Accepting connections: permits, refusals, and errors of the operating system.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use verge_base::{Clock, Permits};
use verge_http::Failure;
use verge_http::failure::NodeFault;

use super::answer;
use super::clients::{ClientConnections, ClientPlace};
use super::connection::{self, Places};
use super::drain::{Drain, DrainPhase};
use super::event::{ConnectionEvent, Limit};
use super::facts::{ConnectionFacts, Protocol, Transport, canonical};
use super::handler::Handler;
use super::settings::ListenerSettings;
use super::stream::Stream;
use super::tls::TlsTerminator;

/// How long accepting pauses after a first error that is not about one connection.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// How long it pauses when the error stays.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Connections that are told at one time that there is no room for them.
const REFUSALS: usize = 64;

/// What all listeners of a node share; cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections: Permits,
    refusals: Permits,
    clients: ClientConnections,
    next_id: AtomicU64,
}

/// One listening address: what its connections are served with.
pub struct Listener<H> {
    /// Answers the requests.
    pub handler: Arc<H>,
    /// The limits; a connection keeps those that it was accepted with.
    pub settings: Arc<ArcSwap<ListenerSettings>>,
    /// Permits and client counts.
    pub admission: Admission,
    /// What ends TLS, if the listener speaks it.
    pub tls: Option<TlsTerminator>,
    /// Ends the work.
    pub drain: Drain,
    /// The time.
    pub clock: Clock,
}

impl Admission {
    /// `connections` is the limit on connections of all listeners together.
    #[must_use]
    pub fn new(connections: Permits) -> Self {
        Self(Arc::new(Shared {
            connections,
            refusals: Permits::new("refusals", REFUSALS),
            clients: ClientConnections::default(),
            next_id: AtomicU64::new(1),
        }))
    }

    /// The limit on connections.
    #[must_use]
    pub fn connections(&self) -> &Permits {
        &self.0.connections
    }

    /// The counts for each client.
    #[must_use]
    pub fn clients(&self) -> &ClientConnections {
        &self.0.clients
    }

    /// A place for one more connection of a client, where the client is counted.
    fn client_place(
        &self,
        peer: SocketAddr,
        settings: &ListenerSettings,
    ) -> Result<Option<ClientPlace>, Limit> {
        let address = peer.ip().to_canonical();
        if settings
            .uncounted_clients
            .iter()
            .any(|network| network.contains(&address))
        {
            return Ok(None);
        }
        self.0
            .clients
            .try_take(address, settings.connections_per_client)
            .map(Some)
            .ok_or(Limit::ConnectionsPerClient)
    }
}

impl<H> Listener<H> {
    /// What is known of a connection that was just accepted.
    pub(super) fn facts(&self, tcp: &TcpStream, peer: SocketAddr) -> ConnectionFacts {
        ConnectionFacts {
            id: self.admission.0.next_id.fetch_add(1, Ordering::Relaxed),
            peer: canonical(peer),
            // A socket that was accepted has a name; one that broke since is
            // found out by its first read.
            local: tcp.local_addr().map_or(peer, canonical),
            accepted_at: self.clock.now(),
            transport: Transport::Plain,
            protocol: Protocol::Http1,
        }
    }
}

/// Accepts connections on `socket` and serves each in a task of its own, on
/// the runtime that calls this. Ends when the drain refuses new connections;
/// connections live on then, each with a guard of the drain.
pub async fn serve<H: Handler>(socket: TcpListener, listener: Arc<Listener<H>>) {
    let _guard = listener.drain.guard();
    let drain = listener.drain.clone();
    tokio::select! {
        () = accept(&socket, &listener) => {}
        () = drain.reached(DrainPhase::Refusing) => {}
    }
}

async fn accept<H: Handler>(socket: &TcpListener, listener: &Arc<Listener<H>>) {
    let mut pause = PAUSE_MIN;
    loop {
        match socket.accept().await {
            Ok((tcp, peer)) => {
                pause = PAUSE_MIN;
                admit(listener, tcp, peer);
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: accepting again at once would
                // fail again at once.
                tracing::warn!(%error, "accepting connections pauses");
                listener.handler.event(ConnectionEvent::AcceptFailed);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Whether accepting failed because the connection had ended already.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Gives the connection its permits and a task, or refuses it.
fn admit<H: Handler>(listener: &Arc<Listener<H>>, tcp: TcpStream, peer: SocketAddr) {
    // Without it small answers wait for acknowledgements; a socket that
    // cannot have it is served all the same.
    let _ = tcp.set_nodelay(true);
    let settings = listener.settings.load_full();
    let admission = &listener.admission;
    let Some(permit) = admission.connections().try_acquire() else {
        refuse(listener, tcp, peer, settings, Limit::Connections);
        return;
    };
    match admission.client_place(peer, &settings) {
        Err(limit) => refuse(listener, tcp, peer, settings, limit),
        Ok(client) => {
            let places = Places {
                _connection: permit,
                _client: client,
                _drain: listener.drain.guard(),
            };
            let listener = Arc::clone(listener);
            tokio::spawn(connection::run(listener, tcp, peer, settings, places));
        }
    }
}

/// Tells a client in plaintext that there is no room; closes an encrypted
/// connection, since a handshake costs more than most requests.
fn refuse<H: Handler>(
    listener: &Arc<Listener<H>>,
    tcp: TcpStream,
    peer: SocketAddr,
    settings: Arc<ListenerSettings>,
    limit: Limit,
) {
    listener.handler.event(ConnectionEvent::LimitHit(limit));
    if listener.tls.is_some() {
        return;
    }
    let Some(refusal) = listener.admission.0.refusals.try_acquire() else {
        return;
    };
    let listener = Arc::clone(listener);
    tokio::spawn(async move {
        let _held = (refusal, listener.drain.guard());
        let facts = listener.facts(&tcp, peer);
        let failure = Failure::Node(NodeFault::ConnectionsExhausted);
        let response = listener.handler.refuse(&facts, failure);
        let mut stream = Stream::Plain(tcp);
        let wall = listener.clock.wall();
        answer::send_last(&mut stream, &response, wall, settings.close_time).await;
    });
}
