//! The content of an admin request: bounded in bytes and in time.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::StatusCode;
use axum::response::Response;
use tokio::time::timeout;

use super::routes::refusal;

/// How long content may take to arrive.
const CONTENT_TIME: Duration = Duration::from_secs(10);

/// All of `body`, if it has at most `most` bytes; else the answer that says so.
pub(super) async fn read(body: Body, most: usize) -> Result<Bytes, Response> {
    match timeout(CONTENT_TIME, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request has too much content, or it broke off",
            &format!("at most {most} bytes"),
        )),
        Err(_) => Err(refusal(
            StatusCode::REQUEST_TIMEOUT,
            "the content did not arrive in time",
            &format!("all of it within {} seconds", CONTENT_TIME.as_secs()),
        )),
    }
}
