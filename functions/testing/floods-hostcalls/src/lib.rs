//! Hostile: calls the host again and again, and computes nothing in between.

use verge_sdk::{Request, Verdict};

#[verge_sdk::viewer_request]
fn flood(request: &mut Request) -> Verdict {
    while !request.id().is_empty() {}
    Verdict::Next
}
