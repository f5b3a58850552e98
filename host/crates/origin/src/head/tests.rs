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
