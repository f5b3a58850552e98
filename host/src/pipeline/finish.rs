//! The last stage before the wire: what this node itself says in a response.
//!
//! Runs for every answer, generated ones included, after all functions.

use std::time::Duration;

use http::header::{AGE, CONNECTION, CONTENT_LENGTH, HeaderName};
use http::{HeaderValue, Method, Response, StatusCode, Version};
use verge_http::cache_status::CacheStatus;
use verge_http::{Body, Failure, age, fields, status, via};

use super::answer::{Answer, Source};
use super::exchange::{Exchange, ExchangeBody};
use crate::telemetry::{server_timing, span};

static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Makes the response for the client out of `answer`, and ties the exchange to its body.
#[must_use]
pub(super) fn finish(
    mut exchange: Box<Exchange>,
    method: &Method,
    mut answer: Answer,
) -> Response<ExchangeBody> {
    fields::remove_connection_fields_of_response(&mut answer.fields);
    if is_last_on_connection(&exchange) {
        answer
            .fields
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    add_own_fields(&exchange, &mut answer);
    settle_content(method, &mut answer);
    exchange
        .receipt
        .note_first_byte(answer.status, exchange.node.clock.now());
    let mut response = Response::new(ExchangeBody::new(answer.body, exchange));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.fields;
    response
}

/// A client that sends what servers read in different ways may have a proxy in front that read
/// it otherwise: whatever follows on the connection is not believed (RFC 9112 11.2).
fn is_last_on_connection(exchange: &Exchange) -> bool {
    let is_malformed = matches!(
        exchange.receipt.failure,
        Some(Failure::Client(fault)) if fault.status() == StatusCode::BAD_REQUEST
    );
    // HTTP/2 frames each request by itself, and has no such field (RFC 9113 8.2.2).
    is_malformed && exchange.receipt.protocol < Version::HTTP_2
}

fn add_own_fields(exchange: &Exchange, answer: &mut Answer) {
    let settings = &exchange.generation.settings;
    match answer.source {
        Source::Stored { age: current } => {
            answer.fields.insert(AGE, age::fmt(current));
        }
        // What passes through keeps the Age that a cache before this one gave it; 0, which
        // changes nobody's sums (RFC 9111 4.2.3), says that it is as young as that.
        Source::Forwarded | Source::Fetched => {
            answer
                .fields
                .entry(AGE)
                .or_insert_with(|| age::fmt(Duration::ZERO));
        }
        Source::Generated => {}
    }
    if let Some(facts) = &answer.cache {
        CacheStatus {
            cache: settings.name.as_str(),
            outcome: facts.outcome,
            fwd_status: facts.forward_status,
            ttl: facts.ttl_seconds,
            stored: facts.stored,
            collapsed: facts.collapsed,
            key: None,
            detail: facts.detail,
        }
        .append_to(&mut answer.fields);
    }
    if answer.source != Source::Generated {
        via::append_via(
            &mut answer.fields,
            Version::HTTP_11,
            &settings.sanitize.pseudonym,
        );
    }
    answer
        .fields
        .insert(span::REQUEST_ID, exchange.receipt.id.to_value());
    if exchange
        .site
        .as_ref()
        .is_some_and(|site| site.server_timing)
        && let Some(value) = server_timing::to_value(&exchange.receipt, elapsed(exchange))
    {
        answer.fields.append(&SERVER_TIMING, value);
    }
}

fn elapsed(exchange: &Exchange) -> Duration {
    let now = exchange.node.clock.now();
    now.saturating_duration_since(exchange.receipt.started)
}

/// Brings Content-Length and content into agreement with method and status
/// (RFC 9110 8.6, 9.3.2, 15).
fn settle_content(method: &Method, answer: &mut Answer) {
    if *method == Method::HEAD {
        if let Some(length) = answer.body.exact_len()
            && length > 0
        {
            answer
                .fields
                .insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        answer.body = Body::Empty;
        return;
    }
    if status::forbids_content(answer.status) {
        // RFC 9110 8.6: no Content-Length in 1xx and 204; in a 304 only what a 200 would have.
        if answer.status != http::StatusCode::NOT_MODIFIED {
            answer.fields.remove(CONTENT_LENGTH);
        }
        answer.body = Body::Empty;
        return;
    }
    // The framing is the connection's to write: a stale length would be a lie.
    match answer.body.exact_len() {
        Some(length) => answer
            .fields
            .insert(CONTENT_LENGTH, HeaderValue::from(length)),
        None => answer.fields.remove(CONTENT_LENGTH),
    };
}
