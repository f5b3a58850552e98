//! Answers that stand in the configuration.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use verge_http::failure::NodeFault;
use verge_http::{Body, Failure};

use super::super::answer::Answer;
use super::super::head::TrustedHead;

/// A route's redirect (RFC 9110 15.4).
pub(super) fn redirect(
    head: &TrustedHead,
    status: StatusCode,
    to: &str,
    keep_path: bool,
) -> Result<Answer, Failure> {
    let location = if keep_path {
        HeaderValue::try_from(join(to.trim_end_matches('/'), head.path_and_query.as_str()))
    } else {
        HeaderValue::from_str(to)
    };
    let location = location.map_err(|_| NodeFault::ConfigurationInvalid)?;
    let mut fields = HeaderMap::with_capacity(6);
    fields.insert(LOCATION, location);
    Ok(Answer::generated(status, fields, Body::Empty))
}

/// `path` behind `base`, on the host of `base`: what starts with two slashes would be another
/// host (RFC 3986 4.2), and browsers take a backslash for a slash.
fn join(base: &str, path: &str) -> String {
    if base.is_empty() {
        format!("/{}", path.trim_start_matches(['/', '\\']))
    } else {
        format!("{base}{path}")
    }
}

/// A route's fixed answer.
pub(super) fn answer(status: StatusCode, content_type: &HeaderValue, body: &Bytes) -> Answer {
    let mut fields = HeaderMap::with_capacity(6);
    fields.insert(CONTENT_TYPE, content_type.clone());
    Answer::generated(status, fields, Body::from(body.clone()))
}
