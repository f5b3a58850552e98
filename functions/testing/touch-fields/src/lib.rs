//! Reads fields, for measurements. The trigger says how, so that choosing costs no hostcall:
//! `viewer-request` reads twelve in one batch, `origin-request` the same twelve one by one,
//! `origin-response` sets three in one batch, `viewer-response` does nothing at all.

use verge_sdk::{EditError, Request, Response, Verdict};

const FIELDS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "cookie",
    "if-none-match",
    "origin",
    "referer",
    "user-agent",
    "x-api-key",
    "x-request-context",
];

#[verge_sdk::viewer_request]
fn batched(request: &mut Request) -> Verdict {
    let values = request.headers_many(FIELDS);
    std::hint::black_box(&values);
    Verdict::Next
}

#[verge_sdk::origin_request]
fn one_by_one(request: &mut Request) -> Verdict {
    for name in FIELDS {
        std::hint::black_box(&request.header(name));
    }
    Verdict::Next
}

#[verge_sdk::origin_response]
fn written(_request: &Request, response: &mut Response) -> Result<(), EditError> {
    let edits = response.edit().set("x-one", "1").set("x-two", "2");
    edits.remove("x-three").apply()
}

#[verge_sdk::viewer_response]
fn untouched(_request: &Request, _response: &mut Response) {}
