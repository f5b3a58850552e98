//! The content of an admin request: bounded in bytes and in time.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::StatusCode;
use axum::response::Response;
use tokio::time::timeout;

use super::routes::refusal;

/// How long content may take to arrive.
const CONTENT_TIME: Duration = Duration::from_secs(10);

/// How long a component may take to arrive.
const COMPONENT_TIME: Duration = Duration::from_secs(60);

/// All of `body`, if it has at most `most` bytes; else the answer that says so.
pub(super) async fn read(body: Body, most: usize) -> Result<Bytes, Response> {
    read_within(body, most, CONTENT_TIME).await
}

/// The same for a component.
pub(super) async fn read_component(body: Body, most: usize) -> Result<Bytes, Response> {
    read_within(body, most, COMPONENT_TIME).await
}

async fn read_within(body: Body, most: usize, time: Duration) -> Result<Bytes, Response> {
    match timeout(time, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request has too much content, or it broke off",
            &format!("at most {most} bytes"),
        )),
        Err(_) => Err(refusal(
            StatusCode::REQUEST_TIMEOUT,
            "the content did not arrive in time",
            &format!("all of it within {} seconds", time.as_secs()),
        )),
    }
}
