//! The one place where a [`Failure`] becomes an answer.
//!
//! A 4xx says what was wrong with the request; a 5xx names the kind of failure
//! (RFC 9209) and nothing of the inside. Each carries the request id.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use verge_http::failure::{ClientFault, NodeFault, OriginFault};
use verge_http::{Body, Failure, proxy_status};

use super::answer::Answer;
use crate::telemetry::RequestId;

/// How long a client is asked to stay away when the node or an origin is full (seconds).
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The answer for `failure`.
#[must_use]
pub(super) fn failure_answer(node: &str, id: RequestId, failure: Failure) -> Answer {
    let (status, fields, text) = failure_parts(node, Some(id), failure);
    Answer::generated(status, fields, Body::from(text))
}

/// Status, fields and content of the answer for `failure`.
#[must_use]
pub fn failure_parts(
    node: &str,
    id: Option<RequestId>,
    failure: Failure,
) -> (StatusCode, HeaderMap, Bytes) {
    let status = failure.status();
    let mut fields = HeaderMap::with_capacity(8);
    fields.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    // A generated failure describes this moment, not the resource.
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(error) = failure.proxy_error() {
        fields.append(
            "proxy-status",
            proxy_status::format(node, error, failure.proxy_details()),
        );
    }
    if asks_to_retry(failure) {
        fields.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    if failure == Failure::Client(ClientFault::MethodUnsupported) {
        fields.insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
    }
    let reason = status.canonical_reason().unwrap_or("Failure");
    let mut text = format!(
        "{} {reason}: {}\n",
        status.as_u16(),
        failure.public_explanation()
    );
    if let Some(id) = id {
        text.push_str(&format!("request id {id}\n"));
    }
    (status, fields, Bytes::from(text))
}

/// Whether the same request may well succeed a moment later.
fn asks_to_retry(failure: Failure) -> bool {
    match failure {
        Failure::Node(fault) => matches!(
            fault,
            NodeFault::ConnectionsExhausted | NodeFault::RequestsExhausted | NodeFault::Draining
        ),
        Failure::Origin { fault, .. } | Failure::Unvalidated(fault) => matches!(
            fault,
            OriginFault::ConnectionLimitReached | OriginFault::DestinationUnavailable
        ),
        Failure::Function(fault) => {
            matches!(
                fault,
                verge_http::failure::FunctionFault::InstancesExhausted
            )
        }
        Failure::Client(_) => false,
    }
}
