//! Says in every trigger which version it is: a field of the request to the origin
//! (`x-viewer-request`, `x-origin-request`), of what is stored (`x-origin-response`) and of what is
//! sent (`x-viewer-response`).
//!
//! Tests write another version over [`MARK`] in the built component. Words behind it: `traps` traps
//! in viewer-request where the query is `bad`, `slow` computes for a while there.

use std::hint::black_box;

use verge_sdk::{Error, Request, Response, Verdict};

/// What tests write over: a head that is found, the version, and padding.
static MARK: [u8; 64] = *b"tells-version:one;..............................................";

/// Steps that a slow version computes: some tens of milliseconds.
const STEPS: u32 = 60_000_000;

/// The version, and the words behind it.
fn mark() -> (String, String) {
    // Read at run time: what the compiler knew of the text would not be what is there.
    let text = String::from_utf8_lossy(black_box(&MARK)).into_owned();
    let text = text.trim_start_matches("tells-version:");
    let text = text.split(';').next().unwrap_or_default();
    let (version, words) = text.split_once(' ').unwrap_or((text, ""));
    (version.to_owned(), words.to_owned())
}

#[verge_sdk::viewer_request]
fn asked(request: &mut Request) -> Result<Verdict, Error> {
    let (version, words) = mark();
    if words == "traps" && request.query() == Some("bad") {
        black_box(Vec::<u8>::new())
            .first()
            .expect("this version was made to trap");
    }
    if words == "slow" {
        for step in 0..STEPS {
            black_box(step);
        }
    }
    let edit = request.edit().set("x-viewer-request", version);
    edit.apply()?;
    // What differs between versions is no part of the key: the node keeps them apart.
    request.declare_unkeyed("x-viewer-request")?;
    Ok(Verdict::Next)
}

#[verge_sdk::origin_request]
fn there(request: &mut Request) -> Result<Verdict, Error> {
    request.edit().set("x-origin-request", mark().0).apply()?;
    Ok(Verdict::Next)
}

#[verge_sdk::origin_response]
fn back(_request: &Request, response: &mut Response) -> Result<(), Error> {
    Ok(response.edit().set("x-origin-response", mark().0).apply()?)
}

#[verge_sdk::viewer_response]
fn out(_request: &Request, response: &mut Response) -> Result<(), Error> {
    Ok(response.edit().set("x-viewer-response", mark().0).apply()?)
}
