//! One fetch that feeds the cache: the request that asks for all of the
//! response, and the decision about storing it.

use std::sync::Arc;

use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, Response, StatusCode};
use verge_base::Permit;
use verge_cache::partial::FillTarget;
use verge_cache::policy::{OriginError, RefuseReason, Reuse, StaleGrant};
use verge_cache::{
    FillPermit, FillReader, SentAt, StoredHead, StoredResponse, listed_tags, validation_fields,
};
use verge_http::cache_control::RequestDirectives;
use verge_http::failure::{ClientFault, OriginFault};
use verge_http::{Body, Failure};

use super::super::head::TrustedHead;
use super::super::routed::Routed;
use super::super::triggers::{RequestMarks, ViewedRequest};
use super::Search;
use super::forward::{ArrivalTimes, ForwardNotes, Forwarded, forward};
use super::lease::FetchLease;
use super::part::{Aim, KeepPart};
use super::stale;
use super::storing::Withheld;
use super::tiers::{Asked, FromTier};

/// What a fetch came to.
pub(super) enum FillOutcome {
    /// The response is being stored; the reader has it from its beginning.
    Filling {
        head: Arc<StoredHead>,
        reader: FillReader,
        withheld: Withheld,
    },
    /// The stored response was validated.
    Freshened {
        stored: Arc<StoredResponse>,
        is_stored: bool,
        withheld: Withheld,
    },
    /// A tier had the response.
    FromTier(FromTier),
    /// The origin failed, and the stored response answers in its place.
    Stale {
        stored: Arc<StoredResponse>,
        grant: StaleGrant,
    },
    /// The response is for this request alone.
    Passed {
        response: Response<Body>,
        reason: RefuseReason,
    },
    /// There is no response.
    Failed(Failure),
}

/// A fetch that is to feed the cache; it owns all it needs.
pub(super) struct FillJob {
    pub(super) routed: Routed,
    pub(super) head: TrustedHead,
    pub(super) marks: RequestMarks,
    pub(super) directives: RequestDirectives,
    pub(super) stale: Option<Arc<StoredResponse>>,
    pub(super) variants: Vec<Arc<StoredResponse>>,
    /// Its place among the fetches that go on without their client.
    pub(super) place: Option<Permit>,
    /// Whether tiers are to be asked before the origin.
    pub(super) asks_tiers: bool,
    /// Why what a tier had has to be validated, if it came into memory for that.
    pub(super) restored: Option<Reuse>,
    /// Whether it is a validation that no client waits for.
    pub(super) is_for_nobody: bool,
    /// The right to fetch for all nodes, if it has it.
    pub(super) lease: Option<FetchLease>,
    pub(super) aim: Aim,
}

/// What one try of a fetch came to.
pub(super) enum Tried {
    Done(FillOutcome),
    /// The 304 was about something else: ask again without preconditions.
    Again(FillPermit),
}

impl FillJob {
    pub(super) fn new(routed: &Routed, viewed: &ViewedRequest, search: Search) -> Self {
        Self {
            routed: routed.clone(),
            head: viewed.head.clone(),
            marks: viewed.marks.clone(),
            directives: search.directives,
            stale: search.stale,
            variants: search.variants,
            place: None,
            asks_tiers: false,
            restored: None,
            is_for_nobody: false,
            lease: None,
            aim: search.aim,
        }
    }

    /// It leads: the tiers are asked before the origin is.
    pub(super) fn lead(&mut self) {
        // Pieces stand in memory only; slices are stored like whole responses.
        let is_kept = match &self.aim {
            Aim::Whole => true,
            Aim::Part(aim) => aim.keep == KeepPart::Slice,
        };
        self.asks_tiers = is_kept && !self.routed.node.tiers.is_empty();
    }

    /// What there is to be had without the origin, once.
    async fn without_origin(&mut self, permit: FillPermit) -> Asked {
        let asked = match std::mem::take(&mut self.asks_tiers) {
            true => Box::pin(self.ask_region(permit)).await,
            false => Asked::Nothing(permit),
        };
        match asked {
            // RFC 9111 5.2.1.7: the origin is not asked.
            Asked::Nothing(_) if self.directives.only_if_cached => {
                Asked::Found(FillOutcome::Failed(ClientFault::OnlyIfCachedMissed.into()))
            }
            asked => asked,
        }
    }

    /// From now on it goes on without its client, and holds `place` until its content is stored.
    pub(super) fn detach(&mut self, place: Permit) {
        self.place = Some(place);
    }

    /// Asks the origin, and begins to store what comes.
    pub(super) async fn run(mut self, permit: FillPermit) -> (FillOutcome, ForwardNotes) {
        let mut permit = match self.without_origin(permit).await {
            Asked::Nothing(permit) => permit,
            Asked::Found(outcome) => return (outcome, ForwardNotes::default()),
        };
        let mut earlier: Option<ForwardNotes> = None;
        loop {
            let sent = permit.mark_sent();
            self.forget_purged(&permit);
            let forwarded = self.forward().await;
            let (tried, mut notes) = self.settle(permit, sent, forwarded);
            if let Some(earlier) = earlier.take() {
                notes.follow(earlier);
            }
            match tried {
                Tried::Done(outcome) => return (outcome, notes),
                Tried::Again(returned) => {
                    permit = returned;
                    self.forget_stored();
                    earlier = Some(notes);
                }
            }
        }
    }

    /// The same, given up before a response has come when the client is gone and nobody else
    /// waits: `None`, and what follows is released.
    pub(super) async fn run_while_wanted(
        mut self,
        permit: FillPermit,
        client_gone: impl Future<Output = ()>,
    ) -> Option<(FillOutcome, ForwardNotes)> {
        let mut permit = match self.without_origin(permit).await {
            Asked::Nothing(permit) => permit,
            Asked::Found(outcome) => return Some((outcome, ForwardNotes::default())),
        };
        let sent = permit.mark_sent();
        self.forget_purged(&permit);
        let unwanted = async {
            client_gone.await;
            if permit.is_followed() {
                std::future::pending::<()>().await;
            }
        };
        let forwarded = tokio::select! {
            biased;
            forwarded = self.forward() => forwarded,
            () = unwanted => return None,
        };
        let (tried, mut notes) = self.settle(permit, sent, forwarded);
        match tried {
            Tried::Done(outcome) => Some((outcome, notes)),
            Tried::Again(permit) => {
                self.forget_stored();
                let (outcome, later) = self.run(permit).await;
                let earlier = std::mem::replace(&mut notes, later);
                notes.follow(earlier);
                Some((outcome, notes))
            }
        }
    }

    /// The next try is without preconditions.
    fn forget_stored(&mut self) {
        self.stale = None;
        self.variants.clear();
    }

    /// What was purged since it was looked up is not asked about, and answers nothing.
    fn forget_purged(&mut self, permit: &FillPermit) {
        self.stale.take_if(|stored| permit.is_purged(stored));
        self.variants.retain(|stored| !permit.is_purged(stored));
        if let Aim::Part(aim) = &mut self.aim {
            aim.pieces.take_if(|stored| permit.is_purged(stored));
        }
    }

    async fn forward(&self) -> (Forwarded, ArrivalTimes) {
        let head = self.own_request();
        forward(&self.routed, head, Body::Empty, self.marks.origin.clone()).await
    }

    fn settle(
        &mut self,
        permit: FillPermit,
        sent: SentAt,
        (forwarded, times): (Forwarded, ArrivalTimes),
    ) -> (Tried, ForwardNotes) {
        let times = times.after(&sent);
        let Forwarded {
            response,
            mut notes,
        } = forwarded;
        notes.restored = self.restored;
        let asked = self.stale.is_some() || !self.variants.is_empty();
        self.forget_purged(&permit);
        let response = match response {
            Ok(response) => response,
            Err(failure) => {
                let error = notes.error(failure);
                let stale = self.stale_after(permit.key(), error, sent.requested);
                let key = permit.key().clone();
                permit.fail(failure);
                let outcome = stale.unwrap_or_else(|| {
                    let stored = (&key, self.stale.as_ref());
                    let told = stale::explained(&self.routed, stored, &self.directives, failure);
                    FillOutcome::Failed(told)
                });
                return (Tried::Done(outcome), notes);
            }
        };
        let error = OriginError::of_status(response.status());
        let stale = error.and_then(|error| self.stale_after(permit.key(), error, sent.requested));
        if let Some(stale) = stale {
            permit.fail_with_status(response.status());
            return (Tried::Done(stale), notes);
        }
        let is_not_modified = response.status() == StatusCode::NOT_MODIFIED;
        let tried = if asked && is_not_modified {
            self.freshen(permit, &response, times, &notes)
        } else if is_not_modified && !is_conditional(&self.head.fields) {
            // Nobody asked by a condition (RFC 9110 15.4.5), and nothing is there that it could
            // be about.
            let failure = Failure::responding(OriginFault::ResponseMalformed);
            permit.fail(failure);
            Tried::Done(FillOutcome::Failed(failure))
        } else if let Aim::Part(aim) = &self.aim {
            let aim = aim.clone();
            Tried::Done(self.store_part(&aim, permit, response, times, &notes))
        } else {
            let target = FillTarget::Own;
            Tried::Done(self.store(permit, response, times, &notes, target))
        };
        if let Tried::Done(outcome) = &tried {
            self.settle_lease(outcome);
        }
        (tried, notes)
    }

    /// The request for all of the response, or the part that is wanted, whatever part the
    /// client asked for, with the preconditions of the stored response (RFC 9111 4.3.1).
    fn own_request(&self) -> TrustedHead {
        let mut head = self.head.clone();
        for name in [
            RANGE,
            IF_RANGE,
            IF_MATCH,
            IF_NONE_MATCH,
            IF_MODIFIED_SINCE,
            IF_UNMODIFIED_SINCE,
        ] {
            head.fields.remove(name);
        }
        if let Some(stale) = &self.stale {
            for (name, value) in validation_fields(stale.head()) {
                head.fields.insert(name, value);
            }
        } else if let Some(tags) = listed_tags(&self.variants) {
            head.fields.insert(IF_NONE_MATCH, tags);
        }
        if let Aim::Part(aim) = &self.aim {
            head.fields.insert(RANGE, aim.range.clone());
            if let Some(condition) = &aim.if_range {
                head.fields.insert(IF_RANGE, condition.clone());
            }
        }
        head
    }
}

/// Whether a client that sent these fields may be told that nothing was modified.
fn is_conditional(request: &HeaderMap) -> bool {
    request.contains_key(IF_NONE_MATCH) || request.contains_key(IF_MODIFIED_SINCE)
}
