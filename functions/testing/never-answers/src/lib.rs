//! Hostile: waits for ever, on WASI's clock, without computing.

use std::time::Duration;

use verge_sdk::{Request, Verdict};

#[verge_sdk::viewer_request]
fn wait(request: &mut Request) -> Verdict {
    while request.path().starts_with('/') {
        std::thread::sleep(Duration::from_secs(3600));
    }
    Verdict::Next
}
