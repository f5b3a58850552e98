//! What a client would get of what is stored elsewhere, as far as its status and fields go: its
//! content is only known by its length.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use http_body::{Frame, SizeHint};
use verge_cache::Kept;
use verge_cache::policy::Reuse;
use verge_http::cache_status::Outcome;
use verge_http::{Body, Failure, StoredBody};

use super::super::super::answer::Answer;
use super::super::join::from_fill;
use super::super::slices::Held;
use super::asked::Asked;
use super::outcome;
use super::words::in_memory;
use crate::admin::explain::ExplainedNext;
use crate::route::RangePolicy;
use crate::telemetry::CacheReceipt;

/// Content of this length, which nobody reads.
struct OfLength(u64);

/// Bytes that are held in one segment.
const SEGMENT: usize = 64 * 1024;

/// Content of so many bytes, which nobody reads.
pub(super) fn of_length(bytes: u64) -> Body {
    Body::stream(OfLength(bytes))
}

/// Content of so many bytes that is all there, which nobody reads.
fn held_of_length(bytes: u64) -> Body {
    static NOTHING: [u8; SEGMENT] = [0; SEGMENT];
    let whole = usize::try_from(bytes.div_ceil(SEGMENT as u64)).unwrap_or(usize::MAX);
    let segments = std::iter::repeat_n(Bytes::from_static(&NOTHING), whole);
    Body::Stored(StoredBody::slice(segments.collect(), 0, bytes))
}

impl http_body::Body for OfLength {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

impl Asked<'_> {
    /// What a tier keeps, as the answer: content that arrives, or that is all there by then.
    pub(super) fn answer_of(&self, kept: &Kept, reuse: Reuse) -> Answer {
        let facts = CacheReceipt::new(Outcome::Hit);
        let body = match reuse {
            _ if self.viewed.head.method == Method::HEAD => Body::Empty,
            Reuse::StaleAccepted => held_of_length(kept.content_length),
            _ => of_length(kept.content_length),
        };
        from_fill(self.routed, &kept.head, body, facts)
    }

    /// A HEAD that the first slice answers.
    pub(super) fn head_of_slices(&self) -> Option<ExplainedNext> {
        let RangePolicy::Slices { size } = self.routed.route.ranges else {
            return None;
        };
        let slices = self.in_slices(size);
        let Held::Answers(stored, found, reusing) = slices.held(0) else {
            return None;
        };
        let what = "The first slice that is stored tells all that a HEAD asks for.";
        let next = in_memory(outcome("hit", reusing.label(), reusing.section(), what));
        let answer = slices.head_of(&stored, &found, reusing);
        Some(self.with_status(next, answer))
    }
}
