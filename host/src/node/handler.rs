//! The node as its listeners see it: requests go into the pipeline, everything
//! else is counted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{Request, Response};
use verge_http::interim::InterimSender;
use verge_http::{Body, Failure, Scheme};

use super::NodeState;
use crate::listener::{
    CloseReason, ConnectionEvent, ConnectionFacts, Handler, Limit, TlsVersion, Transport,
};
use crate::pipeline::sanitize::Arrival;
use crate::pipeline::{self, ExchangeBody, failure_parts};
use crate::telemetry::{ListenerMetrics, Receipt, RequestId, TlsReceipt};

/// What one listener's connections are served by.
pub(super) struct NodeHandler {
    pub(super) state: Arc<NodeState>,
    pub(super) metrics: Arc<ListenerMetrics>,
}

impl Handler for NodeHandler {
    type ResponseBody = ExchangeBody;

    async fn handle(
        &self,
        connection: &Arc<ConnectionFacts>,
        interim: Option<InterimSender>,
        mut request: Request<Body>,
    ) -> Response<ExchangeBody> {
        let arrival = arrival(connection, interim);
        let Some(front) = &self.state.front else {
            return pipeline::serve(&self.state, &arrival, request).await;
        };
        if let Some(response) = front.intercept(&mut request) {
            return response.map(Into::into);
        }
        let method = request.method().clone();
        let response = pipeline::serve(&self.state, &arrival, request).await;
        front.finish(&method, response)
    }

    fn refuse(&self, connection: &ConnectionFacts, failure: Failure) -> Response<Bytes> {
        let state = &self.state;
        let (now, wall) = (state.clock.now(), state.clock.wall());
        let mut receipt = Receipt::begin(RequestId::new(&state.random), now, wall);
        receipt.client = Some(connection.peer.ip());
        receipt.failure = Some(failure);
        receipt.status = Some(failure.status());
        let generation = state.generation.load();
        let name = &generation.settings.name;
        let (status, fields, text) = failure_parts(name, Some(receipt.id), failure);
        receipt.sent_bytes = text.len() as u64;
        state.telemetry.close(&receipt);
        let mut response = Response::new(text);
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        response
    }

    fn event(&self, event: ConnectionEvent) {
        let metrics = self.state.telemetry.metrics();
        match event {
            // Permits count their own refusals, which metrics add.
            ConnectionEvent::LimitHit(Limit::Connections) => {}
            ConnectionEvent::LimitHit(limit) => metrics.record_limit(limit.label()),
            ConnectionEvent::HandlerPanicked => metrics.record_panic(),
            ConnectionEvent::Accepted => self.metrics.record_opened(),
            ConnectionEvent::AcceptFailed => self.metrics.record_end("accept-failed"),
            ConnectionEvent::HandshakeCompleted { resumed, elapsed } => {
                self.metrics.record_handshake(elapsed, resumed);
            }
            // Both end the connection, which is counted by that reason.
            ConnectionEvent::HandshakeFailed | ConnectionEvent::RejectedByLibrary => {}
            ConnectionEvent::Closed { reason, .. } => {
                self.metrics.record_closed();
                if reason != CloseReason::Client {
                    self.metrics.record_end(reason.label());
                }
            }
        }
    }
}

fn arrival(connection: &ConnectionFacts, interim: Option<InterimSender>) -> Arrival {
    let (scheme, tls, handshake) = match &connection.transport {
        Transport::Plain => (Scheme::Http, None, None),
        Transport::Tls(facts) => (
            Scheme::Https,
            Some(match facts.version {
                TlsVersion::V1_2 => "TLSv1.2",
                TlsVersion::V1_3 => "TLSv1.3",
            }),
            // On the connection's first request only: it is what that request waited for.
            (!facts.told.swap(true, Ordering::Relaxed)).then(|| TlsReceipt {
                version: facts.version.label(),
                handshake: facts.handshake,
                resumed: facts.resumed,
            }),
        ),
    };
    Arrival {
        peer: connection.peer,
        scheme,
        tls,
        handshake,
        interim,
    }
}
