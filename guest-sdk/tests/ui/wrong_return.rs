#![allow(unused, reason = "only the shapes matter here")]

use verge_sdk::{Error, Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn nothing(request: &mut Request) {}

#[verge_sdk::viewer_request]
fn a_number(request: &mut Request) -> u32 {
    1
}

#[verge_sdk::origin_request]
fn no_verdict(request: &mut Request) -> Result<(), Error> {
    Ok(())
}

#[verge_sdk::viewer_response]
fn a_verdict(request: &Request, response: &mut Response) -> Verdict {
    Verdict::Next
}

fn main() {}
