//! Hostile: panics with a message on stderr, or executes `unreachable` when the query says so.

use verge_sdk::{Request, Verdict};

#[verge_sdk::viewer_request]
#[expect(clippy::panic, reason = "trapping is all that it is for")]
fn trap(request: &mut Request) -> Verdict {
    if request.query() == Some("unreachable") {
        unreachable();
    }
    panic!("this function always panics");
}

fn unreachable() {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}
