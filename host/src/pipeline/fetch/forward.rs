//! One exchange with what stands behind the cache: origin-request functions,
//! the origin or the handler function, origin-response functions.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri, Version};
use verge_cache::policy::{Invalidation, OriginError, Reuse, decide_invalidation};
use verge_cache::{ResponseTimes, SentAt};
use verge_http::failure::{FunctionFault, NodeFault};
use verge_http::{Body, Failure, forwarded, via};
use verge_origin::OriginTiming;

use super::super::conditions;
use super::super::head::TrustedHead;
use super::super::middleware;
use super::super::routed::Routed;
use super::super::shadow::Rehearsal;
use super::super::triggers::{self, OriginBound, SeenInput, Stopped, TriggerReceipts};
use crate::key_rule::UnkeyedSource;
use crate::route::{FunctionUse, OriginEntry, Target};
use crate::telemetry::OriginReceipt;
use crate::telemetry::span;

/// What an exchange with an origin came to.
pub(super) struct Forwarded {
    /// The response, or why there is none.
    pub(super) response: Result<Response<Body>, Failure>,
    /// What it cost, and what it was given.
    pub(super) notes: ForwardNotes,
}

/// What is known of an exchange apart from its response.
#[derive(Default)]
pub(in crate::pipeline) struct ForwardNotes {
    /// Functions that ran.
    pub(in crate::pipeline) triggers: TriggerReceipts,
    /// The exchange itself; `None` when a function answered in the origin's place.
    pub(in crate::pipeline) origin: Option<OriginReceipt>,
    /// What of the request functions looked at.
    pub(in crate::pipeline) seen: SeenInput,
    /// What the origin said of a request that changes something, if it did it: whatever becomes of
    /// the response, that is done (RFC 9111 4.4).
    pub(in crate::pipeline) changed: Option<StatusCode>,
    /// Whether the request was sent with Authorization.
    pub(in crate::pipeline) has_authorization: bool,
    /// Why what a tier had was to be validated, if that is what was asked about.
    pub(super) restored: Option<Reuse>,
    /// Whether there is no response because of a function whose policy is `stale`.
    pub(in crate::pipeline) may_be_stale: bool,
}

impl ForwardNotes {
    /// The failure of the exchange, as what is stored may stand in for it.
    pub(super) fn error(&self, failure: Failure) -> OriginError {
        match self.may_be_stale {
            true => OriginError::Function(failure),
            false => OriginError::Failed(failure),
        }
    }

    fn stopped(&mut self, stopped: Stopped) -> Failure {
        self.may_be_stale = stopped.may_be_stale;
        stopped.failure
    }

    /// Adds an exchange that went before, as a try that had to be repeated.
    pub(super) fn follow(&mut self, earlier: Self) {
        let mut triggers = earlier.triggers;
        triggers.append(&mut self.triggers);
        self.triggers = triggers;
        if let (Some(origin), Some(earlier)) = (&mut self.origin, earlier.origin) {
            origin.retries += earlier.retries + 1;
        }
    }
}

/// When a response came (RFC 9111 4.2.3).
#[derive(Clone, Copy)]
pub(super) struct ArrivalTimes {
    pub(super) received: Instant,
    pub(super) received_wall: SystemTime,
}

impl ArrivalTimes {
    /// The times of a response to a request that was sent when `sent` says.
    pub(super) fn after(self, sent: &SentAt) -> ResponseTimes {
        ResponseTimes {
            requested: sent.requested,
            received: self.received,
            received_wall: self.received_wall,
        }
    }
}

/// Sends a request to where its route leads.
pub(super) async fn forward(
    routed: &Routed,
    head: TrustedHead,
    body: Body,
    origin: Option<String>,
) -> (Forwarded, ArrivalTimes) {
    let clock = &routed.node.clock;
    let mut notes = ForwardNotes::default();
    let response = exchange(routed, &mut notes, head, body, origin).await;
    let times = ArrivalTimes {
        received: clock.now(),
        received_wall: clock.wall(),
    };
    (Forwarded { response, notes }, times)
}

async fn exchange(
    routed: &Routed,
    notes: &mut ForwardNotes,
    head: TrustedHead,
    body: Body,
    origin: Option<String>,
) -> Result<Response<Body>, Failure> {
    let bound = OriginBound {
        head,
        body,
        origin,
        seen: SeenInput::default(),
    };
    let functions = &routed.route.origin_request;
    let (mut bound, answered) =
        triggers::origin_request(routed, functions, &mut notes.triggers, bound)
            .await
            .map_err(|stopped| notes.stopped(stopped))?;
    notes.has_authorization = bound.head.fields.contains_key(http::header::AUTHORIZATION);
    let functions = &routed.route.origin_response;
    // Response functions see the request as it was sent.
    let shown = (!functions.is_empty()).then(|| bound.head.clone());
    let known = routed.route.has_functions_behind_cache();
    let known = known.then(|| conditions::KnownTags::of(&bound.head.fields));
    let response = match answered {
        Some(response) => response,
        None => middleware::exchange(routed, notes, &mut bound).await?,
    };
    let mut response = match shown {
        None => response,
        Some(head) => {
            let receipts = &mut notes.triggers;
            triggers::origin_response(
                routed,
                functions,
                receipts,
                &head,
                &mut bound.seen,
                response,
            )
            .await
            .map_err(|stopped| notes.stopped(stopped))?
        }
    };
    notes.seen = bound.seen;
    if response.status() == StatusCode::NOT_MODIFIED
        && let Some(known) = known
    {
        known.detach(response.headers_mut());
    }
    Ok(response)
}

/// Sends a request to the origin, or to the function that is the route's target.
///
/// # Errors
/// Why there is no response.
pub(in crate::pipeline) async fn send(
    routed: &Routed,
    notes: &mut ForwardNotes,
    bound: &mut OriginBound,
) -> Result<Response<Body>, Failure> {
    tell_unkeyed(routed, &bound.head);
    let request = request(routed, bound)?;
    let chosen = bound.origin.as_deref();
    match (chosen, &routed.route.target) {
        (Some(name), _) => {
            let entry = routed
                .generation
                .origins
                .get(name)
                .ok_or(NodeFault::ConfigurationInvalid)?;
            send_to_origin(entry, notes, request).await
        }
        (None, Target::Origin(entry)) => send_to_origin(entry, notes, request).await,
        (None, Target::Function(used)) => call_handler(routed, used, notes, request).await,
        (None, Target::Redirect { .. } | Target::Static { .. }) => {
            Err(NodeFault::ConfigurationInvalid.into())
        }
    }
}

/// Nothing reaches an origin unkeyed without being told in the log.
fn tell_unkeyed(routed: &Routed, head: &TrustedHead) {
    if let Some(rule) = &routed.route.key
        && routed.route.cached
    {
        let source = UnkeyedSource {
            method: &head.method,
            query: head.path_and_query.query(),
            fields: &head.fields,
        };
        if rule.tell_unkeyed(routed.node.clock.now(), &source) {
            routed.node.telemetry.metrics().record_unkeyed();
        }
    }
}

/// The request as it goes out: who the client is, our own Via, CDN-Loop, request id and trace.
fn request(routed: &Routed, bound: &mut OriginBound) -> Result<Request<Body>, Failure> {
    let head = &mut bound.head;
    let mut fields = std::mem::take(&mut head.fields);
    let pseudonym = &routed.generation.settings.sanitize.pseudonym;
    let authority = head.authority.as_str();
    forwarded::write_fresh(&mut fields, head.client.address, authority, head.scheme);
    via::append_via(&mut fields, head.version, pseudonym);
    via::append_cdn_loop(&mut fields, pseudonym);
    fields.insert(span::REQUEST_ID, routed.id.to_value());
    span::write_trace(routed.trace.as_ref(), &mut fields);
    let mut request = Request::new(std::mem::take(&mut bound.body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri(head)?;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = fields;
    if let Some(interim) = &routed.interim {
        request.extensions_mut().insert(interim.clone());
    }
    Ok(request)
}

/// The target URI in absolute form.
///
/// # Errors
/// It is none, which `sanitize` does not let through.
pub(in crate::pipeline) fn uri(head: &TrustedHead) -> Result<Uri, Failure> {
    let path = if head.path_and_query.as_str() == "*" {
        // Asterisk-form has no absolute counterpart (RFC 9112 3.2.4).
        PathAndQuery::from_static("*")
    } else {
        head.path_and_query.clone()
    };
    Uri::builder()
        .scheme(head.scheme.as_str())
        .authority(head.authority.as_str())
        .path_and_query(path)
        .build()
        .map_err(|_| NodeFault::Internal.into())
}

async fn send_to_origin(
    entry: &Arc<OriginEntry>,
    notes: &mut ForwardNotes,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let method = request.method().clone();
    let (response, receipt) = exchange_with(entry, request).await;
    notes.origin = Some(receipt);
    if let Ok(response) = &response
        && decide_invalidation(&method, response.status()) == Invalidation::Target
    {
        notes.changed = Some(response.status());
    }
    response
}

/// Sends a request to an origin, and counts it there.
pub(in crate::pipeline) async fn exchange_with(
    entry: &Arc<OriginEntry>,
    request: Request<Body>,
) -> (Result<Response<Body>, Failure>, OriginReceipt) {
    match entry.origin.send(request).await {
        Ok(answered) => {
            let mut receipt = origin_receipt(entry, &answered.timing);
            receipt.status = Some(answered.response.status());
            entry.metrics.record(&receipt);
            (Ok(answered.response), receipt)
        }
        Err(error) => {
            let mut receipt = origin_receipt(entry, &error.timing);
            receipt.failure = Some(error.failure);
            entry.metrics.record(&receipt);
            (Err(error.failure), receipt)
        }
    }
}

fn origin_receipt(entry: &OriginEntry, timing: &OriginTiming) -> OriginReceipt {
    let mut receipt = OriginReceipt::new(Arc::clone(&entry.metrics));
    receipt.address = timing.address;
    receipt.reused = timing.reused;
    receipt.queue = timing.queue;
    receipt.connect = (!timing.connect.is_zero()).then_some(timing.connect);
    receipt.tls = (!timing.tls.is_zero()).then_some(timing.tls);
    // An exchange that failed before it has no first byte; a zero would count as a quick one.
    receipt.first_byte = (!timing.first_byte.is_zero()).then_some(timing.first_byte);
    receipt.retries = timing.retries;
    receipt
}

async fn call_handler(
    routed: &Routed,
    used: &FunctionUse,
    notes: &mut ForwardNotes,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let rehearsal = Rehearsal::of_handler(routed, used, &request);
    let call = routed
        .version(used)
        .function
        .handle(routed.call(), request, routed.id_text())
        .await;
    if let Some(rehearsal) = rehearsal {
        rehearsal.after_handler(routed, &call);
    }
    let pending = call.pending.as_ref();
    triggers::note(
        &mut notes.triggers,
        routed.version(used),
        &call.receipt,
        pending,
    );
    match call.response {
        Ok(response) => Ok(response),
        Err(failure) => {
            let content = verge_runtime::ContentChange::Consumed;
            let settled = triggers::settle_failure(routed, used, &failure, content);
            // A target cannot be skipped, whatever its policy.
            let skipped = || Failure::from(FunctionFault::NoResponse);
            Err(settled.map_or_else(|stopped| notes.stopped(stopped), |()| skipped()))
        }
    }
}
