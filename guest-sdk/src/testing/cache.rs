//! The cache in tests.

use super::Host;
use crate::backend::native::with;

impl Host {
    /// URLs that were purged so far, in order.
    #[must_use]
    pub fn purged_urls(&self) -> Vec<String> {
        with(|state| state.cache.purged_urls.clone())
    }
}
