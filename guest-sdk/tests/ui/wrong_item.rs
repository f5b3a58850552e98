#![allow(unused, reason = "only the shapes matter here")]

use verge_sdk::{Request, Verdict};

#[verge_sdk::viewer_request]
struct NotAFunction;

#[verge_sdk::viewer_request(fast)]
fn with_arguments(request: &mut Request) -> Verdict {
    Verdict::Next
}

#[verge_sdk::viewer_request]
async fn waits(request: &mut Request) -> Verdict {
    Verdict::Next
}

#[verge_sdk::viewer_request]
fn generic<T>(request: &mut Request) -> Verdict {
    Verdict::Next
}

fn main() {}
