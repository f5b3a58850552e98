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
mod tests {
    use super::*;
    use http::Response;

    fn accept(
        status: u16,
        method: &Method,
        fields: &[(&'static str, &'static str)],
    ) -> Result<(Persistence, HeaderMap), OriginFault> {
        let mut builder = Response::builder().status(status);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        let (mut parts, ()) = builder.body(()).expect("a valid head").into_parts();
        accept_response(&mut parts, method).map(|persistence| (persistence, parts.headers))
    }

    #[test]
    fn ambiguous_responses_are_refused() {
        use OriginFault::{ResponseMalformed, ResponseTransferCodingUnknown, UpgradeFailed};
        type Table = [(u16, &'static [(&'static str, &'static str)], OriginFault); 8];
        let table: Table = [
            (
                200,
                &[("content-length", "5"), ("transfer-encoding", "chunked")],
                ResponseMalformed,
            ),
            (
                200,
                &[("content-length", "5"), ("content-length", "6")],
                ResponseMalformed,
            ),
            (
                200,
                &[("content-length", "5"), ("content-length", "5")],
                ResponseMalformed,
            ),
            (200, &[("content-length", "+5")], ResponseMalformed),
            (
                200,
                &[("transfer-encoding", "gzip, chunked")],
                ResponseTransferCodingUnknown,
            ),
            (
                200,
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                ResponseTransferCodingUnknown,
            ),
            (
                200,
                &[("transfer-encoding", "identity")],
                ResponseTransferCodingUnknown,
            ),
            (101, &[("upgrade", "websocket")], UpgradeFailed),
        ];
        for (status, fields, expected) in table {
            let refused = accept(status, &Method::GET, fields).expect_err("it is ambiguous");
            assert_eq!(refused, expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn only_delimited_responses_leave_the_connection_usable() {
        use Persistence::{Closing, Reusable};
        type Table = [(
            u16,
            Method,
            &'static [(&'static str, &'static str)],
            Persistence,
        ); 9];
        let table: Table = [
            (200, Method::GET, &[("content-length", "5")], Reusable),
            (
                200,
                Method::GET,
                &[("transfer-encoding", "Chunked")],
                Reusable,
            ),
            (200, Method::GET, &[], Closing),
            (
                200,
                Method::GET,
                &[("content-length", "5"), ("connection", "close")],
                Closing,
            ),
            (200, Method::HEAD, &[], Reusable),
            (304, Method::GET, &[("content-length", "5")], Reusable),
            (204, Method::GET, &[], Reusable),
            (204, Method::GET, &[("content-length", "5")], Closing),
            (
                204,
                Method::GET,
                &[("transfer-encoding", "chunked")],
                Closing,
            ),
        ];
        for (status, method, fields, expected) in table {
            let (persistence, _) = accept(status, &method, fields).expect("it is valid");
            assert_eq!(persistence, expected, "{status} {method} {fields:?}");
        }
    }

    #[test]
    fn connection_specific_fields_end_here() {
        let (_, fields) = accept(
            200,
            &Method::GET,
            &[
                ("connection", "x-inner"),
                ("x-inner", "1"),
                ("keep-alive", "timeout=5"),
                ("content-length", "5"),
                ("x-outer", "2"),
            ],
        )
        .expect("it is valid");
        let mut names: Vec<_> = fields.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "x-outer"]);
    }

    #[test]
    fn requests_are_written_in_origin_form() {
        let table = [
            ("http://app.example/a?b=c", "/a?b=c"),
            ("http://app.example", "/"),
            ("/a", "/a"),
            ("*", "*"),
        ];
        for (uri, expected) in table {
            let uri: Uri = uri.parse().expect("a valid URI");
            assert_eq!(origin_form(&uri).expect("it has a form"), expected);
        }
    }

    #[test]
    fn request_fields_are_those_of_this_hop() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-inner, te"),
            ("x-inner", "1"),
            ("te", "trailers, deflate"),
            ("content-length", "7"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ] {
            fields.append(name, HeaderValue::from_static(value));
        }
        let host = HeaderValue::from_static("app.example");
        prepare_request_fields(&mut fields, host, RequestFraming::Chunked, false)
            .expect("nothing forbidden is nominated");
        let mut lines: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
            .collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "accept: */*",
                "connection: te",
                "host: app.example",
                "te: trailers",
                "transfer-encoding: chunked",
            ]
        );
    }

    #[test]
    fn the_body_decides_its_framing_before_the_field_does() {
        let mut declared = HeaderMap::new();
        declared.insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        let none = HeaderMap::new();
        use RequestFraming::{Chunked, Length, None as Nothing};
        let table = [
            (true, Some(0), Method::GET, &declared, Nothing),
            (true, Some(0), Method::POST, &none, Length(0)),
            (false, Some(4), Method::PUT, &declared, Length(4)),
            (false, None, Method::PUT, &declared, Length(9)),
            (false, None, Method::GET, &none, Chunked),
        ];
        for (empty, exact, method, fields, expected) in table {
            assert_eq!(
                decide_request_framing(empty, exact, &method, fields),
                Ok(expected)
            );
        }
    }

    #[test]
    fn the_configured_authority_wins_over_the_requests() {
        let uri: Uri = "http://user@site.example:81/".parse().expect("a valid URI");
        let configured = host_value("app.example:8080");
        let fields = HeaderMap::new();
        assert_eq!(
            select_host(configured.as_ref(), &uri, &fields).expect("configured"),
            "app.example:8080"
        );
        assert_eq!(
            select_host(None, &uri, &fields).expect("from the target"),
            "site.example:81"
        );
        assert!(select_host(None, &Uri::from_static("/"), &fields).is_err());
        assert!(host_value("a@b").is_none() && host_value("").is_none());
    }
}
