//! The node's cache as the functions of one site see it: entries under keys of each function's
//! own, stored and reused by the cache's rules as if an origin had answered so.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use verge_cache::policy::{
    OriginError, RequestFacts, Reuse, RoutePolicy, StaleOnError, Storage, StorageFacts,
    decide_reuse, decide_stale_on_error, decide_storage,
};
use verge_cache::{
    Begun, Cache, FillPermit, FillStart, Finished, Followed, Hardness, Join, Key, KeyPart, Lookup,
    PurgeScope, PurgeTarget, ResponseHead, Seeker, StoredResponse, Target,
};
use verge_http::Scheme;
use verge_http::cache_control::RequestDirectives;
use verge_http::surrogate::{SURROGATE_KEY, SurrogateKey};
use verge_runtime::capabilities::{
    CacheEntry, CacheError, CacheFound, CacheFuture, CacheKey, CacheLead, CacheObligation,
    CacheOptions, CacheOwner, CachePurge, FunctionCache, RatePolicy,
};

use crate::deploy::state::BesideMode;
use crate::generation::Generation;
use crate::node::{NodeState, purge_site_url};
use crate::route::Site;

/// The authority under which entries stand: no request for it is served (RFC 6761 6.4).
pub(crate) const ENTRIES: &str = "functions.invalid";

/// The part of the key that all entries of functions have, and no response to a request.
const OWN_PART: &str = "entry of a function";

/// How often a function may purge. The node remembers a bounded number of purges one by one: more of
/// them would purge what others have.
const PURGES: RatePolicy = RatePolicy {
    limit: 100,
    window: Duration::from_secs(1),
    burst: 1_000,
};

/// How often a caller joins those that make an entry before it makes one by itself.
const JOINS: usize = 3;

/// The cache of one request's site.
pub(crate) struct SiteCache {
    /// The node.
    pub node: Arc<NodeState>,
    /// The snapshot that the request lives on.
    pub generation: Arc<Generation>,
    /// Its site.
    pub site: Arc<Site>,
}

/// What storing an entry needs, beside the entry.
#[derive(Clone)]
struct Shelf {
    cache: Cache,
    site: Arc<str>,
    made_by: Arc<str>,
    content_max: u64,
}

/// A permit to fill, and where to.
struct Duty {
    shelf: Shelf,
    permit: FillPermit,
}

impl SiteCache {
    fn key(&self, owner: &CacheOwner, key: &CacheKey) -> Key {
        let path = path(&self.site.label, &owner.function, &key.name);
        // No request has such a part, whatever authority it names.
        let own = KeyPart {
            name: OWN_PART,
            value: match self.is_of_share(owner) {
                // What another version makes is not for those who get the live one.
                true => owner.digest.as_bytes(),
                false => &[],
            },
        };
        let parts = key.parts.iter().map(|(name, value)| KeyPart {
            name,
            value: value.as_bytes(),
        });
        let parts: Vec<KeyPart<'_>> = std::iter::once(own).chain(parts).collect();
        self.node.cache.key(target(&path), &parts)
    }

    /// Whether the caller is a version that runs for a share of the requests. One in the shadow
    /// makes nothing, and sees what the live one sees.
    fn is_of_share(&self, owner: &CacheOwner) -> bool {
        let function = self.generation.functions.get(&owner.function);
        let beside = function.and_then(|function| function.beside.as_ref());
        beside.is_some_and(|beside| {
            matches!(beside.mode, BesideMode::Share(_))
                && beside.entry.function.digest() == owner.digest
        })
    }

    fn shelf(&self, owner: &CacheOwner) -> Shelf {
        Shelf {
            cache: self.node.cache.clone(),
            site: Arc::clone(&self.site.label),
            made_by: format!("{}@{}", owner.function, owner.digest).into(),
            content_max: owner.content_max,
        }
    }
}

impl FunctionCache for SiteCache {
    fn lookup(&self, owner: &CacheOwner, key: &CacheKey) -> Result<Option<CacheEntry>, CacheError> {
        let shelf = self.shelf(owner);
        match shelf.cache.lookup(&self.key(owner, key), &HeaderMap::new()) {
            Lookup::Selected(stored) if shelf.is_usable(&stored) => shelf.entry(&stored).map(Some),
            Lookup::Selected(_) | Lookup::Miss(_) => Ok(None),
        }
    }

    fn insert(
        &self,
        owner: &CacheOwner,
        key: &CacheKey,
        content: Vec<u8>,
        options: CacheOptions,
    ) -> CacheFuture<Result<(), CacheError>> {
        let (shelf, key) = (self.shelf(owner), self.key(owner, key));
        let permit = shelf
            .cache
            .alone(&seeker(&key, &HeaderMap::new(), &anything(), None));
        Box::new(Duty { shelf, permit }).insert(content, options)
    }

    fn transact(
        &self,
        owner: &CacheOwner,
        key: &CacheKey,
        wait: Duration,
    ) -> CacheFuture<Result<CacheFound, CacheError>> {
        let (shelf, key) = (self.shelf(owner), self.key(owner, key));
        Box::pin(async move { shelf.transact(key, wait).await })
    }

    fn purge(&self, owner: &CacheOwner, what: &CachePurge, soft: bool) -> Result<(), CacheError> {
        let (rates, now) = (&self.node.purge_rates, self.node.clock.now());
        if !rates.check(&owner.function, "", PURGES, 1, now).allowed {
            return Err(CacheError::Refused);
        }
        let hardness = if soft { Hardness::Soft } else { Hardness::Hard };
        let scope = match what {
            CachePurge::Name(name) => {
                let path = path(&self.site.label, &owner.function, name);
                let target = PurgeTarget::new(target(&path));
                PurgeScope::Uri(target.map_err(|_| CacheError::KeyInvalid)?)
            }
            CachePurge::SurrogateKey(key) => {
                let key = SurrogateKey::new(key).ok_or(CacheError::SurrogateKeyInvalid)?;
                PurgeScope::site_key(&self.site.label, key)
                    .map_err(|_| CacheError::SurrogateKeyInvalid)?
            }
            CachePurge::Url(url) => {
                let (node, site) = (&self.node, &self.site);
                return purge_site_url(node, &self.generation, site, url, hardness)
                    .map_err(|_| CacheError::Forbidden);
            }
        };
        self.node.cache.purge(scope, hardness);
        Ok(())
    }
}

impl Shelf {
    async fn transact(self, key: Key, wait: Duration) -> Result<CacheFound, CacheError> {
        let (fields, directives) = (HeaderMap::new(), anything());
        let mut hint = None;
        // One patience for all waits.
        let mut patience = std::pin::pin!(tokio::time::sleep(wait));
        for _ in 0..JOINS {
            let stale = match self.cache.lookup(&key, &fields) {
                Lookup::Miss(_) => None,
                Lookup::Selected(stored) => {
                    let freshness = stored.freshness(self.now());
                    match decide_reuse(&directives, &freshness) {
                        Reuse::Fresh | Reuse::RefreshAhead => {
                            return self.entry(&stored).map(CacheFound::Hit);
                        }
                        Reuse::StaleWhileRevalidate | Reuse::StaleAccepted => {
                            return self.revalidate(&key, &stored);
                        }
                        Reuse::Validate(_) => Some(stored),
                    }
                }
            };
            let mut seeker = seeker(&key, &fields, &directives, stale.as_ref());
            seeker.hint = hint.take();
            let mut waiter = match self.cache.join(&seeker) {
                Join::Leader(permit) | Join::Alone(permit, _) => {
                    return self.lead(permit, stale.as_ref(), false);
                }
                Join::Arrived(stored) => return self.entry(&stored).map(CacheFound::Hit),
                Join::Follower(waiter) => waiter,
            };
            let followed = tokio::select! {
                biased;
                followed = waiter.wait(&fields, &directives) => followed,
                () = &mut patience => return Err(CacheError::WaitedTooLong),
            };
            match followed {
                Followed::Stored(stored) => return self.entry(&stored).map(CacheFound::Hit),
                Followed::VariantDiffers(other) => hint = Some(other),
                // When its content has ended, it is stored.
                Followed::Filling { reader, .. } => tokio::select! {
                    biased;
                    _ = reader.collect() => {}
                    () = &mut patience => return Err(CacheError::WaitedTooLong),
                },
                // Who led and cancelled leaves its duty to the next.
                Followed::Purged | Followed::Released(_) => {}
            }
        }
        let permit = self.cache.alone(&seeker(&key, &fields, &directives, None));
        self.lead(permit, None, false)
    }

    /// A stale entry that may be given out: the first caller is to make it anew.
    fn revalidate(
        &self,
        key: &Key,
        stored: &Arc<StoredResponse>,
    ) -> Result<CacheFound, CacheError> {
        let (fields, directives) = (HeaderMap::new(), anything());
        let seeker = seeker(key, &fields, &directives, Some(stored));
        match self.cache.lead_in_background(&seeker) {
            Some(permit) => self.lead(permit, Some(stored), true),
            None => self.entry(stored).map(CacheFound::Stale),
        }
    }

    fn lead(
        &self,
        permit: FillPermit,
        stale: Option<&Arc<StoredResponse>>,
        may_serve_stale: bool,
    ) -> Result<CacheFound, CacheError> {
        let stale = stale.filter(|stored| self.is_usable(stored));
        let stale = stale.map(|stored| self.entry(stored)).transpose()?;
        Ok(CacheFound::Lead(CacheLead {
            obligation: Box::new(Duty {
                shelf: self.clone(),
                permit,
            }),
            may_serve_stale: may_serve_stale && stale.is_some(),
            stale,
        }))
    }

    /// Whether it is fresh, or within one of its stale windows.
    fn is_usable(&self, stored: &StoredResponse) -> bool {
        let freshness = stored.freshness(self.now());
        if !matches!(decide_reuse(&anything(), &freshness), Reuse::Validate(_)) {
            return true;
        }
        let failed = OriginError::Status(StatusCode::SERVICE_UNAVAILABLE);
        let decision = decide_stale_on_error(failed, &freshness, &anything());
        matches!(decision, StaleOnError::Serve(_))
    }

    fn entry(&self, stored: &StoredResponse) -> Result<CacheEntry, CacheError> {
        if stored.content_length() > self.content_max {
            return Err(CacheError::TooLarge);
        }
        let freshness = stored.freshness(self.now());
        Ok(CacheEntry {
            content: content(stored),
            age: freshness.age,
            is_fresh: freshness.is_fresh(),
        })
    }

    fn now(&self) -> std::time::Instant {
        self.cache.sent_at().requested
    }

    fn policy(&self) -> RoutePolicy {
        RoutePolicy {
            site: Some(Arc::clone(&self.site)),
            stale_on_failure: Duration::ZERO,
            heuristic_max: Duration::ZERO,
            ..RoutePolicy::default()
        }
    }
}

impl CacheObligation for Duty {
    fn insert(
        self: Box<Self>,
        content: Vec<u8>,
        options: CacheOptions,
    ) -> CacheFuture<Result<(), CacheError>> {
        Box::pin(async move {
            let Self { shelf, permit } = *self;
            // Dropping the permit tells those that wait that there is nothing.
            let fields = fields(&options, content.len()).ok_or(CacheError::SurrogateKeyInvalid)?;
            let head = ResponseHead::new(StatusCode::OK, &fields, permit.received_now());
            let (policy, request) = (shelf.policy(), HeaderMap::new());
            let facts = StorageFacts {
                request: RequestFacts::of(&Method::GET, &request, false),
                status: head.status,
                fields: &fields,
                received_wall: head.times.received_wall,
                initial_age: head.initial_age,
                route: &policy,
            };
            let plan = match decide_storage(&facts) {
                Storage::Store(plan) => plan,
                Storage::Refuse(reason) => {
                    permit.refuse(reason);
                    return Err(CacheError::Refused);
                }
            };
            let begun = permit.begin(FillStart {
                response: head,
                plan,
                request: &request,
                route: &policy,
                made_by: Some(shelf.made_by),
            });
            let Begun::Filling(filling) = begun else {
                return Err(CacheError::Refused);
            };
            let mut writer = filling.writer;
            // The reader is there while the content is written: without one it would stop. As nobody
            // reads it, only what is kept as it comes will do: a writer that waits keeps nothing.
            let reader = filling.reader;
            let pushed = writer.push(Bytes::from(content)).now_or_never();
            drop(reader);
            if !matches!(pushed, Some(Ok(()))) || writer.has_given_up() {
                return Err(CacheError::Refused);
            }
            match writer.finish(None) {
                Ok(Finished::Stored(_)) => Ok(()),
                Ok(_) | Err(_) => Err(CacheError::Refused),
            }
        })
    }
}

/// The fields of a response that is kept so.
fn fields(options: &CacheOptions, length: usize) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    let directives = format!(
        "max-age={}, stale-while-revalidate={}, stale-if-error={}",
        options.max_age, options.stale_while_revalidate, options.stale_if_error
    );
    fields.insert(CACHE_CONTROL, HeaderValue::try_from(directives).ok()?);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    for key in &options.surrogate_keys {
        let key = SurrogateKey::new(key).filter(|key| !key.as_str().contains(' '))?;
        let value = HeaderValue::from_str(key.as_str()).ok()?;
        fields.append(SURROGATE_KEY.clone(), value);
    }
    verge_http::surrogate::SurrogateKeys::of(&fields).ok()?;
    Some(fields)
}

/// `/SITE/FUNCTION/NAME`, with what a path cannot have percent-encoded (RFC 3986 2.1). What a
/// function keeps for one site is not another's, nor are its purges.
fn path(site: &str, function: &str, name: &str) -> String {
    let mut path = String::new();
    for segment in [site, function, name] {
        path.push('/');
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                path.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
    path
}

fn target(path: &str) -> Target<'_> {
    Target {
        scheme: Scheme::Https,
        authority: ENTRIES,
        path,
        query: None,
    }
}

fn anything() -> RequestDirectives {
    RequestDirectives::default()
}

fn seeker<'a>(
    key: &'a Key,
    fields: &'a HeaderMap,
    directives: &'a RequestDirectives,
    seen: Option<&'a Arc<StoredResponse>>,
) -> Seeker<'a> {
    Seeker {
        key,
        fields,
        directives,
        seen,
        hint: None,
    }
}

/// What is stored is there: reading it never waits.
fn content(stored: &StoredResponse) -> Vec<u8> {
    let mut body = stored.body();
    let mut content = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(&mut context) {
        if let Ok(data) = frame.into_data() {
            content.extend_from_slice(&data);
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_segment_of_a_path() {
        assert_eq!(path("*", "rates", "eur"), "/%2A/rates/eur");
        let encoded = path("a.example", "rates", "a/b c?\u{e9}");
        assert_eq!(encoded, "/a.example/rates/a%2Fb%20c%3F%C3%A9");
    }

    fn shelf(cache: &Cache) -> Shelf {
        Shelf {
            cache: cache.clone(),
            site: "s".into(),
            made_by: "f@d".into(),
            content_max: 1 << 20,
        }
    }

    /// Stores 400 kB under `name`.
    async fn insert(cache: &Cache, name: &str) -> Result<(), CacheError> {
        let (path, fields) = (path("s", "f", name), HeaderMap::new());
        let key = cache.key(target(&path), &[]);
        let permit = cache.alone(&seeker(&key, &fields, &anything(), None));
        let options = CacheOptions {
            max_age: 60,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            surrogate_keys: Vec::new(),
        };
        let shelf = shelf(cache);
        let storing = Box::new(Duty { shelf, permit }).insert(vec![0; 400_000], options);
        tokio::time::timeout(Duration::from_secs(20), storing)
            .await
            .expect("it does not wait for memory")
    }

    #[tokio::test]
    async fn an_entry_for_which_there_is_no_memory_is_refused() {
        let cache = Cache::new(
            verge_cache::CacheSettings::with_memory(1 << 20),
            verge_base::Clock::system(),
        );
        let mut held = Vec::new();
        for name in ["a", "b"] {
            assert_eq!(insert(&cache, name).await, Ok(()));
            let key = cache.key(target(&path("s", "f", name)), &[]);
            let Lookup::Selected(stored) = cache.lookup(&key, &HeaderMap::new()) else {
                unreachable!("{name} was stored");
            };
            // Whoever still reads it keeps its memory, even when the entry goes.
            held.push(stored.body().collect().await);
        }
        assert_eq!(insert(&cache, "c").await, Err(CacheError::Refused));
        drop(held);
        assert_eq!(insert(&cache, "c").await, Ok(()));
    }

    #[test]
    fn a_surrogate_key_with_a_space_is_none() {
        let options = |key: &str| CacheOptions {
            max_age: 1,
            stale_while_revalidate: 0,
            stale_if_error: 0,
            surrogate_keys: vec![key.to_owned()],
        };
        assert!(fields(&options("a"), 1).is_some());
        assert!(fields(&options("a b"), 1).is_none());
        assert!(fields(&options(""), 1).is_none());
    }
}
