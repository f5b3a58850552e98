//! Whether what came is stored, by which facts, and the task that writes it into
//! the cache.

use std::sync::Arc;

use http::header::TRAILER;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use verge_cache::partial::FillTarget;
use verge_cache::policy::{
    Nominated, RequestFacts, Storage, StorageFacts, StoragePlan, decide_nominated, decide_storage,
};
use verge_cache::tier::TierKey;
use verge_cache::{
    Begun, FillPermit, FillStart, FillWriter, Filling, Key, ResponseHead, ResponseTimes,
};
use verge_http::cache_control::ResponseDirectives;
use verge_http::vary::Vary;
use verge_http::{Body, Failure, forwarded};

use super::super::routed::Routed;
use super::super::triggers::{RequestMarks, SeenInput};
use super::fill::{FillJob, FillOutcome};
use super::forward::ForwardNotes;
use super::pump::{Place, pump};
use super::tiers;

/// Fields that are for the client that asked and are not stored: those that `private` and
/// `no-cache` name (RFC 9111 5.2.2.4, 5.2.2.7).
pub(super) type Withheld = Vec<(HeaderName, HeaderValue)>;

impl FillJob {
    /// What storing depends on of the request, to which the origin answered with `response`.
    pub(super) fn facts(&self, response: &HeaderMap, notes: &ForwardNotes) -> RequestFacts<'_> {
        let mut facts = RequestFacts::of(
            &self.head.method,
            &self.head.fields,
            self.directives.no_store,
        );
        facts.has_authorization |= notes.has_authorization;
        facts.roll = jitter_roll(&self.routed);
        facts.has_unkeyed_input =
            depends_on_unkeyed(&self.routed, &self.marks, &notes.seen, response);
        facts.is_function_skipped =
            self.marks.is_function_skipped || notes.seen.is_function_skipped;
        facts.is_version_replaced = self.routed.runs_replaced_version();
        facts.declared_keys = &self.marks.surrogate_keys;
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
        let key = permit.key().clone();
        let (parts, body) = response.into_parts();
        let head = ResponseHead::new(parts.status, &parts.headers, times);
        let reason = match decide_storage(&self.storage_facts(&head, notes)) {
            Storage::Refuse(reason) => {
                permit.refuse(reason);
                reason
            }
            Storage::Store(plan) => {
                let mut withheld = withheld_fields(&parts.headers, &plan.directives);
                // Trailers reach those that read now, and are not stored.
                withheld.extend(named_lines(&parts.headers, &TRAILER));
                let takes_its_place = matches!(target, FillTarget::Own);
                match self.begin(permit, (head, plan), target) {
                    Begun::Filling(filling) => {
                        if !takes_its_place {
                            // The whole came for a slice, and stands elsewhere.
                            self.settle_nominated(&key, Nominated::Removed);
                        }
                        return self.filling(*filling, body, withheld, notes);
                    }
                    Begun::Refused(reason) => reason,
                }
            }
        };
        self.settle_nominated(&key, decide_nominated(parts.status, reason));
        FillOutcome::Passed {
            response: Response::from_parts(parts, body),
            reason,
        }
    }

    /// Begins to store a response by its plan.
    pub(super) fn begin(
        &self,
        permit: FillPermit,
        (response, plan): (ResponseHead<'_>, Box<StoragePlan>),
        target: FillTarget,
    ) -> Begun {
        let start = FillStart {
            response,
            plan,
            request: &self.head.fields,
            route: &self.routed.route.policy,
            made_by: made_by(&self.routed),
        };
        permit.begin_into(start, target)
    }

    /// Stores `body` while it comes.
    pub(super) fn filling(
        &mut self,
        filling: Filling,
        body: Body,
        withheld: Withheld,
        notes: &ForwardNotes,
    ) -> FillOutcome {
        self.pump(body, filling.writer, notes);
        FillOutcome::Filling {
            head: filling.head,
            reader: filling.reader,
            withheld,
        }
    }

    /// What was to be validated, when what came in its place is not stored there.
    pub(super) fn settle_nominated(&self, key: &Key, nominated: Nominated) {
        match (&self.stale, nominated) {
            (Some(stored), Nominated::Removed) => {
                let node = &self.routed.node;
                node.cache.remove_stored(key, stored);
                node.tiers.forget(&TierKey::of(key));
            }
            (None, _) | (_, Nominated::Kept) => {}
        }
    }

    /// Stores the content on a task of its own, as fast as the origin and memory allow.
    fn pump(&mut self, body: Body, writer: FillWriter, notes: &ForwardNotes) {
        let (node, id) = (Arc::clone(&self.routed.node), self.routed.id);
        let origin = notes
            .origin
            .as_ref()
            .map(|receipt| Arc::clone(&receipt.origin));
        let mut place = Place::new(&node, self.place.take());
        let mut lease = self.lease.take();
        let site = Arc::clone(&self.routed.site);
        let begun = node.clock.now();
        let guard = node.drain.guard();
        tokio::spawn(async move {
            let pumped = pump(body, writer, &mut place, &mut lease).await;
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
            pumped.record(&node, &site, (id, begun));
            drop((guard, place));
        });
    }
}

/// Names and digests of the functions that can have a part in the response.
pub(super) fn made_by(routed: &Routed) -> Option<Arc<str>> {
    let route = &routed.route;
    let nested = routed.nested_versions();
    let names: Vec<String> = route
        .fill_functions()
        .map(|used| routed.version(used))
        .map(|version| format!("{}@{}", version.name, version.function.digest()))
        .chain(nested.map(|(name, digest)| format!("{name}@{digest}")))
        .collect();
    (!names.is_empty()).then(|| names.join(" ").into())
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
        withheld.extend(named_lines(response, name));
    }
    withheld
}

fn named_lines<'a>(
    response: &'a HeaderMap,
    name: &'a HeaderName,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> + 'a {
    let lines = response.get_all(name).iter();
    lines.map(move |value| (name.clone(), value.clone()))
}
