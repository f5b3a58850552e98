//! The parts of the selected response that the client asked for
//! (RFC 9110 14, 15.3.7): 206 with one part or several, or 416.
//!
//! The content is not copied: parts are windows over what is stored, or over
//! what arrives.

use std::time::SystemTime;

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use verge_base::Random;
use verge_http::failure::FunctionFault;
use verge_http::multipart::Multipart;
use verge_http::range::{self, ByteRange, RangeSelection, WholeReason};
use verge_http::{Body, StoredBody, conditional};

use super::answer::Answer;
use super::conditions::{detach_content, remove_selected_fields};
use super::head::TrustedHead;
use super::parts_body::{ArrivingParts, HeldParts, PartBody};
use crate::telemetry::Metrics;

/// What ranges are settled by, beside request and answer.
#[derive(Clone, Copy)]
pub(super) struct RangeFacts<'a> {
    /// A function put other content in place of the response's.
    pub(super) is_replaced: bool,
    pub(super) now: SystemTime,
    /// For boundaries.
    pub(super) random: &'a Random,
    /// Counts what is over a limit; nothing does where it is only told what would happen.
    pub(super) metrics: Option<&'a Metrics>,
}

/// The ranges that the client asked for; or, where a function replaced the content, none.
///
/// # Errors
/// A function replaced the content of a part that passed through: it is no longer what its
/// Content-Range says, and there is no whole to send.
pub(super) fn settle_range(
    head: &TrustedHead,
    answer: &mut Answer,
    facts: RangeFacts<'_>,
) -> Result<(), FunctionFault> {
    if !facts.is_replaced {
        apply_range(head, answer, facts);
    } else if answer.status == StatusCode::PARTIAL_CONTENT {
        return Err(FunctionFault::ResponseInvalid);
    } else {
        detach_content(&mut answer.fields);
    }
    Ok(())
}

/// Narrows a 200 from the cache to what the client asked for.
fn apply_range(head: &TrustedHead, answer: &mut Answer, facts: RangeFacts<'_>) {
    if !answer.source.is_selected() || answer.status != StatusCode::OK {
        return;
    }
    // Without a total there is no Content-Range to write, and nothing says that the part exists.
    let Some(total) = answer.body.exact_len() else {
        return;
    };
    answer
        .fields
        .entry(ACCEPT_RANGES)
        .or_insert(HeaderValue::from_static("bytes"));
    if head.method != Method::GET || !head.fields.contains_key(http::header::RANGE) {
        return;
    }
    let allowed = conditional::if_range_allows(&head.fields, &answer.fields, facts.now);
    match range::select_ranges(&head.method, &head.fields, allowed, total) {
        RangeSelection::Whole(WholeReason::TooMany) => {
            if let Some(metrics) = facts.metrics {
                metrics.record_limit("ranges");
            }
        }
        RangeSelection::Whole(_) => {}
        RangeSelection::Single(part) => {
            answer
                .fields
                .insert(CONTENT_RANGE, range::content_range(part, total));
            let whole = std::mem::take(&mut answer.body);
            become_partial(answer, narrow(whole, part));
        }
        RangeSelection::Multiple(parts) => apply_several(answer, &parts, total, facts.random),
        RangeSelection::Unsatisfiable => {
            answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
            remove_selected_fields(answer);
            answer
                .fields
                .insert(CONTENT_RANGE, range::content_range_unsatisfied(total));
            answer.body = Body::Empty;
        }
    }
}

fn become_partial(answer: &mut Answer, body: Body) {
    answer.status = StatusCode::PARTIAL_CONTENT;
    answer.fields.remove(CONTENT_LENGTH);
    answer.body = body;
}

/// Several parts, in the order in which they were asked for (RFC 9110 15.3.7.2). What is
/// still arriving is not kept for this, so parts of it that are out of order get the whole,
/// as RFC 9110 14.2 allows.
fn apply_several(answer: &mut Answer, parts: &[ByteRange], total: u64, random: &Random) {
    let number = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
    let content_type = answer.fields.get(CONTENT_TYPE);
    let framing = Multipart::new(parts, total, content_type, number);
    let media_type = framing.content_type().clone();
    let body = match std::mem::take(&mut answer.body) {
        Body::Empty => return,
        Body::Full(bytes) => {
            let held = StoredBody::new([bytes].into_iter().collect());
            Body::stream(HeldParts::new(framing, parts, held))
        }
        Body::Stored(held) => Body::stream(HeldParts::new(framing, parts, held)),
        Body::Stream(stream) if parts.is_sorted_by_key(|part| part.first) => {
            Body::stream(ArrivingParts::new(framing, parts, Body::Stream(stream)))
        }
        whole @ Body::Stream(_) => {
            answer.body = whole;
            return;
        }
    };
    answer.fields.insert(CONTENT_TYPE, media_type);
    become_partial(answer, body);
}

/// The part of a whole body whose length is known.
pub(super) fn narrow(body: Body, part: ByteRange) -> Body {
    match body {
        Body::Empty => Body::Empty,
        Body::Full(bytes) => {
            let first = usize::try_from(part.first).unwrap_or(usize::MAX);
            let end = usize::try_from(part.last.saturating_add(1)).unwrap_or(usize::MAX);
            let end = end.min(bytes.len());
            Body::from(bytes.slice(first.min(end)..end))
        }
        Body::Stored(stored) => Body::Stored(stored.narrow(part.first, part.len())),
        Body::Stream(_) => Body::stream(PartBody::new(body, part)),
    }
}
