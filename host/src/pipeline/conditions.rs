//! Stage 6: the client's preconditions against the selected response
//! (RFC 9110 13, RFC 9111 4.3.2), and ranges (RFC 9110 14).

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::{Buf, Bytes};
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::{Frame, SizeHint};
use verge_http::conditional::{self, Evaluator, Precondition};
use verge_http::failure::FunctionFault;
use verge_http::range::{self, ByteRange, RangeSelection};
use verge_http::{Body, Failure};

use super::answer::Answer;
use super::head::TrustedHead;

/// Turns the selected response into 304 or 412 if the client's preconditions say so.
pub(super) fn apply_preconditions(head: &TrustedHead, answer: &mut Answer, now: SystemTime) {
    if !answer.source.is_selected() || !conditional::has_preconditions(&head.fields) {
        return;
    }
    let verdict = conditional::decide_preconditions(
        Evaluator::Cache,
        &head.method,
        &head.fields,
        answer.status,
        &answer.fields,
        now,
    );
    match verdict {
        Precondition::Proceed => {}
        Precondition::NotModified => {
            answer.status = StatusCode::NOT_MODIFIED;
            remove_representation_fields(answer);
            answer.body = Body::Empty;
        }
        Precondition::Failed => {
            answer.status = StatusCode::PRECONDITION_FAILED;
            remove_representation_fields(answer);
            answer.body = Body::Empty;
        }
    }
}

/// RFC 9110 15.4.5: a 304 need not repeat metadata other than what guides caches.
fn remove_representation_fields(answer: &mut Answer) {
    for name in [
        CONTENT_LENGTH,
        CONTENT_TYPE,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_RANGE,
        TRANSFER_ENCODING,
    ] {
        answer.fields.remove(name);
    }
}

/// What a function made of the content is no longer the selected response's: its strong
/// validator and its ranges do not hold for it (RFC 9110 8.8.1).
pub(super) fn detach_content(fields: &mut HeaderMap) {
    if let Some(tag) = fields.get(ETAG)
        && !tag.as_bytes().starts_with(b"W/")
    {
        let weak = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat());
        match weak {
            Ok(weak) => fields.insert(ETAG, weak),
            Err(_) => fields.remove(ETAG),
        };
    }
    fields.remove(ACCEPT_RANGES);
    fields.remove(CONTENT_LENGTH);
}

/// The range that the client asked for; or, where a function replaced the content, none.
///
/// # Errors
/// A function replaced the content of a part that passed through: it is no longer what its
/// Content-Range says, and there is no whole to send.
pub(super) fn settle_range(
    head: &TrustedHead,
    answer: &mut Answer,
    is_replaced: bool,
    now: SystemTime,
) -> Result<(), FunctionFault> {
    if !is_replaced {
        apply_range(head, answer, now);
    } else if answer.status == StatusCode::PARTIAL_CONTENT {
        return Err(FunctionFault::ResponseInvalid);
    } else {
        detach_content(&mut answer.fields);
    }
    Ok(())
}

/// Narrows a 200 from the cache to the one range that the client asked for.
fn apply_range(head: &TrustedHead, answer: &mut Answer, now: SystemTime) {
    if !answer.source.is_selected() || answer.status != StatusCode::OK {
        return;
    }
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
    let allowed = conditional::if_range_allows(&head.fields, &answer.fields, now);
    match range::select_ranges(&head.method, &head.fields, allowed, total) {
        // Several ranges may be answered by the whole (RFC 9110 14.2).
        RangeSelection::Whole(_) | RangeSelection::Multiple(_) => {}
        RangeSelection::Single(part) => {
            answer.status = StatusCode::PARTIAL_CONTENT;
            answer
                .fields
                .insert(CONTENT_RANGE, range::content_range(part, total));
            answer.fields.remove(CONTENT_LENGTH);
            let whole = std::mem::take(&mut answer.body);
            answer.body = narrow(whole, part);
        }
        RangeSelection::Unsatisfiable => {
            answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
            remove_representation_fields(answer);
            answer
                .fields
                .insert(CONTENT_RANGE, range::content_range_unsatisfied(total));
            answer.body = Body::Empty;
        }
    }
}

/// The part of a whole body whose length is known.
fn narrow(body: Body, part: ByteRange) -> Body {
    match body {
        Body::Empty => Body::Empty,
        Body::Full(bytes) => {
            let first = usize::try_from(part.first).unwrap_or(usize::MAX);
            let end = usize::try_from(part.last.saturating_add(1)).unwrap_or(usize::MAX);
            let end = end.min(bytes.len());
            Body::from(bytes.slice(first.min(end)..end))
        }
        Body::Stored(stored) => Body::Stored(stored.narrow(part.first, part.len())),
        Body::Stream(_) => Body::stream(PartBody {
            body,
            skip: part.first,
            left: part.len(),
        }),
    }
}

/// A part of a body that is still arriving.
struct PartBody {
    body: Body,
    skip: u64,
    left: u64,
}

impl http_body::Body for PartBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        while self.left > 0 {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            let Ok(mut data) = frame.into_data() else {
                return Poll::Ready(None);
            };
            let skipped = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(data.remaining());
            data.advance(skipped);
            self.skip -= skipped as u64;
            data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= data.len() as u64;
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
