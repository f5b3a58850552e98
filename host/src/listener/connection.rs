//! The life of one connection: TLS, the choice of protocol, serving, the end.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::net::TcpStream;
use verge_base::{Clock, Permit};

use super::accept::Listener;
use super::clients::ClientPlace;
use super::drain::{Drain, DrainGuard, DrainPhase};
use super::event::{CloseReason, ConnectionEvent, Limit};
use super::facts::{ConnectionFacts, Protocol, Transport};
use super::handler::Handler;
use super::http1::Served;
use super::settings::ListenerSettings;
use super::stream::Stream;
use super::tls::{TlsTerminator, facts_of};
use super::{http1, http2};

/// What every part of a connection needs of its listener.
pub(super) struct Context<H> {
    pub(super) handler: Arc<H>,
    pub(super) settings: Arc<ListenerSettings>,
    pub(super) clock: Clock,
    pub(super) drain: Drain,
}

impl<H> Clone for Context<H> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            settings: Arc::clone(&self.settings),
            clock: self.clock.clone(),
            drain: self.drain.clone(),
        }
    }
}

/// What a connection holds for its whole life.
pub(super) struct Places {
    pub(super) _connection: Permit,
    pub(super) _client: Option<ClientPlace>,
    pub(super) _drain: DrainGuard,
}

/// Serves `tcp` until it ends.
pub(super) async fn run<H: Handler>(
    listener: Arc<Listener<H>>,
    tcp: TcpStream,
    peer: SocketAddr,
    settings: Arc<ListenerSettings>,
    places: Places,
) {
    let facts = listener.facts(&tcp, peer);
    let context = Context {
        handler: Arc::clone(&listener.handler),
        settings,
        clock: listener.clock.clone(),
        drain: listener.drain.clone(),
    };
    context.handler.event(ConnectionEvent::Accepted);
    let Some((stream, facts)) = establish(&context, listener.tls.as_ref(), tcp, facts).await else {
        return;
    };
    drop(listener);
    let (protocol, reason, requests) = serve(&context, stream, facts).await;
    context.handler.event(ConnectionEvent::Closed {
        protocol,
        reason,
        requests,
    });
    drop(places);
}

/// Shakes hands where the listener speaks TLS.
async fn establish<H: Handler>(
    context: &Context<H>,
    tls: Option<&TlsTerminator>,
    tcp: TcpStream,
    mut facts: ConnectionFacts,
) -> Option<(Stream, ConnectionFacts)> {
    let Some(tls) = tls else {
        return Some((Stream::Plain(tcp), facts));
    };
    let time = context.settings.handshake_time;
    let handshake = tokio::time::timeout(time, tls.accept(tcp, context.settings.http2_enabled));
    let outcome = tokio::select! {
        outcome = handshake => outcome,
        () = context.drain.reached(DrainPhase::Cut) => {
            closed_early(context, CloseReason::Cut);
            return None;
        }
    };
    let event = |event| Handler::event(context.handler.as_ref(), event);
    match outcome {
        Ok(Ok(stream)) => {
            let elapsed = context
                .clock
                .now()
                .saturating_duration_since(facts.accepted_at);
            let (tls_facts, protocol) = facts_of(&stream, elapsed);
            event(ConnectionEvent::HandshakeCompleted {
                resumed: tls_facts.resumed,
                elapsed,
            });
            facts.transport = Transport::Tls(Box::new(tls_facts));
            facts.protocol = protocol;
            Some((Stream::Tls(Box::new(stream)), facts))
        }
        Ok(Err(error)) => {
            tracing::debug!(connection = facts.id, %error, "TLS handshake failed");
            event(ConnectionEvent::HandshakeFailed);
            closed_early(context, CloseReason::HandshakeFailed);
            None
        }
        Err(_elapsed) => {
            event(ConnectionEvent::LimitHit(Limit::HandshakeTime));
            closed_early(context, CloseReason::Limit(Limit::HandshakeTime));
            None
        }
    }
}

/// The connection ends before a protocol was agreed on.
fn closed_early<H: Handler>(context: &Context<H>, reason: CloseReason) {
    context.handler.event(ConnectionEvent::Closed {
        protocol: Protocol::Http1,
        reason,
        requests: 0,
    });
}

/// Serves the protocol that the handshake chose, or that the first bytes show.
async fn serve<H: Handler>(
    context: &Context<H>,
    stream: Stream,
    facts: ConnectionFacts,
) -> (Protocol, CloseReason, u64) {
    let (stream, prefix) = match facts.protocol {
        Protocol::Http2 => (stream, BytesMut::new()),
        Protocol::Http1 => match http1::serve(context.clone(), facts.clone(), stream).await {
            Served::Closed { reason, requests } => {
                return (Protocol::Http1, reason, requests);
            }
            Served::Http2(stream, prefix) => (stream, prefix),
        },
    };
    let facts = Arc::new(ConnectionFacts {
        protocol: Protocol::Http2,
        ..facts
    });
    let (reason, requests) = http2::serve(context.clone(), facts, stream, prefix).await;
    (Protocol::Http2, reason, requests)
}
