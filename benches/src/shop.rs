//! A cache alone, without a node around it: what is stored in it, and how.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use verge_base::Clock;
use verge_cache::partial::{FillTarget, PartialStorage, decide_partial_storage};
use verge_cache::policy::{
    RequestFacts, RoutePolicy, Storage, StorageFacts, StoragePlan, decide_storage,
};
use verge_cache::{
    Begun, Cache, CacheSettings, FillPermit, FillStart, Filling, Finished, Freshened, Key, Lookup,
    NotModified, ResponseHead, Seeker, StoredResponse, Target,
};
use verge_http::Scheme;
use verge_http::cache_control::RequestDirectives;

/// A cache with the articles of a shop, each with the fields that a site
/// usually sends.
pub struct Shop {
    /// The cache.
    pub cache: Cache,
    clock: Clock,
    route: RoutePolicy,
    request: HeaderMap,
}

impl Shop {
    /// An empty one.
    #[must_use]
    pub fn new(settings: CacheSettings, clock: Clock) -> Self {
        Self {
            cache: Cache::new(settings, clock.clone()),
            clock,
            route: RoutePolicy::default(),
            request: HeaderMap::new(),
        }
    }

    /// The key of a path.
    #[must_use]
    pub fn key(&self, path: &str) -> Key {
        let target = Target {
            scheme: Scheme::Https,
            authority: "shop.example",
            path,
            query: None,
        };
        self.cache.key(target, &[])
    }

    /// Whether `key` is found.
    #[must_use]
    pub fn has(&self, key: &Key) -> bool {
        matches!(self.cache.lookup(key, &self.request), Lookup::Selected(_))
    }

    /// Stores a response, on the way that every response takes; whether it is stored then.
    pub fn store(&self, key: &Key, content: &Bytes) -> bool {
        let begun = self.begin(key, &self.request, &fields(content.len()));
        begun.is_some_and(|filling| fill(filling, content))
    }

    /// Begins to store a response with `fields` to a request with the fields `request`; `None` if
    /// it is not stored.
    #[must_use]
    pub fn begin(&self, key: &Key, request: &HeaderMap, fields: &HeaderMap) -> Option<Filling> {
        self.begin_with(self.permit(key, request), request, fields, StatusCode::OK)
    }

    /// Begins to store a part of the response of `whole`, which `fields` tell by their
    /// Content-Range; `None` if it is not stored.
    #[must_use]
    pub fn begin_part(&self, whole: &Key, fields: &HeaderMap) -> Option<Filling> {
        let range = fields.get(header::CONTENT_RANGE)?;
        let key = self.cache.range_key(whole, range.as_bytes(), None);
        let permit = self.permit(&key, &self.request);
        let status = StatusCode::PARTIAL_CONTENT;
        let response = ResponseHead::new(status, fields, permit.received_now());
        let PartialStorage::Store(part, plan) =
            decide_partial_storage(&self.facts(&response, &self.request))
        else {
            return None;
        };
        let target = FillTarget::Piece {
            whole: whole.clone(),
            request: self.request.clone(),
            part,
        };
        let start = self.start(response, plan, &self.request);
        filling(permit.begin_into(start, target))
    }

    /// The origin is being asked for `key`.
    pub fn permit(&self, key: &Key, request: &HeaderMap) -> FillPermit {
        let mut permit = self.cache.alone(&Seeker {
            key,
            fields: request,
            directives: &RequestDirectives::default(),
            seen: None,
            hint: None,
        });
        permit.mark_sent();
        permit
    }

    fn begin_with(
        &self,
        permit: FillPermit,
        request: &HeaderMap,
        fields: &HeaderMap,
        status: StatusCode,
    ) -> Option<Filling> {
        let response = ResponseHead::new(status, fields, permit.received_now());
        let Storage::Store(plan) = decide_storage(&self.facts(&response, request)) else {
            return None;
        };
        filling(permit.begin(self.start(response, plan, request)))
    }

    /// `stored` as a 304 with `fields` freshens it; whether it is stored then.
    pub fn freshen(&self, key: &Key, stored: &Arc<StoredResponse>, fields: &HeaderMap) -> bool {
        let permit = self.permit(key, &self.request);
        let status = StatusCode::NOT_MODIFIED;
        let response = ResponseHead::new(status, fields, permit.received_now());
        let answer = NotModified {
            response: &response,
            request: &self.request,
            facts: RequestFacts::of(&Method::GET, &self.request, false),
            route: &self.route,
            made_by: None,
        };
        matches!(permit.freshen(stored, &answer), Freshened::Stored(_))
    }

    fn facts<'a>(
        &'a self,
        response: &ResponseHead<'a>,
        request: &'a HeaderMap,
    ) -> StorageFacts<'a> {
        StorageFacts {
            request: RequestFacts::of(&Method::GET, request, false),
            status: response.status,
            fields: response.fields,
            received_wall: self.clock.wall(),
            initial_age: response.initial_age,
            route: &self.route,
        }
    }

    fn start<'a>(
        &'a self,
        response: ResponseHead<'a>,
        plan: Box<StoragePlan>,
        request: &'a HeaderMap,
    ) -> FillStart<'a> {
        FillStart {
            response,
            plan,
            request,
            made_by: None,
            route: &self.route,
        }
    }
}

fn filling(begun: Begun) -> Option<Filling> {
    match begun {
        Begun::Filling(filling) => Some(*filling),
        Begun::Refused(_) => None,
    }
}

/// Brings a fill to its end with `content`; whether it is stored then.
pub fn fill(mut filling: Filling, content: &Bytes) -> bool {
    // There is no reader to wait for: what cannot be stored ends here.
    let pushed = filling.writer.push(content.clone()).now_or_never();
    if pushed != Some(Ok(())) {
        return false;
    }
    matches!(
        filling.writer.finish(None),
        Ok(Finished::Stored(_) | Finished::StoredWhole(..) | Finished::StoredPiece)
    )
}

/// The fields that a site usually sends, with content of `length` bytes.
#[must_use]
pub fn fields(length: usize) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::ETAG, "\"5f2b-61a8\""),
        (header::LAST_MODIFIED, "Tue, 14 Oct 2025 09:30:00 GMT"),
        (header::SERVER, "origin"),
        (header::VIA, "1.1 origin"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    fields
}
