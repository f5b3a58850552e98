//! Rate counters in tests.

use std::time::Duration;

use super::Host;
use crate::backend::native::with;

impl Host {
    /// Refuses every rate-limited request, for this long. Without it the counters count, by this
    /// host's clock. Sliding counters and the penalty box go on as they are.
    pub fn rate_exhausted(self, retry_after: Duration) -> Self {
        with(|state| state.rates.exhausted_for = Some(retry_after));
        self
    }
}
