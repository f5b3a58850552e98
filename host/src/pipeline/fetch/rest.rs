//! What is missing of stored pieces: asked for gap by gap, and put together with
//! them (RFC 9111 3.4). Nothing is sent before every gap has been found to be of
//! the same representation.

use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::join_all;
use http::StatusCode;
use http::header::CONTENT_RANGE;
use smallvec::SmallVec;
use verge_cache::StoredResponse;
use verge_cache::partial::{
    Combination, combined_fields, decide_combination, if_range_value, part_of,
};
use verge_http::cache_status::Forward;
use verge_http::range::{self, ByteRange};
use verge_http::{Body, Failure};

use super::super::answer::Answer;
use super::super::parts_body::{ChainBody, PartBody};
use super::super::ranges::narrow;
use super::super::routed::Routed;
use super::super::triggers::ViewedRequest;
use super::part::{KeepPart, PartAim};
use super::pieces::{become_part, part_search};
use super::{Search, join};
use crate::telemetry::{CacheReceipt, Receipt};

/// What is missing of stored pieces for an answer.
pub(super) struct Rest {
    pub(super) stored: Arc<StoredResponse>,
    pub(super) want: ByteRange,
    /// In order, one at least.
    pub(super) gaps: SmallVec<[ByteRange; 2]>,
}

/// What came for a gap.
enum Came {
    /// The part of which this is the range, with the gap in it.
    Part(Answer, ByteRange),
    /// The origin knows nothing of these pieces.
    Differs,
    /// Something else, which is the answer.
    Other(Answer),
}

impl Rest {
    /// Asks for what is missing, and puts it together with what is stored.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn fetch(
        self,
        routed: &Routed,
        receipt: &mut Receipt,
        viewed: &ViewedRequest,
        mut search: Search,
        is_part: bool,
    ) -> Result<Answer, Failure> {
        let total = self.stored.pieces().and_then(|pieces| pieces.total());
        let (Some(total), Some((first, others))) = (total, self.gaps.split_first()) else {
            return join(routed, receipt, viewed, search).await;
        };
        // The first alone: it tells whether the pieces are of what the origin has.
        let came = self.ask(routed, receipt, viewed, &search, (*first, total));
        let mut came = vec![came.await?];
        if matches!(came.as_slice(), [Came::Part(..)]) {
            let asking = others.iter().map(|gap| {
                let (rest, search) = (&self, &search);
                let asked = async move {
                    let clock = &routed.node.clock;
                    // Told to nobody: what the origin cost is counted where it is asked.
                    let mut receipt = Receipt::begin(routed.id, clock.now(), clock.wall());
                    rest.ask(routed, &mut receipt, viewed, search, (*gap, total))
                        .await
                };
                Box::pin(asked)
            });
            for answer in join_all(asking).await {
                came.push(answer?);
            }
        }
        let cache = &routed.node.cache;
        let mut parts = Vec::with_capacity(came.len());
        for came in came {
            match came {
                Came::Part(answer, part) => parts.push((answer, part)),
                Came::Other(answer) => return Ok(answer),
                Came::Differs => {
                    // From the beginning, without them.
                    cache.remove_incomplete(&search.key, &self.stored);
                    search.pieces = None;
                    search.facts.detail = Some("pieces-differ");
                    return join(routed, receipt, viewed, search).await;
                }
            }
        }
        if cache.is_purged(&search.key, &self.stored) {
            // While the rest was asked for: they are in no answer any more.
            search.pieces = None;
            return join(routed, receipt, viewed, search).await;
        }
        self.assemble(parts, total, is_part)
    }

    /// Asks for a gap.
    async fn ask(
        &self,
        routed: &Routed,
        receipt: &mut Receipt,
        viewed: &ViewedRequest,
        search: &Search,
        (gap, total): (ByteRange, u64),
    ) -> Result<Came, Failure> {
        let now = routed.node.clock.wall();
        let aim = PartAim {
            whole: search.key.clone(),
            range: if gap.last.saturating_add(1) == total {
                range::range_value_from(gap.first)
            } else {
                range::range_value(gap)
            },
            if_range: if_range_value(self.stored.head().fields(), now),
            pieces: Some(Arc::clone(&self.stored)),
            keep: KeepPart::Piece,
            slices: None,
        };
        let facts = CacheReceipt {
            lookup: search.facts.lookup,
            ..CacheReceipt::forwarded(Forward::Partial, None)
        };
        let part = part_search(routed, search, aim, facts);
        let answer = join(routed, receipt, viewed, part).await?;
        if let Some(part) = self.part_in(&answer, (gap, total), now) {
            return Ok(Came::Part(answer, part));
        }
        Ok(match answer.status {
            StatusCode::PARTIAL_CONTENT
            | StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::PRECONDITION_FAILED => Came::Differs,
            _ => Came::Other(answer),
        })
    }

    /// The part that a 206 holds, if all that was asked for is in it, and it is of the same
    /// representation.
    fn part_in(
        &self,
        answer: &Answer,
        (gap, total): (ByteRange, u64),
        now: SystemTime,
    ) -> Option<ByteRange> {
        let part = part_of(answer.status, &answer.fields)?;
        let held = (self.stored.head().fields(), Some(total));
        let new = (&answer.fields, part.total);
        let is_same = decide_combination(held, new, now) == Combination::Combine;
        (is_same && part.range.contains(gap)).then_some(part.range)
    }

    /// Stored bytes and what arrives, in turn.
    fn assemble(
        self,
        parts: Vec<(Answer, ByteRange)>,
        total: u64,
        is_part: bool,
    ) -> Result<Answer, Failure> {
        let want = self.want;
        let mut bodies = Vec::with_capacity(2 * parts.len() + 1);
        let mut next = want.first;
        let mut first: Option<Answer> = None;
        for ((mut answer, part), gap) in parts.into_iter().zip(&self.gaps) {
            bodies.extend(self.held(next, gap.first));
            let arriving = std::mem::take(&mut answer.body);
            let missing = ByteRange {
                first: gap.first - part.first,
                last: gap.last - part.first,
            };
            bodies.push(match arriving.exact_len() {
                Some(_) => narrow(arriving, missing),
                None => Body::stream(PartBody::new(arriving, missing)),
            });
            next = gap.last.saturating_add(1);
            first.get_or_insert(answer);
        }
        bodies.extend(self.held(next, want.last.saturating_add(1)));
        let mut answer = first.ok_or(verge_http::failure::NodeFault::Internal)?;
        answer.fields = combined_fields(self.stored.head(), &answer.fields);
        answer.body = Body::stream(ChainBody::new(bodies));
        if is_part {
            become_part(&mut answer, want, Some(total));
        } else {
            answer.status = StatusCode::OK;
            answer.fields.remove(CONTENT_RANGE);
        }
        Ok(answer)
    }

    /// The stored bytes from `first` up to `end`, if there are any between them.
    fn held(&self, first: u64, end: u64) -> Option<Body> {
        let last = end.checked_sub(1).filter(|last| *last >= first)?;
        self.stored.part(ByteRange { first, last })
    }
}
