//! `verge:edge/cache`. Waiting for another caller counts to the deadline: it is the function's
//! choice.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Resource;

use crate::bindings::verge::edge::cache;
use crate::capabilities::{
    CACHE_KEY_BYTES, CACHE_KEY_PARTS, CACHE_WAIT_MAX, CacheEntry, CacheError, CacheFound, CacheKey,
    CacheOptions, CacheOwner, CachePurge, FunctionCache,
};
use crate::handles::ObligationHandle;
use crate::state::{CallState, Obligation};

type Handle = Resource<ObligationHandle>;
type Done = wasmtime::Result<Result<(), cache::CacheError>>;

impl cache::Host for CallState {
    fn lookup(
        &mut self,
        key: cache::Key,
    ) -> wasmtime::Result<Result<Option<cache::Entry>, cache::CacheError>> {
        self.hostcall()?;
        let found = self.site_cache().and_then(|(cache, owner)| {
            let key = checked(key)?;
            cache.lookup(&owner, &key)
        });
        Ok(match found {
            Ok(entry) => Ok(entry.map(lower)),
            Err(error) => Err(error.into()),
        })
    }

    async fn insert(&mut self, key: cache::Key, content: Vec<u8>, options: cache::Options) -> Done {
        self.hostcall()?;
        let begun = self.site_cache().and_then(|(cache, owner)| {
            let key = checked(key)?;
            check_length(&content, &owner)?;
            Ok(cache.insert(&owner, &key, content, options.into()))
        });
        match begun {
            Ok(storing) => Ok(storing.await.map_err(Into::into)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn transact(
        &mut self,
        key: cache::Key,
        wait_ms: u32,
    ) -> wasmtime::Result<Result<cache::Found, cache::CacheError>> {
        self.hostcall()?;
        let patience = Duration::from_millis(wait_ms.into()).min(CACHE_WAIT_MAX);
        let begun = self.site_cache().and_then(|(cache, owner)| {
            let key = checked(key)?;
            Ok(cache.transact(&owner, &key, patience))
        });
        let found = match begun {
            Ok(finding) => finding.await,
            Err(error) => Err(error),
        };
        Ok(match found {
            Err(error) => Err(error.into()),
            Ok(CacheFound::Hit(entry)) => Ok(cache::Found::Hit(lower(entry))),
            Ok(CacheFound::Stale(entry)) => Ok(cache::Found::Stale(lower(entry))),
            Ok(CacheFound::Lead(lead)) => {
                let number = self.obligations.add(Obligation {
                    duty: lead.obligation,
                    stale: lead.stale.as_ref().map(|entry| entry.content.clone()),
                })?;
                Ok(cache::Found::Lead(cache::Leading {
                    obligation: Resource::new_own(number),
                    stale: lead.stale.map(lower),
                    may_serve_stale: lead.may_serve_stale,
                }))
            }
        })
    }

    fn purge(&mut self, name: String, hardness: cache::Hardness) -> Done {
        self.purge_what(&CachePurge::Name(name), hardness)
    }

    fn purge_surrogate_key(&mut self, key: String, hardness: cache::Hardness) -> Done {
        self.purge_what(&CachePurge::SurrogateKey(key), hardness)
    }

    fn purge_url(&mut self, url: String, hardness: cache::Hardness) -> Done {
        self.purge_what(&CachePurge::Url(url), hardness)
    }
}

impl cache::HostObligation for CallState {
    async fn insert(&mut self, this: Handle, content: Vec<u8>, options: cache::Options) -> Done {
        self.hostcall()?;
        let Some(obligation) = self.obligations.remove(this.rep()) else {
            return Ok(Err(cache::CacheError::Refused));
        };
        if content.len() as u64 > self.limits().body {
            return Ok(Err(cache::CacheError::TooLarge));
        }
        let storing = obligation.duty.insert(content, options.into());
        Ok(storing.await.map_err(Into::into))
    }

    async fn refresh(&mut self, this: Handle, options: cache::Options) -> Done {
        self.hostcall()?;
        let obligation = self.obligations.remove(this.rep());
        let Some((duty, content)) = obligation.and_then(|o| Some((o.duty, o.stale?))) else {
            return Ok(Err(cache::CacheError::Refused));
        };
        let storing = duty.insert(content, options.into());
        Ok(storing.await.map_err(Into::into))
    }

    fn drop(&mut self, this: Handle) -> wasmtime::Result<()> {
        self.obligations.remove(this.rep());
        Ok(())
    }
}

impl CallState {
    /// The cache of this call's site, and whose entries they are.
    fn site_cache(&self) -> Result<(Arc<dyn FunctionCache>, CacheOwner), CacheError> {
        let cache = self.scope.cache().ok_or(CacheError::Unavailable)?;
        let owner = CacheOwner {
            function: Arc::clone(&self.function.name),
            digest: self.function.digest,
            content_max: self.limits().body,
        };
        Ok((cache, owner))
    }

    fn purge_what(&mut self, what: &CachePurge, hardness: cache::Hardness) -> Done {
        self.hostcall()?;
        let soft = match hardness {
            cache::Hardness::Hard => false,
            cache::Hardness::Soft => true,
        };
        let done = self
            .site_cache()
            .and_then(|(cache, owner)| cache.purge(&owner, what, soft));
        Ok(done.map_err(Into::into))
    }
}

fn checked(key: cache::Key) -> Result<CacheKey, CacheError> {
    let parts = key
        .parts
        .iter()
        .map(|(name, value)| name.len() + value.len());
    let bytes = parts.fold(key.name.len(), usize::saturating_add);
    if key.name.is_empty() || bytes > CACHE_KEY_BYTES || key.parts.len() > CACHE_KEY_PARTS {
        return Err(CacheError::KeyInvalid);
    }
    Ok(CacheKey {
        name: key.name,
        parts: key.parts,
    })
}

fn check_length(content: &[u8], owner: &CacheOwner) -> Result<(), CacheError> {
    if content.len() as u64 > owner.content_max {
        return Err(CacheError::TooLarge);
    }
    Ok(())
}

fn lower(entry: CacheEntry) -> cache::Entry {
    cache::Entry {
        content: entry.content,
        age_ms: u64::try_from(entry.age.as_millis()).unwrap_or(u64::MAX),
        is_fresh: entry.is_fresh,
    }
}

impl From<cache::Options> for CacheOptions {
    fn from(options: cache::Options) -> Self {
        Self {
            max_age: options.max_age,
            stale_while_revalidate: options.stale_while_revalidate,
            stale_if_error: options.stale_if_error,
            surrogate_keys: options.surrogate_keys,
        }
    }
}

impl From<CacheError> for cache::CacheError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::KeyInvalid => Self::KeyInvalid,
            CacheError::SurrogateKeyInvalid => Self::SurrogateKeyInvalid,
            CacheError::TooLarge => Self::TooLarge,
            CacheError::Refused => Self::Refused,
            CacheError::WaitedTooLong => Self::WaitedTooLong,
            CacheError::Forbidden => Self::Forbidden,
            CacheError::Unavailable => Self::Unavailable,
        }
    }
}
