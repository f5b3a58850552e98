#![allow(unused, reason = "only the shapes matter here")]

use verge_sdk::{Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn none() -> Verdict {
    Verdict::Next
}

#[verge_sdk::viewer_request]
fn by_value(request: Request) -> Verdict {
    Verdict::Next
}

#[verge_sdk::viewer_request]
fn another_type(request: &mut String) -> Verdict {
    Verdict::Next
}

#[verge_sdk::viewer_response]
fn only_one(response: &mut Response) {}

#[verge_sdk::origin_response]
fn changes_the_request(request: &mut Request, response: &mut Response) {}

fn main() {}
