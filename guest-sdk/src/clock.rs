//! The time, as the host gives it; a native test sets it with
//! [`testing::Host::at`](crate::testing::Host::at).

use std::time::{Duration, SystemTime};

use crate::backend::imp;

/// The current time of the wall clock.
#[must_use]
pub fn now() -> SystemTime {
    imp::now()
}

/// Whole seconds since 1970, as tokens and cookies count them.
#[must_use]
pub fn unix_seconds() -> u64 {
    let since = now().duration_since(SystemTime::UNIX_EPOCH);
    since.as_ref().map_or(0, Duration::as_secs)
}
