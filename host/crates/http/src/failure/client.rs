//! What a client can do wrong. The explanations are shown to it: each says
//! what was wrong with the request.

use http::StatusCode;

use crate::proxy_status::ProxyError;

/// What was wrong with the request, or with how the client sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientFault {
    /// The request line is not `method target HTTP/1.x`.
    RequestLineInvalid,
    /// The request target is not valid.
    TargetInvalid,
    /// The Host field or :authority is not a valid host and port.
    AuthorityInvalid,
    /// The request names no host.
    AuthorityMissing,
    /// The request names its host more than once, or in two ways that differ.
    AuthorityConflicting,
    /// A field is not `name: value` with valid characters.
    FieldInvalid,
    /// A line ends in something other than CR LF.
    LineEndingInvalid,
    /// A field value is folded over several lines.
    FieldFolded,
    /// Content-Length and Transfer-Encoding stand side by side.
    FramingConflicting,
    /// Content-Length is not one number.
    ContentLengthInvalid,
    /// Transfer-Encoding is repeated, misplaced, or does not end in chunked.
    TransferEncodingInvalid,
    /// The transfer coding is not chunked.
    TransferCodingUnknown,
    /// The chunked coding of the body is broken.
    ChunkInvalid,
    /// A connection-specific field stands in an HTTP/2 request.
    ConnectionFieldForbidden,
    /// Connection names a field that must reach its end.
    ConnectionNominationForbidden,
    /// The protocol version is not supported.
    VersionUnsupported,
    /// The method is not supported by this proxy.
    MethodUnsupported,
    /// The expectation is not 100-continue.
    ExpectationUnknown,
    /// The request target is too long.
    TargetTooLong,
    /// The request head is too large.
    HeadTooLarge,
    /// The request has too many fields.
    FieldsTooMany,
    /// The request body is larger than allowed.
    ContentTooLarge,
    /// The request head did not arrive in time.
    HeadTimeout,
    /// The request body arrived too slowly.
    BodyTooSlow,
    /// The request body ended early.
    BodyIncomplete,
    /// The request has passed through this proxy before.
    LoopDetected,
    /// This server does not serve that host.
    SiteUnknown,
    /// Nothing is served at this path.
    RouteUnknown,
    /// Only-if-cached was asked for and nothing suitable is stored.
    OnlyIfCachedMissed,
    /// The client went away before the response was complete.
    Aborted,
}

impl ClientFault {
    /// Every fault, for tables and tests.
    pub const ALL: [Self; 30] = [
        Self::RequestLineInvalid,
        Self::TargetInvalid,
        Self::AuthorityInvalid,
        Self::AuthorityMissing,
        Self::AuthorityConflicting,
        Self::FieldInvalid,
        Self::LineEndingInvalid,
        Self::FieldFolded,
        Self::FramingConflicting,
        Self::ContentLengthInvalid,
        Self::TransferEncodingInvalid,
        Self::TransferCodingUnknown,
        Self::ChunkInvalid,
        Self::ConnectionFieldForbidden,
        Self::ConnectionNominationForbidden,
        Self::VersionUnsupported,
        Self::MethodUnsupported,
        Self::ExpectationUnknown,
        Self::TargetTooLong,
        Self::HeadTooLarge,
        Self::FieldsTooMany,
        Self::ContentTooLarge,
        Self::HeadTimeout,
        Self::BodyTooSlow,
        Self::BodyIncomplete,
        Self::LoopDetected,
        Self::SiteUnknown,
        Self::RouteUnknown,
        Self::OnlyIfCachedMissed,
        Self::Aborted,
    ];

    /// The status of the generated answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::RequestLineInvalid
            | Self::TargetInvalid
            | Self::AuthorityInvalid
            | Self::AuthorityMissing
            | Self::AuthorityConflicting
            | Self::FieldInvalid
            | Self::LineEndingInvalid
            | Self::FieldFolded
            | Self::FramingConflicting
            | Self::ContentLengthInvalid
            | Self::TransferEncodingInvalid
            | Self::ChunkInvalid
            | Self::ConnectionFieldForbidden
            | Self::ConnectionNominationForbidden
            | Self::BodyIncomplete
            | Self::Aborted => StatusCode::BAD_REQUEST,
            Self::TransferCodingUnknown | Self::MethodUnsupported => StatusCode::NOT_IMPLEMENTED,
            Self::VersionUnsupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::ExpectationUnknown => StatusCode::EXPECTATION_FAILED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge | Self::FieldsTooMany => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTimeout | Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::LoopDetected => StatusCode::BAD_GATEWAY,
            Self::SiteUnknown => StatusCode::MISDIRECTED_REQUEST,
            Self::RouteUnknown => StatusCode::NOT_FOUND,
            Self::OnlyIfCachedMissed => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The `Proxy-Status` error type (RFC 9209 2.3), if one fits.
    #[must_use]
    pub const fn proxy_error(self) -> Option<ProxyError> {
        match self {
            Self::RequestLineInvalid
            | Self::TargetInvalid
            | Self::AuthorityInvalid
            | Self::AuthorityMissing
            | Self::AuthorityConflicting
            | Self::FieldInvalid
            | Self::LineEndingInvalid
            | Self::FieldFolded
            | Self::FramingConflicting
            | Self::ContentLengthInvalid
            | Self::TransferEncodingInvalid
            | Self::TransferCodingUnknown
            | Self::ChunkInvalid
            | Self::ConnectionFieldForbidden
            | Self::ConnectionNominationForbidden
            | Self::VersionUnsupported
            | Self::MethodUnsupported
            | Self::ExpectationUnknown
            | Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::FieldsTooMany
            | Self::ContentTooLarge => Some(ProxyError::HttpRequestError),
            Self::HeadTimeout
            | Self::BodyTooSlow
            | Self::BodyIncomplete
            | Self::SiteUnknown
            | Self::RouteUnknown
            | Self::OnlyIfCachedMissed
            | Self::Aborted => None,
            Self::LoopDetected => Some(ProxyError::ProxyLoopDetected),
        }
    }

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RequestLineInvalid => "request-line-invalid",
            Self::TargetInvalid => "target-invalid",
            Self::AuthorityInvalid => "authority-invalid",
            Self::AuthorityMissing => "authority-missing",
            Self::AuthorityConflicting => "authority-conflicting",
            Self::FieldInvalid => "field-invalid",
            Self::LineEndingInvalid => "line-ending-invalid",
            Self::FieldFolded => "field-folded",
            Self::FramingConflicting => "framing-conflicting",
            Self::ContentLengthInvalid => "content-length-invalid",
            Self::TransferEncodingInvalid => "transfer-encoding-invalid",
            Self::TransferCodingUnknown => "transfer-coding-unknown",
            Self::ChunkInvalid => "chunk-invalid",
            Self::ConnectionFieldForbidden => "connection-field-forbidden",
            Self::ConnectionNominationForbidden => "connection-nomination-forbidden",
            Self::VersionUnsupported => "version-unsupported",
            Self::MethodUnsupported => "method-unsupported",
            Self::ExpectationUnknown => "expectation-unknown",
            Self::TargetTooLong => "target-too-long",
            Self::HeadTooLarge => "head-too-large",
            Self::FieldsTooMany => "fields-too-many",
            Self::ContentTooLarge => "content-too-large",
            Self::HeadTimeout => "head-timeout",
            Self::BodyTooSlow => "body-too-slow",
            Self::BodyIncomplete => "body-incomplete",
            Self::LoopDetected => "loop-detected",
            Self::SiteUnknown => "site-unknown",
            Self::RouteUnknown => "route-unknown",
            Self::OnlyIfCachedMissed => "only-if-cached-missed",
            Self::Aborted => "aborted",
        }
    }

    /// One clause that says what was wrong.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::RequestLineInvalid => "the request line is not `method target HTTP/1.x`",
            Self::TargetInvalid => "the request target is not valid",
            Self::AuthorityInvalid => "the Host field or :authority is not a valid host and port",
            Self::AuthorityMissing => "the request names no host",
            Self::AuthorityConflicting => {
                "the request names its host more than once, or in two ways that differ"
            }
            Self::FieldInvalid => "a field is not `name: value` with valid characters",
            Self::LineEndingInvalid => "a line ends in something other than CR LF",
            Self::FieldFolded => "a field value is folded over several lines",
            Self::FramingConflicting => "Content-Length and Transfer-Encoding stand side by side",
            Self::ContentLengthInvalid => "Content-Length is not one number",
            Self::TransferEncodingInvalid => {
                "Transfer-Encoding is repeated, misplaced, or does not end in chunked"
            }
            Self::TransferCodingUnknown => "the transfer coding is not chunked",
            Self::ChunkInvalid => "the chunked coding of the body is broken",
            Self::ConnectionFieldForbidden => {
                "a connection-specific field stands in an HTTP/2 request"
            }
            Self::ConnectionNominationForbidden => {
                "Connection names a field that must reach its end"
            }
            Self::VersionUnsupported => "the protocol version is not supported",
            Self::MethodUnsupported => "the method is not supported by this proxy",
            Self::ExpectationUnknown => "the expectation is not 100-continue",
            Self::TargetTooLong => "the request target is too long",
            Self::HeadTooLarge => "the request head is too large",
            Self::FieldsTooMany => "the request has too many fields",
            Self::ContentTooLarge => "the request body is larger than allowed",
            Self::HeadTimeout => "the request head did not arrive in time",
            Self::BodyTooSlow => "the request body arrived too slowly",
            Self::BodyIncomplete => "the request body ended early",
            Self::LoopDetected => "the request has passed through this proxy before",
            Self::SiteUnknown => "this server does not serve that host",
            Self::RouteUnknown => "nothing is served at this path",
            Self::OnlyIfCachedMissed => {
                "only-if-cached was asked for and nothing suitable is stored"
            }
            Self::Aborted => "the client went away before the response was complete",
        }
    }
}
