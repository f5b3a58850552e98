//! What a call in the shadow may choose and reach: what the live one may, as long as nothing
//! changes by it.

use std::sync::Arc;

use http::Request;
use http::uri::Authority;
use verge_http::Body;
use verge_runtime::capabilities::{
    CacheEntry, CacheError, CacheFound, CacheFuture, CacheKey, CacheOptions, CacheOwner,
    CachePurge, FunctionCache,
};
use verge_runtime::{CallId, Fetch, FetchError, FetchFuture, Scope};

use super::super::scope::SiteScope;

/// The scope of a call in the shadow. It is one of its own: work that the live call left does not
/// wait for it.
pub(super) struct ShadowScope(Arc<SiteScope>);

impl ShadowScope {
    pub(super) fn of(scope: &SiteScope) -> Self {
        Self(Arc::new(scope.rehearsing()))
    }
}

/// Work for after the response is refused, as [`Scope`] does by itself.
impl Scope for ShadowScope {
    fn allows_authority(&self, authority: &Authority) -> bool {
        self.0.allows_authority(authority)
    }

    fn allows_origin(&self, call: &CallId, name: &str) -> bool {
        self.0.allows_origin(call, name)
    }

    fn fetch(&self, call: &CallId) -> Option<Arc<dyn Fetch>> {
        let fetch = self.0.fetch(call)?;
        Some(Arc::new(SafeFetch(fetch)))
    }

    fn cache(&self) -> Option<Arc<dyn FunctionCache>> {
        let cache = self.0.cache()?;
        Some(Arc::new(ReadOnlyCache(cache)))
    }
}

/// Sends requests with safe methods only (RFC 9110 9.2.1).
struct SafeFetch(Arc<dyn Fetch>);

impl Fetch for SafeFetch {
    fn send(&self, request: Request<Body>) -> FetchFuture {
        if request.method().is_safe() {
            return self.0.send(request);
        }
        Box::pin(std::future::ready(Err(FetchError::Denied)))
    }
}

/// A cache that is looked up, and takes and loses nothing.
struct ReadOnlyCache(Arc<dyn FunctionCache>);

impl FunctionCache for ReadOnlyCache {
    fn lookup(&self, owner: &CacheOwner, key: &CacheKey) -> Result<Option<CacheEntry>, CacheError> {
        self.0.lookup(owner, key)
    }

    fn insert(
        &self,
        _owner: &CacheOwner,
        _key: &CacheKey,
        _content: Vec<u8>,
        _options: CacheOptions,
    ) -> CacheFuture<Result<(), CacheError>> {
        Box::pin(std::future::ready(Err(CacheError::Refused)))
    }

    fn transact(
        &self,
        owner: &CacheOwner,
        key: &CacheKey,
        _wait: std::time::Duration,
    ) -> CacheFuture<Result<CacheFound, CacheError>> {
        // To lead would make others wait for what is never inserted.
        let found = self.0.lookup(owner, key).and_then(|found| match found {
            Some(entry) if entry.is_fresh => Ok(CacheFound::Hit(entry)),
            Some(entry) => Ok(CacheFound::Stale(entry)),
            None => Err(CacheError::Refused),
        });
        Box::pin(std::future::ready(found))
    }

    fn purge(
        &self,
        _owner: &CacheOwner,
        _what: &CachePurge,
        _soft: bool,
    ) -> Result<(), CacheError> {
        Err(CacheError::Forbidden)
    }
}
