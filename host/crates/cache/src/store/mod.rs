//! Where stored responses are kept.
//!
//! A store finds and keeps; it decides neither what may be stored nor what may
//! be reused. Bytes are counted by the ledger, through reservations that the
//! responses themselves hold: a store only chooses who has to go.

mod evictions;
mod memory;
mod shelf;
mod variants;

use std::sync::Arc;

use http::HeaderMap;

pub use evictions::SiteEvictions;
pub use memory::{MemorySettings, MemoryStore};
pub use variants::{VARIANTS_MAX, VariantHint};

use crate::key::Key;
use crate::response::StoredResponse;

/// What a store has for a request.
#[derive(Clone, Debug)]
pub enum Selection {
    /// The stored response that the request selects (RFC 9111 4.1), fresh or not.
    Selected(Arc<StoredResponse>),
    /// There are responses for the URI, and none for this request's fields.
    VaryMiss,
    /// There is nothing for the URI.
    UriMiss,
}

/// What a store holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Keys under which anything is stored.
    pub entries: u64,
    /// Bytes of the responses stored, by what they cost.
    pub bytes: u64,
    /// Keys that had to go for others since the start.
    pub evictions: u64,
}

/// Where a walk through a store stands; a new one begins at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCursor {
    /// The store's own count of places.
    pub(crate) place: usize,
    is_at_end: bool,
}

impl StoreCursor {
    /// There is nothing more.
    pub(crate) fn end(&mut self) {
        self.is_at_end = true;
    }

    /// Whether all has been walked through.
    #[must_use]
    pub fn is_at_end(self) -> bool {
        self.is_at_end
    }
}

/// Where stored responses are kept.
pub trait Store: Send + Sync + 'static {
    /// What `key` and the request's fields select.
    fn select(&self, key: &Key, request: &HeaderMap) -> Selection;

    /// The same as [`Store::select`], as if nobody had asked: what is used often
    /// is not judged by it.
    fn peek(&self, key: &Key, request: &HeaderMap) -> Selection;

    /// All that is stored under `key`, the most recent first, as if nobody had asked.
    fn variants(&self, key: &Key) -> Vec<Arc<StoredResponse>>;

    /// The variant of `key` that `request` would select, judged by what is
    /// stored under the key.
    fn hint(&self, key: &Key, request: &HeaderMap) -> VariantHint;

    /// Stores `response`, in place of what the same requests select, if
    /// `is_allowed` still says so once the key is locked for others.
    fn insert(
        &self,
        key: &Key,
        response: &Arc<StoredResponse>,
        is_allowed: &dyn Fn() -> bool,
    ) -> bool;

    /// Removes one response, if it is still there.
    fn remove_response(&self, key: &Key, response: &Arc<StoredResponse>);

    /// Removes all that is stored under `key`.
    fn remove(&self, key: &Key);

    /// Drops stored responses so that about `bytes` bytes come free. They come
    /// free when the last reader is done.
    fn make_room(&self, bytes: u64);

    /// The next stored responses behind `cursor`, at least `most` where there
    /// are as many, and moves the cursor; no use. What is put in, or moved,
    /// meanwhile may be left out.
    fn walk(&self, cursor: &mut StoreCursor, most: usize) -> Vec<(Key, Arc<StoredResponse>)>;

    /// What had to go for others since the start, by site.
    fn evictions(&self) -> Vec<SiteEvictions>;

    /// What it holds now.
    fn usage(&self) -> StoreUsage;
}
