//! Work after the response in tests.

use super::Host;
use crate::backend::native::with;

impl Host {
    /// What was left for after the response of this request, in order. The test calls the
    /// function's `deferred` with it.
    #[must_use]
    pub fn deferred(&self) -> Vec<Vec<u8>> {
        with(|state| state.left.0.clone())
    }
}
