//! Stages 4 and 7, and the origin triggers of a fill: functions in order, each
//! with its own failure policy, each with a receipt.

use std::sync::Arc;

use http::uri::{Authority as UriAuthority, Scheme as UriScheme};
use http::{HeaderMap, HeaderName, Response, header};
use smallvec::SmallVec;
use verge_http::authority::{Authority, Scheme};
use verge_http::failure::NodeFault;
use verge_http::surrogate::SurrogateKey;
use verge_http::{Body, Failure};
use verge_runtime::{
    CallReceipt, ClientFacts, ContentChange, Context, EdgeRequest, PendingEnd, RequestEffects,
    Trigger, Verdict,
};

use super::answer::Answer;
use super::conditions;
use super::head::TrustedHead;
use super::routed::Routed;
pub(super) use super::settle::{Stopped, settle_failure};
use super::shadow::Rehearsal;
use crate::capabilities::trigger_receipt;
use crate::route::{FunctionEntry, FunctionUse};
use crate::telemetry::TriggerReceipt;

/// Receipts of the triggers that ran.
pub(super) type TriggerReceipts = SmallVec<[TriggerReceipt; 2]>;

/// A request behind viewer-request.
pub(super) struct ViewedRequest {
    /// As it is now; key and Vary are read from this.
    pub head: TrustedHead,
    /// What functions did that the cache must know.
    pub marks: RequestMarks,
    /// What functions carry to viewer-response.
    pub context: Context,
}

/// Fields that are about one exchange alone, and no key parts whoever wrote them.
pub(super) const OF_EXCHANGE: [HeaderName; 10] = [
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::TE,
    header::CONTENT_LENGTH,
];

/// What functions did to a request that matters for the cache key and the origin.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestMarks {
    /// Fields that a function added, changed or removed, without declaring them unkeyed itself:
    /// no function speaks for what another one derived.
    keyed: SmallVec<[HeaderName; 4]>,
    /// Whether a function changed method, scheme, authority, path or query.
    pub is_retargeted: bool,
    /// Declared key parts.
    pub key_parts: Vec<(String, String)>,
    /// Declared names by which a stored response is purged.
    pub surrogate_keys: Vec<SurrogateKey>,
    /// The origin that a function chose.
    pub origin: Option<String>,
    /// The site whose function sent the request to an origin of its own choice, past all routes:
    /// what is stored then is not for clients, whatever their functions choose.
    pub sent_by: Option<Arc<str>>,
    /// Whether a function failed and was left out.
    pub is_function_skipped: bool,
}

impl RequestMarks {
    /// The marks of a request that a function of `site` made, for this origin if it is for one. The
    /// function
    /// wrote all of its fields; those that are about this exchange alone are no key parts.
    pub(super) fn of_function(site: &Arc<str>, fields: &HeaderMap, origin: Option<String>) -> Self {
        let keyed = fields.keys().filter(|name| !OF_EXCHANGE.contains(*name));
        Self {
            keyed: keyed.cloned().collect(),
            sent_by: origin.is_some().then(|| Arc::clone(site)),
            origin,
            ..Self::default()
        }
    }

    /// Adds what one more function did.
    pub(super) fn add(&mut self, effects: RequestEffects) {
        for name in effects.fields {
            if !effects.unkeyed.contains(&name) && !self.keyed.contains(&name) {
                self.keyed.push(name);
            }
        }
        self.is_retargeted |= effects.target;
        self.key_parts.extend(effects.key_parts);
        self.surrogate_keys.extend(effects.surrogate_keys);
        if effects.origin.is_some() {
            self.origin = effects.origin;
        }
    }

    /// The fields that must be key parts: what a function derived for one client
    /// must never answer another, unless the function says that it does not matter.
    pub(super) fn keyed_fields(&self) -> impl Iterator<Item = &HeaderName> {
        self.keyed.iter()
    }

    /// Whether `name` is a part of the key.
    #[must_use]
    pub(super) fn is_keyed(&self, name: &HeaderName) -> bool {
        self.keyed.contains(name)
    }
}

/// What a chain of request triggers came to.
pub(super) enum Flow<T> {
    /// The request goes on.
    Next(T),
    /// A function answered.
    Answer(Response<Body>),
    /// A function failed whose policy is `stale`: what is stored for the request, as it came to
    /// that function, may answer. Otherwise this is the failure.
    Stored(Box<ViewedRequest>, Failure),
}

/// Runs the viewer-request functions of a route.
///
/// # Errors
/// The fault of a function whose policy is `closed`.
pub(super) async fn viewer_request(
    routed: &Routed,
    functions: &[FunctionUse],
    receipts: &mut TriggerReceipts,
    head: TrustedHead,
    body: Body,
) -> Result<Flow<(ViewedRequest, Body)>, Failure> {
    let mut viewed = ViewedRequest {
        head,
        marks: RequestMarks::default(),
        context: Context::default(),
    };
    if functions.is_empty() {
        return Ok(Flow::Next((viewed, body)));
    }
    let mut edge = to_edge(routed, &viewed.head, body, viewed.context)?;
    for used in functions {
        let rehearsal = Rehearsal::of_request(routed, used, &edge);
        // Boxed, so that requests without functions do not carry the room for a call.
        let call = Box::pin(
            routed
                .version(used)
                .function
                .viewer_request(routed.call(), edge),
        );
        let call = call.await;
        note(
            receipts,
            routed.version(used),
            &call.receipt,
            call.pending.as_ref(),
        );
        if let Some(rehearsal) = rehearsal {
            rehearsal.after_request(routed, Trigger::ViewerRequest, &call);
        }
        edge = call.request;
        match call.verdict {
            Ok(Verdict::Continue) => viewed.marks.add(call.effects),
            Ok(Verdict::Respond(response)) => return Ok(Flow::Answer(response)),
            Err(failure) => {
                let settled = settle_failure(routed, used, &failure, call.effects.content);
                let Err(stopped) = settled else {
                    viewed.marks.is_function_skipped = true;
                    continue;
                };
                // What is stored answers no request with content.
                let has_content = !http_body::Body::is_end_stream(&edge.body);
                if !stopped.may_be_stale || has_content {
                    return Err(stopped.failure);
                }
                update_head(&mut viewed.head, &mut edge)?;
                viewed.context = edge.context;
                return Ok(Flow::Stored(Box::new(viewed), stopped.failure));
            }
        }
    }
    update_head(&mut viewed.head, &mut edge)?;
    viewed.context = edge.context;
    Ok(Flow::Next((viewed, edge.body)))
}

/// A request on its way to an origin, behind origin-request.
pub(super) struct OriginBound {
    /// As it is now.
    pub head: TrustedHead,
    /// Its content.
    pub body: Body,
    /// The origin that a function chose.
    pub origin: Option<String>,
    /// What origin triggers looked at.
    pub seen: SeenInput,
}

/// What of the request origin triggers looked at. A response that may depend on
/// input which is no part of the key must not be stored.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenInput {
    /// Fields that were read.
    pub fields: SmallVec<[HeaderName; 4]>,
    /// Everything was read: all fields, or who the client is.
    pub everything: bool,
    /// Whether a function failed and was left out.
    pub is_function_skipped: bool,
}

impl SeenInput {
    fn add(&mut self, effects: &verge_runtime::SeenInput) {
        self.everything |= effects.everything;
        for name in &effects.fields {
            if !self.fields.contains(name) {
                self.fields.push(name.clone());
            }
        }
    }
}

/// Runs the origin-request functions of a route.
///
/// # Errors
/// The fault of a function whose policy is `closed`.
pub(super) async fn origin_request(
    routed: &Routed,
    functions: &[FunctionUse],
    receipts: &mut TriggerReceipts,
    mut bound: OriginBound,
) -> Result<(OriginBound, Option<Response<Body>>), Stopped> {
    if functions.is_empty() {
        return Ok((bound, None));
    }
    let body = std::mem::take(&mut bound.body);
    let mut edge = to_edge(routed, &bound.head, body, Context::default())?;
    for used in functions {
        let rehearsal = Rehearsal::of_request(routed, used, &edge);
        let call = routed
            .version(used)
            .function
            .origin_request(routed.call(), edge)
            .await;
        note(
            receipts,
            routed.version(used),
            &call.receipt,
            call.pending.as_ref(),
        );
        if let Some(rehearsal) = rehearsal {
            rehearsal.after_request(routed, Trigger::OriginRequest, &call);
        }
        bound.seen.add(&call.seen);
        edge = call.request;
        match call.verdict {
            Ok(Verdict::Continue) => {
                if call.effects.origin.is_some() {
                    bound.origin = call.effects.origin;
                }
            }
            Ok(Verdict::Respond(response)) => return Ok((bound, Some(response))),
            Err(failure) => {
                settle_failure(routed, used, &failure, call.effects.content)?;
                bound.seen.is_function_skipped = true;
            }
        }
    }
    update_head(&mut bound.head, &mut edge)?;
    bound.body = edge.body;
    Ok((bound, None))
}

/// Runs the origin-response functions of a route.
///
/// # Errors
/// The fault of a function whose policy is `closed`.
pub(super) async fn origin_response(
    routed: &Routed,
    functions: &[FunctionUse],
    receipts: &mut TriggerReceipts,
    head: &TrustedHead,
    seen: &mut SeenInput,
    mut response: Response<Body>,
) -> Result<Response<Body>, Stopped> {
    if functions.is_empty() {
        return Ok(response);
    }
    let mut edge = to_edge(routed, head, Body::Empty, Context::default())?;
    for used in functions {
        let rehearsal = Rehearsal::of_response(routed, used, &edge, &response);
        let call = routed
            .version(used)
            .function
            .origin_response(routed.call(), edge, response)
            .await;
        note(
            receipts,
            routed.version(used),
            &call.receipt,
            call.pending.as_ref(),
        );
        if let Some(rehearsal) = rehearsal {
            rehearsal.after_response(routed, Trigger::OriginResponse, &call);
        }
        seen.add(&call.seen);
        edge = call.request;
        response = call.response;
        match call.result {
            // What is stored is the function's content: the origin's strong validator is not its.
            Ok(()) if call.effects.content != ContentChange::Untouched => {
                conditions::detach_content(response.headers_mut());
            }
            Ok(()) => {}
            Err(failure) => {
                settle_failure(routed, used, &failure, call.effects.content)?;
                seen.is_function_skipped = true;
            }
        }
    }
    Ok(response)
}

/// Runs the viewer-response functions of a route on the answer as it would be sent.
///
/// Returns whether the content was replaced: then it is no longer the selected
/// response's, and ranges of it mean nothing.
///
/// # Errors
/// The fault of a function whose policy is `closed`.
pub(super) async fn viewer_response(
    routed: &Routed,
    functions: &[FunctionUse],
    receipts: &mut TriggerReceipts,
    viewed: &ViewedRequest,
    answer: &mut Answer,
) -> Result<bool, Failure> {
    if functions.is_empty() {
        return Ok(false);
    }
    let mut edge = to_edge(routed, &viewed.head, Body::Empty, viewed.context.clone())?;
    let mut response = Response::new(std::mem::take(&mut answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = std::mem::take(&mut answer.fields);
    let mut replaced = false;
    for used in functions {
        let rehearsal = Rehearsal::of_response(routed, used, &edge, &response);
        // Boxed, so that requests without functions do not carry the room for a call.
        let call = Box::pin(routed.version(used).function.viewer_response(
            routed.call(),
            edge,
            response,
        ));
        let call = call.await;
        note(
            receipts,
            routed.version(used),
            &call.receipt,
            call.pending.as_ref(),
        );
        if let Some(rehearsal) = rehearsal {
            rehearsal.after_response(routed, Trigger::ViewerResponse, &call);
        }
        edge = call.request;
        response = call.response;
        match call.result {
            Ok(()) => replaced |= call.effects.content != ContentChange::Untouched,
            Err(failure) => settle_failure(routed, used, &failure, call.effects.content)
                .map_err(|stopped| stopped.failure)?,
        }
    }
    let (parts, body) = response.into_parts();
    answer.status = parts.status;
    answer.fields = parts.headers;
    answer.body = body;
    Ok(replaced)
}

/// Keeps the receipt of a call. One that goes on while its response is sent is counted at its end.
pub(super) fn note(
    receipts: &mut TriggerReceipts,
    version: &FunctionEntry,
    call: &CallReceipt,
    pending: Option<&PendingEnd>,
) {
    let receipt = trigger_receipt(&version.metrics, call);
    if pending.is_none() {
        version.metrics.record(&receipt);
        version.capabilities.health.note_call(call);
    }
    receipts.push(receipt);
}

fn to_edge(
    routed: &Routed,
    head: &TrustedHead,
    body: Body,
    context: Context,
) -> Result<EdgeRequest, Failure> {
    let authority = UriAuthority::try_from(head.authority.as_str())
        .map_err(|_| Failure::Node(NodeFault::Internal))?;
    Ok(EdgeRequest {
        method: head.method.clone(),
        scheme: match head.scheme {
            Scheme::Http => UriScheme::HTTP,
            Scheme::Https => UriScheme::HTTPS,
        },
        authority,
        path_and_query: head.path_and_query.clone(),
        fields: head.fields.clone(),
        client: Arc::new(ClientFacts {
            address: head.client.address,
            port: head.client.port,
            protocol: head.version,
            tls: head.client.tls,
        }),
        id: routed.id_text(),
        body,
        context,
    })
}

/// Takes over what functions changed.
fn update_head(head: &mut TrustedHead, edge: &mut EdgeRequest) -> Result<(), Failure> {
    let scheme = if edge.scheme == UriScheme::HTTPS {
        Scheme::Https
    } else {
        Scheme::Http
    };
    if edge.authority.as_str() != head.authority.as_str() || scheme != head.scheme {
        head.authority = Authority::parse(edge.authority.as_str().as_bytes(), scheme)?;
        head.scheme = scheme;
    }
    head.method = std::mem::take(&mut edge.method);
    head.path_and_query = edge.path_and_query.clone();
    head.fields = std::mem::take(&mut edge.fields);
    Ok(())
}
