//! Hostile: calls itself until there is no stack.

use verge_sdk::{Request, Verdict};

#[verge_sdk::viewer_request]
fn recurse(_request: &mut Request) -> Verdict {
    if deeper(1) == 0 {
        return Verdict::Next;
    }
    Verdict::Next
}

/// Not a loop: what comes back is used.
#[expect(
    unconditional_recursion,
    reason = "to recurse without end is all that it is for"
)]
fn deeper(depth: u64) -> u64 {
    std::hint::black_box(depth) ^ deeper(std::hint::black_box(depth.wrapping_add(1)))
}
