//! What nodes share, with real Redis servers that are cut off, stopped, killed,
//! emptied and failed over, without the nodes around it: `tests/e2e/region` has
//! those.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

/// The same kit as that of the nodes' tests, which this crate cannot depend on.
#[path = "../../../../tests/src/redis.rs"]
#[allow(dead_code, reason = "the nodes' tests use the rest")]
mod redis;

mod region {
    mod kit;
    mod responses;
    mod servers;
    mod stream;
}

use std::time::{Duration, Instant};

/// Asks `condition` until it holds, or panics with `what`.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < give_up, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
