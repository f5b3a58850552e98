//! Hostile: computes for ever, without a hostcall.

use verge_sdk::{Request, Verdict};

#[verge_sdk::viewer_request]
fn spin(_request: &mut Request) -> Verdict {
    let mut turns = 0_u64;
    while std::hint::black_box(turns) != u64::MAX {
        turns = turns.wrapping_add(2);
    }
    Verdict::Next
}
