//! One fetch that feeds the cache: the request that asks for all of the
//! response, and the decision about storing it.

use std::sync::Arc;

use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use verge_base::Permit;
use verge_cache::partial::FillTarget;
use verge_cache::policy::{
    OriginError, RefuseReason, RequestFacts, StaleGrant, Storage, StorageFacts, decide_storage,
};
use verge_cache::{
    Begun, FillPermit, FillReader, FillStart, FillWriter, ResponseHead, ResponseTimes, SentAt,
    StoredHead, StoredResponse, listed_tags, validation_fields,
};
use verge_http::cache_control::{RequestDirectives, ResponseDirectives};
use verge_http::failure::ClientFault;
use verge_http::vary::Vary;
use verge_http::{Body, Failure, forwarded};

use super::super::head::TrustedHead;
use super::super::routed::Routed;
use super::super::triggers::{RequestMarks, SeenInput, ViewedRequest};
use super::Search;
use super::forward::{ArrivalTimes, ForwardNotes, Forwarded, forward};
use super::lease::FetchLease;
use super::part::{Aim, KeepPart};
use super::pump::pump;
use super::tiers::{self, Asked, FromTier};
use crate::telemetry::FillReceipt;

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

/// Fields that are for the client that asked and are not stored: those that `private` and
/// `no-cache` name (RFC 9111 5.2.2.4, 5.2.2.7).
pub(super) type Withheld = Vec<(HeaderName, HeaderValue)>;

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
        let Forwarded { response, notes } = forwarded;
        let response = match response {
            Ok(response) => response,
            Err(failure) => {
                let stale = self.stale_after(OriginError::Failed(failure), sent.requested);
                permit.fail(failure);
                let outcome = stale.unwrap_or(FillOutcome::Failed(failure));
                return (Tried::Done(outcome), notes);
            }
        };
        let error = OriginError::of_status(response.status());
        if let Some(stale) = error.and_then(|error| self.stale_after(error, sent.requested)) {
            permit.fail_with_status(response.status());
            return (Tried::Done(stale), notes);
        }
        let asked = self.stale.is_some() || !self.variants.is_empty();
        let tried = if asked && response.status() == StatusCode::NOT_MODIFIED {
            self.freshen(permit, &response, times, &notes)
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

    pub(super) fn facts(&self, response: &HeaderMap, notes: &ForwardNotes) -> RequestFacts {
        let mut facts = RequestFacts::of(
            &self.head.method,
            &self.head.fields,
            self.directives.no_store,
        );
        facts.has_authorization |= notes.has_authorization;
        facts.roll = jitter_roll(&self.routed);
        facts.has_unkeyed_input =
            depends_on_unkeyed(&self.routed, &self.marks, &notes.seen, response);
        facts
    }

    /// The facts by which it is decided whether `head` may be stored.
    pub(super) fn storage_facts<'a>(
        &'a self,
        head: &ResponseHead<'a>,
        notes: &ForwardNotes,
    ) -> StorageFacts<'a> {
        StorageFacts {
            request: self.facts(head.fields, notes),
            status: head.status,
            fields: head.fields,
            received_wall: head.times.received_wall,
            initial_age: head.initial_age,
            route: &self.routed.route.policy,
        }
    }

    pub(super) fn store(
        &mut self,
        permit: FillPermit,
        response: Response<Body>,
        times: ResponseTimes,
        notes: &ForwardNotes,
        target: FillTarget,
    ) -> FillOutcome {
        let (parts, body) = response.into_parts();
        let head = ResponseHead::new(parts.status, &parts.headers, times);
        let reason = match decide_storage(&self.storage_facts(&head, notes)) {
            Storage::Refuse(reason) => {
                permit.refuse(reason);
                reason
            }
            Storage::Store(plan) => {
                let withheld = withheld_fields(&parts.headers, &plan.directives);
                let start = FillStart {
                    response: head,
                    plan,
                    request: &self.head.fields,
                    route: &self.routed.route.policy,
                    made_by: self.made_by(),
                };
                match permit.begin_into(start, target) {
                    Begun::Filling(filling) => {
                        self.pump(body, filling.writer, notes);
                        return FillOutcome::Filling {
                            head: filling.head,
                            reader: filling.reader,
                            withheld,
                        };
                    }
                    Begun::Refused(reason) => reason,
                }
            }
        };
        FillOutcome::Passed {
            response: Response::from_parts(parts, body),
            reason,
        }
    }

    /// Names and digests of the functions that can have a part in the response.
    pub(super) fn made_by(&self) -> Option<Arc<str>> {
        let route = &self.routed.route;
        let names: Vec<String> = route
            .fill_functions()
            .map(|used| format!("{}@{}", used.function.name, used.function.function.digest()))
            .collect();
        (!names.is_empty()).then(|| names.join(" ").into())
    }

    /// Stores the content on a task of its own, as fast as the origin and memory allow.
    pub(super) fn pump(&mut self, body: Body, writer: FillWriter, notes: &ForwardNotes) {
        let (node, id) = (Arc::clone(&self.routed.node), self.routed.id);
        let origin = notes
            .origin
            .as_ref()
            .map(|receipt| Arc::clone(&receipt.origin));
        let (place, lease) = (self.place.take(), self.lease.take());
        let begun = node.clock.now();
        let guard = node.drain.guard();
        tokio::spawn(async move {
            let pumped = pump(body, writer).await;
            if let Some((key, stored)) = &pumped.stored {
                tiers::save(&node, key, stored, None);
            }
            if let Some(lease) = lease {
                lease.pumped(&pumped);
            }
            if let (Some(failure @ Failure::Origin { .. }), Some(origin)) =
                (&pumped.failure, &origin)
            {
                origin.record_late_failure(failure.label());
            }
            node.telemetry.metrics().record_fill(&FillReceipt {
                id,
                total: node.clock.now().saturating_duration_since(begun),
                received_bytes: pumped.bytes,
                outcome: pumped.outcome,
                failure: pumped.failure,
            });
            drop((guard, place));
        });
    }
}

/// A random number for the route's jitter.
pub(super) fn jitter_roll(routed: &Routed) -> u32 {
    (routed.node.random.next_u64() >> 32) as u32
}

/// Whether the response depends on what is no part of the key: on who the client is, or on
/// input that origin functions looked at and that its Vary does not name. Then it is for this
/// request alone.
pub(super) fn depends_on_unkeyed(
    routed: &Routed,
    marks: &RequestMarks,
    seen: &SeenInput,
    response: &HeaderMap,
) -> bool {
    if seen.everything {
        return true;
    }
    let vary = Vary::parse(response);
    // These fields are written when the request goes out, behind key and Vary.
    if vary.names().iter().any(forwarded::names_client) {
        return true;
    }
    let key_rule = routed.route.key.as_ref();
    let is_keyed =
        |name| marks.is_keyed(name) || key_rule.is_some_and(|rule| rule.policy.keys_field(name));
    seen.fields
        .iter()
        .any(|name| !is_keyed(name) && !vary.names().contains(name))
}

pub(super) fn withheld_fields(response: &HeaderMap, directives: &ResponseDirectives) -> Withheld {
    let named = directives.no_cache.fields().iter();
    let named = named.chain(directives.private.fields());
    let mut withheld = Withheld::new();
    for name in named {
        if withheld.iter().any(|(known, _)| known == name) {
            continue;
        }
        let lines = response.get_all(name).iter();
        withheld.extend(lines.map(|value| (name.clone(), value.clone())));
    }
    withheld
}
