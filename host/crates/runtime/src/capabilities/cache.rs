//! The node's cache, for what a function makes itself.

use serde::{Deserialize, Serialize};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;

/// Most bytes of a key, its parts included.
pub const CACHE_KEY_BYTES: usize = 2048;
/// Most parts of a key.
pub const CACHE_KEY_PARTS: usize = 16;
/// The longest that one caller waits for another.
pub const CACHE_WAIT_MAX: Duration = Duration::from_secs(60);

/// What a method of [`FunctionCache`] promises.
pub type CacheFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whose entries they are.
#[derive(Clone, Debug)]
pub struct CacheOwner {
    /// The function's name.
    pub function: Arc<str>,
    /// Of its component.
    pub digest: Digest,
    /// Most bytes of an entry's content.
    pub content_max: u64,
}

/// What an entry is found by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheKey {
    /// Its name; not empty.
    pub name: String,
    /// Further parts.
    pub parts: Vec<(String, String)>,
}

/// How an entry is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheOptions {
    /// Seconds for which it is fresh.
    pub max_age: u32,
    /// Seconds for which it is then given out while one caller makes it anew.
    pub stale_while_revalidate: u32,
    /// Seconds for which it is then a fallback.
    pub stale_if_error: u32,
    /// Names by which it is purged.
    pub surrogate_keys: Vec<String>,
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// Its content.
    #[serde(with = "crate::record::bytes")]
    pub content: Vec<u8>,
    /// How long ago it was made.
    pub age: Duration,
    /// Whether it is fresh.
    pub is_fresh: bool,
}

/// Why the cache did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheError {
    /// The key is empty, too long, or has too many parts.
    KeyInvalid,
    /// A surrogate key is none, or there are too many.
    SurrogateKeyInvalid,
    /// The content is too large.
    TooLarge,
    /// The cache does not take it.
    Refused,
    /// Another caller did not end in time.
    WaitedTooLong,
    /// The URL is none, or not of this site.
    Forbidden,
    /// There is no cache for this call.
    Unavailable,
}

/// What a caller finds.
pub enum CacheFound {
    /// A fresh entry.
    Hit(CacheEntry),
    /// A stale one that may be given out.
    Stale(CacheEntry),
    /// This caller is to make it.
    Lead(CacheLead),
}

/// The caller that makes an entry.
pub struct CacheLead {
    /// Its duty; dropping it cancels.
    pub obligation: Box<dyn CacheObligation>,
    /// The stale entry.
    pub stale: Option<CacheEntry>,
    /// Whether it may be given out at once.
    pub may_serve_stale: bool,
}

/// The duty to say what became of an entry that others wait for.
pub trait CacheObligation: Send {
    /// Stores the entry.
    fn insert(
        self: Box<Self>,
        content: Vec<u8>,
        options: CacheOptions,
    ) -> CacheFuture<Result<(), CacheError>>;
}

/// What is purged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CachePurge {
    /// The function's entries of this name.
    Name(String),
    /// All of the site that has this surrogate key.
    SurrogateKey(String),
    /// A URL of the site.
    Url(String),
}

/// The node's cache as the functions of one site see it.
pub trait FunctionCache: Send + Sync {
    /// The entry of a key, fresh or within its stale windows.
    ///
    /// # Errors
    /// It is larger than the owner takes.
    fn lookup(&self, owner: &CacheOwner, key: &CacheKey) -> Result<Option<CacheEntry>, CacheError>;

    /// Stores an entry.
    fn insert(
        &self,
        owner: &CacheOwner,
        key: &CacheKey,
        content: Vec<u8>,
        options: CacheOptions,
    ) -> CacheFuture<Result<(), CacheError>>;

    /// Finds an entry, or makes this caller the one that makes it.
    fn transact(
        &self,
        owner: &CacheOwner,
        key: &CacheKey,
        wait: Duration,
    ) -> CacheFuture<Result<CacheFound, CacheError>>;

    /// Purges.
    ///
    /// # Errors
    /// It is not valid, or not of this site.
    fn purge(&self, owner: &CacheOwner, what: &CachePurge, soft: bool) -> Result<(), CacheError>;
}
