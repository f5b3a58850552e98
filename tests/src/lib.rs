//! The fixture kit of Verge's tests: a node on port 0, origins that do as they
//! are told, clients that speak HTTP/1.1, HTTP/2, TLS and raw bytes.
//!
//! Nothing here sleeps or reaches beyond loopback. What a test waits for, it
//! waits for by an event or by [`eventually`].

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

pub mod certificates;
pub mod client;
pub mod foretold;
pub mod frames;
pub mod guests;
pub mod log;
pub mod mmdb;
pub mod node;
pub mod origin;
pub mod process;
pub mod redis;
pub mod registry;
pub mod soak;
pub mod streams;
pub mod wire;

use std::time::{Duration, Instant};

pub use client::{Client, Reply};
pub use node::TestNode;
pub use origin::{Origin, Recorded};
pub use wire::Wire;

/// How long anything may take before a test gives up: far above what it takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `condition` until it holds, or panics with `what` after [`PATIENCE`].
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    assert!(becomes(condition).await, "waited in vain for: {what}");
}

/// Asks `condition` until it holds; false if it did not within [`PATIENCE`].
pub async fn becomes(mut condition: impl AsyncFnMut() -> bool) -> bool {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if condition().await {
            return true;
        }
        if Instant::now() >= give_up {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
