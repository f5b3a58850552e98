//! What a client would get of what is stored elsewhere, as far as its status and fields go: its
//! content is only known by its length.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use verge_cache::Kept;
use verge_http::cache_status::Outcome;
use verge_http::{Body, Failure};

use super::super::super::answer::Answer;
use super::super::join::{from_fill, from_stored};
use super::super::slices::{Held, Slices};
use super::asked::Asked;
use super::outcome;
use super::words::in_memory;
use crate::admin::explain::ExplainedNext;
use crate::route::RangePolicy;
use crate::telemetry::CacheReceipt;

/// Content of this length, which nobody reads.
struct OfLength(u64);

/// Content of so many bytes, which nobody reads.
pub(super) fn of_length(bytes: u64) -> Body {
    Body::stream(OfLength(bytes))
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
    /// What a tier keeps, as the answer.
    pub(super) fn answer_of(&self, kept: &Kept) -> Answer {
        let facts = CacheReceipt::new(Outcome::Hit);
        from_fill(
            self.routed,
            &kept.head,
            of_length(kept.content_length),
            facts,
        )
    }

    /// A HEAD that the first slice answers.
    pub(super) fn head_of_slices(&self) -> Option<ExplainedNext> {
        let RangePolicy::Slices { size } = self.routed.route.ranges else {
            return None;
        };
        let slices = Slices::new(self.routed, self.viewed, &self.search, size);
        let Held::Answers(stored, _, reuse) = slices.held(0) else {
            return None;
        };
        let what = "The first slice that is stored tells all that a HEAD asks for.";
        let next = in_memory(outcome("hit", reuse.label(), reuse.section(), what));
        let mut answer = from_stored(self.routed, &stored, CacheReceipt::new(Outcome::Hit));
        answer.status = StatusCode::OK;
        Some(self.with_status(next, answer))
    }
}
