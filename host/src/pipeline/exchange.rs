//! One request from its head to the last byte of its response.
//!
//! The [`Exchange`] holds the generation, the receipt and the permit. It ends
//! with the response body: on the last byte, or when the body is dropped
//! because the client went away. Either way the receipt is closed, once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::Request;
use http::header::USER_AGENT;
use http_body::{Frame, SizeHint};
use verge_base::Permit;
use verge_http::failure::NodeFault;
use verge_http::interim::InterimFields;
use verge_http::{Body, Failure, fields};

use super::answer::Answer;
use super::failure_response;
use super::head::TrustedHead;
use super::routed::Routed;
use super::sanitize::{Arrival, ReceivedBytes};
use super::scope::{Asked, SiteScope};
use crate::deploy::share::Asker;
use crate::generation::Generation;
use crate::node::NodeState;
use crate::route::Site;
use crate::telemetry::{Receipt, RequestId, RouteLabel, TraceContext};

/// One request on its way through the pipeline.
pub struct Exchange {
    /// The node.
    pub node: Arc<NodeState>,
    /// The snapshot that this request lives on from first byte to last.
    pub generation: Arc<Generation>,
    /// What it cost so far.
    pub receipt: Receipt,
    /// The site it is for, once that is known.
    pub site: Option<Arc<Site>>,
    /// What its functions left is run when this, and all others that have it, are gone.
    scope: Option<Arc<SiteScope>>,
    /// Its place among the requests in flight.
    permit: Option<Permit>,
    /// How much of the request's content was read.
    pub received: Option<ReceivedBytes>,
    is_closed: bool,
}

impl Exchange {
    /// Takes the current generation and begins the receipt.
    #[must_use]
    pub fn open(node: &Arc<NodeState>, arrival: &Arrival, request: &Request<Body>) -> Box<Self> {
        let mut receipt = Receipt::begin(
            RequestId::new(&node.random),
            node.clock.now(),
            node.clock.wall(),
        );
        receipt.protocol = request.version();
        receipt.method = request.method().clone();
        receipt.target = Some(request.uri().clone());
        receipt.user_agent = request.headers().get(USER_AGENT).cloned();
        receipt.client = Some(arrival.peer.ip());
        receipt.tls = arrival.handshake;
        Box::new(Self {
            node: Arc::clone(node),
            generation: node.generation.load_full(),
            receipt,
            site: None,
            scope: None,
            permit: None,
            received: None,
            is_closed: false,
        })
    }

    /// Notes who the client is, behind trusted proxies, and the trace it carries on.
    pub fn note_client(&mut self, head: &TrustedHead) {
        self.receipt.client = Some(head.client.address);
        self.receipt.trace = TraceContext::continued(&head.fields, &self.node.random);
    }

    /// Stage 2: finds site and route.
    ///
    /// # Errors
    /// 421 or 404.
    pub fn route(&mut self, head: &TrustedHead, arrival: &Arrival) -> Result<Routed, Failure> {
        let entry = self.generation.sites.select_site(head.authority.host())?;
        let site = Arc::clone(entry.site());
        self.site = Some(Arc::clone(&site));
        let route = match entry.select_route(head.path(), &head.method, &head.fields) {
            Ok(route) => route,
            Err(fault) => {
                let label = RouteLabel::new(Arc::clone(&site.metrics), None);
                self.receipt.route = Some(Arc::new(label));
                return Err(fault.into());
            }
        };
        self.receipt.route = Some(Arc::clone(&route.label));
        let picks = self.generation.pick(&Asker {
            fields: &head.fields,
            client: head.client.address,
            id: self.receipt.id,
        });
        let mut routed = Routed::new(
            Arc::clone(&self.node),
            Arc::clone(&self.generation),
            site,
            Arc::clone(route),
            Asked {
                id: self.receipt.id,
                trace: self.receipt.trace,
                client: head.client.address,
                depth: 0,
                picks,
                rehearses: false,
            },
        );
        // Functions that change responses cannot see those that come ahead of them.
        let fields = if routed.route.changes_responses() {
            InterimFields::Hints
        } else {
            InterimFields::All
        };
        self.scope = routed.scope();
        routed.interim = arrival.interim.clone().map(|sender| sender.only(fields));
        Ok(routed)
    }

    /// Stage 3: takes a place among the requests in flight.
    ///
    /// # Errors
    /// 503 when all are taken.
    pub fn admit(&mut self) -> Result<(), Failure> {
        self.permit = self.node.requests.try_acquire();
        if self.permit.is_none() {
            return Err(NodeFault::RequestsExhausted.into());
        }
        Ok(())
    }

    /// The answer for a failure, which the receipt notes.
    pub fn fail(&mut self, failure: Failure) -> Answer {
        self.receipt.failure = Some(failure);
        let name = &self.generation.settings.name;
        let mut answer = failure_response::failure_answer(name, self.receipt.id, failure);
        answer.cache = self.receipt.cache;
        answer
    }

    /// Ends it; only the first call counts.
    fn close(&mut self, complete: bool) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        if let Some(received) = &self.received {
            self.receipt.received_bytes = received.total();
        }
        self.receipt.note_end(self.node.clock.now());
        self.receipt.aborted = !complete && self.receipt.failure.is_none();
        self.node.telemetry.close(&self.receipt);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Before there was a response: the client went away. Of a panic the listener makes an
        // answer, which has a receipt of its own.
        if !std::thread::panicking() {
            self.close(false);
        }
    }
}

/// A response body that closes its exchange when it ends.
pub struct ExchangeBody {
    body: Body,
    exchange: Option<Box<Exchange>>,
}

impl ExchangeBody {
    /// The body of the response to `exchange`.
    #[must_use]
    pub fn new(body: Body, exchange: Box<Exchange>) -> Self {
        Self {
            body,
            exchange: Some(exchange),
        }
    }

    fn close(&mut self, complete: bool) {
        if let Some(mut exchange) = self.exchange.take() {
            exchange.close(complete);
        }
    }
}

/// The body of an answer that belongs to no exchange.
impl From<Body> for ExchangeBody {
    fn from(body: Body) -> Self {
        Self {
            body,
            exchange: None,
        }
    }
}

impl http_body::Body for ExchangeBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &mut frame
            && let Some(trailers) = frame.trailers_mut()
        {
            fields::remove_forbidden_trailers(trailers);
        }
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(exchange)) = (frame.data_ref(), &mut self.exchange) {
                    exchange.receipt.sent_bytes += data.remaining() as u64;
                }
            }
            Some(Err(failure)) => {
                if let Some(exchange) = &mut self.exchange {
                    exchange.receipt.failure.get_or_insert(*failure);
                    if let (Failure::Origin { .. }, Some(origin)) =
                        (failure, &exchange.receipt.origin)
                        && !origin.is_filling
                    {
                        origin.origin.record_late_failure(failure.label());
                    }
                }
                self.close(false);
            }
            None => self.close(true),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ExchangeBody {
    fn drop(&mut self) {
        // The connection drops a body without asking for its end when there is none to send:
        // no content at all, or as much as Content-Length said.
        // A fill may not have noted its end yet when its last byte was sent.
        let complete =
            http_body::Body::is_end_stream(&self.body) || self.body.exact_len() == Some(0);
        self.close(complete);
    }
}
