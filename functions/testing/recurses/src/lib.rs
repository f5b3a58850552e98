//! Hostile: calls itself until there is no stack.

use std::hint::black_box;

use verge_sdk::{Request, Verdict};

#[verge_sdk::viewer_request]
fn recurse(_request: &mut Request) -> Verdict {
    black_box(deeper(1));
    Verdict::Next
}

/// Ends only where nobody gets, and is no loop: what comes back is used.
fn deeper(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return depth;
    }
    black_box(deeper(black_box(depth.wrapping_add(1)))) ^ depth
}
