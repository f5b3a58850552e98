//! Bringing a stored response up to date with a newer head (RFC 9111 3.2).

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use verge_http::cache_control::ResponseDirectives;
use verge_http::conditional::EntityTag;
use verge_http::surrogate::SurrogateKeys;
use verge_http::vary::Vary;

use super::Inner;
use crate::collapse::SentAt;
use crate::key::Key;
use crate::policy::{
    LifetimeSource, RefuseReason, RequestFacts, RequestMethod, RoutePolicy, StaleWindows, Storage,
    StorageFacts, StoragePlan, decide_storage, sets_own_cookie, updated_fields,
};
use crate::response::{HeadParts, ResponseHead, StoredHead, StoredResponse, made_by};

/// A newer head for a stored response: a 304, or the response to HEAD.
#[derive(Clone, Copy, Debug)]
pub struct Newer<'a> {
    /// The newer head.
    pub response: &'a ResponseHead<'a>,
    /// The fields, as Vary sees them, of the request that it answers.
    pub request: &'a HeaderMap,
    /// Of that request.
    pub facts: RequestFacts<'a>,
    /// Of its route.
    pub route: &'a RoutePolicy,
    /// Names and digests of the functions that had a part in it.
    pub made_by: Option<&'a str>,
    /// When that request was sent.
    pub sent: SentAt,
}

/// What became of a stored response by the origin's response to HEAD.
#[derive(Clone, Debug)]
pub enum FreshenedByHead {
    /// The freshened response is stored in its place.
    Stored(Arc<StoredResponse>),
    /// Nothing of it is stored any more.
    Removed,
    /// It stands as it was.
    Left,
}

/// What became of the stored response.
pub(crate) enum Updated {
    /// The freshened response is stored in its place.
    Stored(Arc<StoredResponse>),
    /// It may be used once; nothing of it is stored any more.
    Used(Arc<StoredResponse>, RefuseReason),
    /// It may be used once; a newer response took its place meanwhile (RFC 9111 4).
    Superseded {
        freshened: Arc<StoredResponse>,
        by: Arc<StoredResponse>,
    },
}

/// What happens to the stored response as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Former {
    /// The updated one stands in its place.
    Replaced,
    /// It goes on answering the requests that select it; the updated one answers others.
    Kept,
}

impl Inner {
    /// Stores `stored` as it is updated by `newer`.
    pub(crate) fn freshen(
        &self,
        key: &Key,
        stored: &Arc<StoredResponse>,
        newer: &Newer<'_>,
        former: Former,
    ) -> Updated {
        let shared = newer.shared_fields(stored);
        let fields = updated_fields(stored.head().fields(), &shared);
        let response = ResponseHead::new(stored.head().status(), &fields, newer.response.times);
        let decision = decide_storage(&newer.storage_facts(&response));
        let (mut plan, mut refused) = match decision {
            Storage::Store(plan) => (*plan, None),
            Storage::Refuse(reason) => (plan_for_one_use(&fields), Some(reason)),
        };
        // Keys are not among the stored fields; what the newer head does not name stays, and so
        // does what functions declared for the requests that it answers.
        let keys = stored.head().surrogate_keys();
        let keys = keys.updated(newer.response.fields);
        match keys.and_then(|keys| keys.with_declared(newer.facts.declared_keys)) {
            Ok(keys) => plan.surrogate_keys = keys,
            Err(_) => refused = Some(RefuseReason::SurrogateKeys),
        }
        // What functions made of the newer head is in the stored fields from now on.
        let stored_by = stored.head().made_by();
        let made_by = made_by::joined(stored_by, newer.made_by).unwrap_or_else(|_| {
            refused = Some(RefuseReason::Functions);
            stored_by.cloned()
        });
        let Some(variant_key) = plan.vary.variant_key(newer.request) else {
            // Not reached: Vary * was refused, and the plan for one use does not vary.
            return Updated::Used(Arc::clone(stored), RefuseReason::VaryAny);
        };
        let parts = HeadParts {
            plan,
            variant_key,
            made_by,
            route: newer.route,
            sequence: newer.sent.sequence,
        };
        let mut head = StoredHead::new(&response, parts);
        if refused.is_none() {
            match self.reserve(head.cost().saturating_add(key.len() as u64)) {
                Some(reservation) => head = head.with_reservation(reservation),
                None => refused = Some(RefuseReason::MemoryExhausted),
            }
        }
        let freshened = Arc::new(stored.freshened(head));
        match refused {
            None => self.replace(key, stored, freshened, newer, former),
            Some(reason) => {
                if former == Former::Replaced {
                    self.store.remove_response(key, stored);
                    self.drop_others(key, &freshened, newer);
                }
                Updated::Used(freshened, reason)
            }
        }
    }

    /// What was stored in the place of `stored`, if that is there no more.
    fn successor(&self, key: &Key, stored: &Arc<StoredResponse>) -> Option<Arc<StoredResponse>> {
        let variants = self.store.variants(key);
        if variants.iter().any(|other| Arc::ptr_eq(other, stored)) {
            return None;
        }
        let mut others = variants.into_iter();
        others.find(|other| other.head().is_same_variant(stored.head()))
    }

    fn replace(
        &self,
        key: &Key,
        stored: &Arc<StoredResponse>,
        freshened: Arc<StoredResponse>,
        newer: &Newer<'_>,
        former: Former,
    ) -> Updated {
        let by = RefCell::new(None);
        let is_stored = self.store.insert(key, &freshened, &|| {
            *by.borrow_mut() = self.successor(key, stored);
            by.borrow().is_none() && self.admits(key, &freshened)
        });
        if let Some(by) = by.into_inner() {
            return Updated::Superseded { freshened, by };
        }
        if !is_stored {
            return Updated::Used(freshened, RefuseReason::Purged);
        }
        // Already gone, unless the 304 changed what the response varies by.
        if former == Former::Replaced {
            self.store.remove_response(key, stored);
            self.drop_others(key, &freshened, newer);
        }
        self.note_stored(key);
        Updated::Stored(freshened)
    }

    /// A newer head with a strong validator is about every stored response that its request could
    /// have selected and that has the same one (RFC 9111 4.3.4). `freshened` is the one that was
    /// asked about; the fields of the others are not those of the origin any more.
    fn drop_others(&self, key: &Key, freshened: &Arc<StoredResponse>, newer: &Newer<'_>) {
        let Some(tag) = EntityTag::of(newer.response.fields) else {
            return;
        };
        for other in self.store.variants(key) {
            let own = other.head().validators().entity_tag;
            if !Arc::ptr_eq(&other, freshened)
                && own.is_some_and(|own| own.strong_eq(tag))
                && other.head().is_selected_by(newer.request)
            {
                self.store.remove_response(key, &other);
            }
        }
    }
}

impl Newer<'_> {
    /// What of its fields is for all that are answered from store: a cookie is left out if the
    /// newer head does not itself say so (RFC 9111 7.3).
    fn shared_fields(&self, stored: &StoredResponse) -> Cow<'_, HeaderMap> {
        let fields = self.response.fields;
        let own = ResponseHead::new(stored.head().status(), fields, self.response.times);
        if !sets_own_cookie(&self.storage_facts(&own)) {
            return Cow::Borrowed(fields);
        }
        let mut shared = fields.clone();
        shared.remove(SET_COOKIE);
        Cow::Owned(shared)
    }

    /// The facts by which the rules are asked about `response`.
    fn storage_facts<'a>(&'a self, response: &ResponseHead<'a>) -> StorageFacts<'a> {
        StorageFacts {
            // What is stored is the response to GET, whatever freshens it.
            request: RequestFacts {
                method: RequestMethod::Get,
                ..self.facts
            },
            // A part is stored by the rules for the whole (RFC 9111 3).
            status: match response.status {
                StatusCode::PARTIAL_CONTENT => StatusCode::OK,
                other => other,
            },
            fields: response.fields,
            received_wall: response.times.received_wall,
            initial_age: response.initial_age,
            route: self.route,
        }
    }
}

fn plan_for_one_use(fields: &HeaderMap) -> StoragePlan {
    StoragePlan {
        lifetime: std::time::Duration::ZERO,
        source: LifetimeSource::Nowhere,
        directives: ResponseDirectives::parse(fields),
        targeted: None,
        vary: Vary::of_names([]),
        surrogate_keys: SurrogateKeys::default(),
        stale: StaleWindows::NONE,
        refresh_at: None,
    }
}
