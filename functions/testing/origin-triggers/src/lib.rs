//! Works around the origin: `origin-request` marks what is sent there (and, at `/cookie`, passes
//! the client's cookie on as a field, which the key does not hold; at `/answered`, answers in the
//! origin's place), `origin-response` marks what is stored, `viewer-response` what is sent (and, at
//! `/replaced`, puts a response of its own in its place).

use verge_sdk::http::StatusCode;
use verge_sdk::{Error, Request, Response, Verdict};

#[verge_sdk::origin_request]
fn there(request: &mut Request) -> Result<Verdict, Error> {
    if request.path() == "/answered" {
        let answer = Response::new(StatusCode::OK)
            .with_header("cache-control", "max-age=60")
            .with_body("in the origin's place\n");
        return Ok(Verdict::Respond(answer));
    }
    if request.path() == "/cookie"
        && let Some(cookie) = request.header("cookie")
    {
        request.edit().set("x-cookie", cookie).apply()?;
    }
    request.edit().set("x-origin-request", "seen").apply()?;
    Ok(Verdict::Next)
}

#[verge_sdk::origin_response]
fn back(_request: &Request, response: &mut Response) -> Result<(), Error> {
    Ok(response
        .edit()
        .append("x-origin-response", "seen")
        .apply()?)
}

#[verge_sdk::viewer_response]
fn out(request: &Request, response: &mut Response) -> Result<(), Error> {
    if request.path() == "/replaced" {
        *response = Response::new(StatusCode::IM_A_TEAPOT)
            .with_header("x-replaced", "yes")
            .with_body("replaced\n");
    }
    Ok(response
        .edit()
        .append("x-viewer-response", "seen")
        .apply()?)
}
