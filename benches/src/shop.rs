//! A cache alone, without a node around it: what is stored in it, and how.

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use verge_base::Clock;
use verge_cache::policy::{RequestFacts, RoutePolicy, Storage, StorageFacts, decide_storage};
use verge_cache::{
    Begun, Cache, CacheSettings, FillStart, Finished, Key, Lookup, ResponseHead, Seeker, Target,
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
        let mut permit = self.cache.alone(&Seeker {
            key,
            fields: &self.request,
            directives: &RequestDirectives::default(),
            seen: None,
            hint: None,
        });
        permit.mark_sent();
        let fields = fields(content.len());
        let response = ResponseHead::new(StatusCode::OK, &fields, permit.received_now());
        let decision = decide_storage(&StorageFacts {
            request: RequestFacts::of(&Method::GET, &self.request, false),
            status: response.status,
            fields: &fields,
            received_wall: self.clock.wall(),
            initial_age: response.initial_age,
            route: &self.route,
        });
        let Storage::Store(plan) = decision else {
            return false;
        };
        let begun = permit.begin(FillStart {
            response,
            plan,
            request: &self.request,
            made_by: None,
            route: &self.route,
        });
        let Begun::Filling(mut filling) = begun else {
            return false;
        };
        // There is no reader to wait for: what cannot be stored ends here.
        let pushed = filling.writer.push(content.clone()).now_or_never();
        if pushed != Some(Ok(())) {
            return false;
        }
        matches!(filling.writer.finish(None), Ok(Finished::Stored(_)))
    }
}

fn fields(length: usize) -> HeaderMap {
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
