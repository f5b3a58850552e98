//! Hostile: logs without end, by the log and by stdout in turn.

use verge_sdk::{Request, Verdict, log};

#[verge_sdk::viewer_request]
#[expect(
    clippy::print_stdout,
    reason = "what a guest prints is bounded by the same limit"
)]
fn flood(request: &mut Request) -> Verdict {
    let line = "flood ".repeat(100);
    while request.method() == verge_sdk::http::Method::GET {
        log::error!("{line}");
        println!("{line}");
    }
    Verdict::Next
}
