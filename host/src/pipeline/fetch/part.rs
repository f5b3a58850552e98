//! A fetch that asks for a part: what it asks for, and what becomes of the
//! answer. Which part is asked for is `pieces.rs` and `slices.rs`.

use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use verge_cache::partial::{
    Combination, FillTarget, Part, PartialStorage, Pieces, combined_fields, decide_combination,
    decide_partial_storage, part_of,
};
use verge_cache::policy::{RefuseReason, decide_nominated};
use verge_cache::{
    Begun, FillPermit, Key, ResponseHead, ResponseTimes, StoredHead, StoredResponse,
};
use verge_http::Body;

use super::fill::{FillJob, FillOutcome};
use super::forward::ForwardNotes;
use super::slice::Slices;
use super::storing::withheld_fields;

/// What a fetch asks the origin for.
#[derive(Clone)]
pub(super) enum Aim {
    /// All of the response.
    Whole,
    /// A part of it.
    Part(Box<PartAim>),
}

/// A part that is asked for.
#[derive(Clone)]
pub(super) struct PartAim {
    /// The key of the whole response, under which a 200 is stored.
    pub(super) whole: Key,
    /// The Range.
    pub(super) range: HeaderValue,
    /// The condition for a part; else the whole is sent (RFC 9110 13.1.5).
    pub(super) if_range: Option<HeaderValue>,
    /// Pieces that are stored.
    pub(super) pieces: Option<Arc<StoredResponse>>,
    /// What becomes of a 206.
    pub(super) keep: KeepPart,
    /// The response that it is a slice of.
    pub(super) slices: Option<Arc<Slices>>,
}

/// What becomes of a 206 that may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepPart {
    /// It joins the other pieces.
    Piece,
    /// It is stored by itself, under the key of the fetch.
    Slice,
    /// It is passed on only: a 206 to the client's own If-Range may leave out fields
    /// (RFC 9110 15.3.7), and would be stored without them.
    No,
}

impl Aim {
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }
}

impl PartAim {
    /// The fields under which a 206 with `fields` is stored: those of the pieces that it
    /// belongs to, as it updates them (RFC 9111 3.4).
    fn fields(&self, status: StatusCode, fields: &HeaderMap, times: ResponseTimes) -> HeaderMap {
        let Some(part) = part_of(status, fields) else {
            return fields.clone();
        };
        let pieces = self.pieces.as_ref();
        let held = pieces.and_then(|stored| Some((stored.head(), stored.pieces()?)));
        let mut stored = match held {
            Some((head, pieces)) if is_combined(head, pieces, fields, part, times) => {
                combined_fields(head, fields)
            }
            _ => fields.clone(),
        };
        // What Content-Range promises; a part that ends before is not stored.
        stored.insert(CONTENT_LENGTH, HeaderValue::from(part.range.len()));
        stored
    }
}

fn is_combined(
    head: &StoredHead,
    pieces: &Pieces,
    fields: &HeaderMap,
    part: Part,
    times: ResponseTimes,
) -> bool {
    let (held, new) = ((head.fields(), pieces.total()), (fields, part.total));
    decide_combination(held, new, times.received_wall) == Combination::Combine
}

impl FillJob {
    /// Begins to store the answer to a request for a part.
    pub(super) fn store_part(
        &mut self,
        aim: &PartAim,
        permit: FillPermit,
        response: Response<Body>,
        times: ResponseTimes,
        notes: &ForwardNotes,
    ) -> FillOutcome {
        match response.status() {
            StatusCode::PARTIAL_CONTENT => self.store_piece(aim, permit, response, times, notes),
            // About this range or its condition, and so about no other request.
            StatusCode::RANGE_NOT_SATISFIABLE
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::NOT_MODIFIED => {
                self.refuse_part(permit, response, RefuseReason::StatusPartial)
            }
            status => {
                if let Some(pieces) = &aim.pieces
                    && status == StatusCode::OK
                {
                    let cache = &self.routed.node.cache;
                    cache.remove_incomplete(&aim.whole, pieces);
                }
                let target = FillTarget::Whole(aim.whole.clone());
                self.store(permit, response, times, notes, target)
            }
        }
    }

    fn store_piece(
        &mut self,
        aim: &PartAim,
        permit: FillPermit,
        response: Response<Body>,
        times: ResponseTimes,
        notes: &ForwardNotes,
    ) -> FillOutcome {
        let (parts, body) = response.into_parts();
        let fields = aim.fields(parts.status, &parts.headers, times);
        let head = ResponseHead::new(parts.status, &fields, times);
        let decision = decide_partial_storage(&self.storage_facts(&head, notes));
        let key = permit.key().clone();
        let reason = match decision {
            PartialStorage::Store(part, plan) if aim.keep != KeepPart::No => {
                let withheld = withheld_fields(&fields, &plan.directives);
                let target = match aim.keep {
                    KeepPart::Slice | KeepPart::No => FillTarget::Own,
                    KeepPart::Piece => FillTarget::Piece {
                        whole: aim.whole.clone(),
                        request: self.head.fields.clone(),
                        part,
                    },
                };
                match self.begin(permit, (head, plan), target) {
                    Begun::Filling(filling) => {
                        return self.filling(*filling, body, withheld, notes);
                    }
                    Begun::Refused(reason) => reason,
                }
            }
            PartialStorage::Store(..) => {
                let response = Response::from_parts(parts, body);
                return self.refuse_part(permit, response, RefuseReason::StatusPartial);
            }
            PartialStorage::Refuse(reason) => {
                return self.refuse_part(permit, Response::from_parts(parts, body), reason);
            }
        };
        self.settle_nominated(&key, decide_nominated(parts.status, reason));
        FillOutcome::Passed {
            response: Response::from_parts(parts, body),
            reason,
        }
    }

    /// The answer about a part is passed on; a slice that it was to validate is settled.
    fn refuse_part(
        &self,
        permit: FillPermit,
        response: Response<Body>,
        reason: RefuseReason,
    ) -> FillOutcome {
        self.settle_nominated(permit.key(), decide_nominated(response.status(), reason));
        permit.refuse(reason);
        FillOutcome::Passed { response, reason }
    }
}
