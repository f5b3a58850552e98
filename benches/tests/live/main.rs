//! Whether the bytes that are really allocated keep within the limit of the
//! cache: an allocator that counts live bytes, and the most there ever were at
//! any moment, under every mix that could make the ledger's count wrong.
//! A process of its own, in which nothing else allocates.

#![allow(
    clippy::print_stdout,
    reason = "the figures are for whoever reads them"
)]
#![allow(clippy::unwrap_used, reason = "a test")]

mod arriving;
mod kit;
mod sizes;
mod tables;

use kit::{MIB, Scenario, measure};

#[global_allocator]
static ALLOCATOR: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

#[test]
fn live_bytes_stay_within_the_limit_at_every_moment() {
    let scenarios: Vec<Scenario> = [sizes::all(), arriving::all(), tables::all()].concat();
    let only = std::env::var("LIVE_ONLY").unwrap_or_default();
    let limit = std::env::var("LIVE_MIB").map_or(64, |limit| limit.parse().unwrap()) * MIB;
    let mut failed = Vec::new();
    for scenario in scenarios.iter().filter(|s| s.name.contains(&only)) {
        if let Err(what) = measure(scenario, limit) {
            failed.push(format!("{}: {what}", scenario.name));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
