//! Heads at the border to an origin: what is written into a request, and what
//! is believed of a response.
//!
//! Pure. The HTTP library has parsed the response before, and hides or repairs
//! some of what RFC 9112 6 calls ambiguous: here it is refused.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderValue, TE, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri, Version, response};
use verge_http::Failure;
use verge_http::failure::{ClientFault, NodeFault, OriginFault};
use verge_http::fields;
use verge_http::framing;

/// How a request's content is delimited on the wire (RFC 9112 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestFraming {
    None,
    Length(u64),
    Chunked,
}

/// What a response's head says about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It may carry another request once the response was read to its end.
    Reusable,
    /// It ends with this response.
    Closing,
}

/// Whether the request asks for `100 (Continue)` before its content is sent.
pub(crate) fn expects_continue(fields: &HeaderMap) -> bool {
    fields
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The target in origin-form or, for `OPTIONS *`, asterisk-form (RFC 9112 3.2).
pub(crate) fn origin_form(uri: &Uri) -> Result<Uri, Failure> {
    let target = match uri.path_and_query() {
        Some(target) if target.as_str() == "*" || target.as_str().starts_with('/') => {
            target.clone()
        }
        // An absolute URI without a path, with or without a query.
        Some(target) => PathAndQuery::try_from(format!("/{target}"))
            .map_err(|_| Failure::Client(ClientFault::TargetInvalid))?,
        None => PathAndQuery::from_static("/"),
    };
    Ok(Uri::from(target))
}

/// The Host to write: the configured one, else the request's own.
pub(crate) fn select_host(
    configured: Option<&HeaderValue>,
    uri: &Uri,
    fields: &HeaderMap,
) -> Result<HeaderValue, Failure> {
    if let Some(configured) = configured {
        return Ok(configured.clone());
    }
    if let Some(authority) = uri.authority() {
        // Userinfo never goes on the wire (RFC 9110 4.2.4).
        let authority = authority.as_str();
        let authority = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        return HeaderValue::from_str(authority)
            .map_err(|_| Failure::Client(ClientFault::AuthorityInvalid));
    }
    fields
        .get(HOST)
        .cloned()
        .ok_or(Failure::Client(ClientFault::AuthorityMissing))
}

/// How the content is to be delimited. What the body knows of its length counts
/// more than the field; the field counts where the body does not know.
pub(crate) fn decide_request_framing(
    is_empty: bool,
    exact_len: Option<u64>,
    method: &Method,
    fields: &HeaderMap,
) -> Result<RequestFraming, Failure> {
    if is_empty {
        // RFC 9110 8.6: with methods that anticipate content, say that there is none.
        let anticipated = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        return Ok(if anticipated {
            RequestFraming::Length(0)
        } else {
            RequestFraming::None
        });
    }
    if let Some(length) = exact_len {
        return Ok(RequestFraming::Length(length));
    }
    match framing::declared_length(fields) {
        Ok(Some(length)) => Ok(RequestFraming::Length(length)),
        Ok(None) => Ok(RequestFraming::Chunked),
        Err(fault) => Err(Failure::Client(fault)),
    }
}

/// Turns a request's fields into those of this hop.
pub(crate) fn prepare_request_fields(
    fields: &mut HeaderMap,
    host: HeaderValue,
    framing: RequestFraming,
    gated: bool,
) -> Result<(), Failure> {
    let wants_trailers = fields::accepts_trailers(fields);
    fields::remove_connection_fields_of_request(fields)?;
    fields.remove(TRANSFER_ENCODING);
    fields.insert(HOST, host);
    if wants_trailers {
        // RFC 9110 10.1.4: TE concerns this connection, and says so.
        fields.insert(TE, HeaderValue::from_static("trailers"));
        fields.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    match framing {
        RequestFraming::None => {
            fields.remove(CONTENT_LENGTH);
        }
        RequestFraming::Length(length) => {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        RequestFraming::Chunked => {
            fields.remove(CONTENT_LENGTH);
            fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
    if !gated {
        // The content is at hand, or there is none: nothing to wait for.
        fields.remove(EXPECT);
    }
    Ok(())
}

/// Checks a response's head, and takes from it what concerned this connection.
pub(crate) fn accept_response(
    parts: &mut response::Parts,
    method: &Method,
) -> Result<Persistence, OriginFault> {
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        // This node asks no origin to switch (an upgraded
        // connection never returns to the pool).
        return Err(OriginFault::UpgradeFailed);
    }
    let fields = &mut parts.headers;
    let has_coding = fields.contains_key(TRANSFER_ENCODING);
    let length = framing::declared_length(fields).map_err(|_| OriginFault::ResponseMalformed)?;
    if has_coding && length.is_some() {
        // RFC 9112 6.3: perhaps response splitting; to be handled as an error.
        return Err(OriginFault::ResponseMalformed);
    }
    if has_coding && !is_chunked_alone(fields) {
        return Err(OriginFault::ResponseTransferCodingUnknown);
    }
    let no_content = parts.status == StatusCode::NO_CONTENT;
    let bodiless =
        no_content || parts.status == StatusCode::NOT_MODIFIED || *method == Method::HEAD;
    let delimited = bodiless || has_coding || length.is_some();
    // The library speaks HTTP/1.0 back on such a connection, and a request
    // without Content-Length would then lose its content.
    let modern = parts.version == Version::HTTP_11;
    // RFC 9110 8.6 and RFC 9112 6.1 forbid both fields in a 204: whoever sends
    // them may send content as well, which the next response would begin with.
    let suspicious = no_content && (has_coding || length.is_some_and(|length| length > 0));
    let persistence =
        if delimited && !suspicious && modern && framing::keeps_alive(parts.version, fields) {
            Persistence::Reusable
        } else {
            Persistence::Closing
        };
    fields::remove_connection_fields_of_response(fields);
    if no_content {
        fields.remove(CONTENT_LENGTH);
    }
    // What the library noted about the wire (the reason phrase) ends here.
    parts.extensions.clear();
    Ok(persistence)
}

fn is_chunked_alone(fields: &HeaderMap) -> bool {
    let mut values = fields.get_all(TRANSFER_ENCODING).iter();
    let first = values.next();
    values.next().is_none()
        && first.is_some_and(|value| {
            value
                .as_bytes()
                .trim_ascii()
                .eq_ignore_ascii_case(b"chunked")
        })
}

/// The configured authority as the value of a Host field; `None` if it is not
/// a host with an optional port.
pub(crate) fn host_value(authority: &str) -> Option<HeaderValue> {
    let parsed: http::uri::Authority = authority.parse().ok()?;
    if parsed.as_str().contains('@') || parsed.host().is_empty() {
        return None;
    }
    HeaderValue::from_str(parsed.as_str()).ok()
}

/// What the request is answered with whose method needs a tunnel.
pub(crate) fn check_method(method: &Method) -> Result<(), Failure> {
    if *method == Method::CONNECT {
        return Err(Failure::Client(ClientFault::MethodUnsupported));
    }
    Ok(())
}

/// For heads that this node itself built wrongly.
pub(crate) const fn internal() -> Failure {
    Failure::Node(NodeFault::Internal)
}

#[cfg(test)]
mod tests;
