//! What can go wrong with an origin and on the way to it; the names are those
//! of RFC 9209 2.3.

use http::StatusCode;

use crate::proxy_status::ProxyError;

/// How far the exchange with an origin had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// No byte of the request was written.
    Unsent,
    /// Some or all of the request was written, and no response head had arrived.
    Sent,
    /// The response had begun.
    Responding,
}

/// What went wrong with an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OriginFault {
    /// The origin's name was not resolved in time.
    DnsTimeout,
    /// The origin's name could not be resolved.
    DnsError,
    /// No address of the origin is available.
    DestinationUnavailable,
    /// There is no route to the origin.
    DestinationUnroutable,
    /// The origin refused the connection.
    ConnectionRefused,
    /// The origin closed the connection before its response.
    ConnectionTerminated,
    /// The connection to the origin was not made in time.
    ConnectionTimeout,
    /// The origin fell silent.
    ConnectionReadTimeout,
    /// The origin did not take the request body in time.
    ConnectionWriteTimeout,
    /// All connections to the origin are busy and its queue is full.
    ConnectionLimitReached,
    /// The TLS handshake with the origin failed.
    TlsProtocolError,
    /// The origin's certificate is not valid for its name.
    TlsCertificateError,
    /// The origin ended the TLS connection with an alert.
    TlsAlertReceived,
    /// The origin's response ended early.
    ResponseIncomplete,
    /// The origin's response head is too large.
    ResponseHeadTooLarge,
    /// The origin's response body is too large.
    ResponseTooLarge,
    /// The origin's response was not complete in time.
    ResponseTimeout,
    /// The origin used an unknown transfer coding.
    ResponseTransferCodingUnknown,
    /// The origin's response is not valid HTTP.
    ResponseMalformed,
    /// The origin switched protocols without being asked, or did not switch.
    UpgradeFailed,
}

impl OriginFault {
    /// Every fault, for tables and tests.
    pub const ALL: [Self; 20] = [
        Self::DnsTimeout,
        Self::DnsError,
        Self::DestinationUnavailable,
        Self::DestinationUnroutable,
        Self::ConnectionRefused,
        Self::ConnectionTerminated,
        Self::ConnectionTimeout,
        Self::ConnectionReadTimeout,
        Self::ConnectionWriteTimeout,
        Self::ConnectionLimitReached,
        Self::TlsProtocolError,
        Self::TlsCertificateError,
        Self::TlsAlertReceived,
        Self::ResponseIncomplete,
        Self::ResponseHeadTooLarge,
        Self::ResponseTooLarge,
        Self::ResponseTimeout,
        Self::ResponseTransferCodingUnknown,
        Self::ResponseMalformed,
        Self::UpgradeFailed,
    ];

    /// The status of the generated answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::DnsTimeout
            | Self::ConnectionTimeout
            | Self::ConnectionReadTimeout
            | Self::ConnectionWriteTimeout
            | Self::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::DnsError
            | Self::DestinationUnroutable
            | Self::ConnectionRefused
            | Self::ConnectionTerminated
            | Self::TlsProtocolError
            | Self::TlsCertificateError
            | Self::TlsAlertReceived
            | Self::ResponseIncomplete
            | Self::ResponseHeadTooLarge
            | Self::ResponseTooLarge
            | Self::ResponseTransferCodingUnknown
            | Self::ResponseMalformed
            | Self::UpgradeFailed => StatusCode::BAD_GATEWAY,
            Self::DestinationUnavailable | Self::ConnectionLimitReached => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The `Proxy-Status` error type (RFC 9209 2.3).
    #[must_use]
    pub const fn proxy_error(self) -> ProxyError {
        match self {
            Self::DnsTimeout => ProxyError::DnsTimeout,
            Self::DnsError => ProxyError::DnsError,
            Self::DestinationUnavailable => ProxyError::DestinationUnavailable,
            Self::DestinationUnroutable => ProxyError::DestinationIpUnroutable,
            Self::ConnectionRefused => ProxyError::ConnectionRefused,
            Self::ConnectionTerminated => ProxyError::ConnectionTerminated,
            Self::ConnectionTimeout => ProxyError::ConnectionTimeout,
            Self::ConnectionReadTimeout => ProxyError::ConnectionReadTimeout,
            Self::ConnectionWriteTimeout => ProxyError::ConnectionWriteTimeout,
            Self::ConnectionLimitReached => ProxyError::ConnectionLimitReached,
            Self::TlsProtocolError => ProxyError::TlsProtocolError,
            Self::TlsCertificateError => ProxyError::TlsCertificateError,
            Self::TlsAlertReceived => ProxyError::TlsAlertReceived,
            Self::ResponseIncomplete => ProxyError::HttpResponseIncomplete,
            Self::ResponseHeadTooLarge => ProxyError::HttpResponseHeaderSectionSize,
            Self::ResponseTooLarge => ProxyError::HttpResponseBodySize,
            Self::ResponseTimeout => ProxyError::HttpResponseTimeout,
            Self::ResponseTransferCodingUnknown => ProxyError::HttpResponseTransferCoding,
            Self::ResponseMalformed => ProxyError::HttpProtocolError,
            Self::UpgradeFailed => ProxyError::HttpUpgradeFailed,
        }
    }

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::DnsTimeout => "dns-timeout",
            Self::DnsError => "dns-error",
            Self::DestinationUnavailable => "destination-unavailable",
            Self::DestinationUnroutable => "destination-unroutable",
            Self::ConnectionRefused => "connection-refused",
            Self::ConnectionTerminated => "connection-terminated",
            Self::ConnectionTimeout => "connection-timeout",
            Self::ConnectionReadTimeout => "connection-read-timeout",
            Self::ConnectionWriteTimeout => "connection-write-timeout",
            Self::ConnectionLimitReached => "connection-limit-reached",
            Self::TlsProtocolError => "tls-protocol-error",
            Self::TlsCertificateError => "tls-certificate-error",
            Self::TlsAlertReceived => "tls-alert-received",
            Self::ResponseIncomplete => "response-incomplete",
            Self::ResponseHeadTooLarge => "response-head-too-large",
            Self::ResponseTooLarge => "response-too-large",
            Self::ResponseTimeout => "response-timeout",
            Self::ResponseTransferCodingUnknown => "response-transfer-coding-unknown",
            Self::ResponseMalformed => "response-malformed",
            Self::UpgradeFailed => "upgrade-failed",
        }
    }

    /// One clause that says what was wrong.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::DnsTimeout => "the origin's name was not resolved in time",
            Self::DnsError => "the origin's name could not be resolved",
            Self::DestinationUnavailable => "no address of the origin is available",
            Self::DestinationUnroutable => "there is no route to the origin",
            Self::ConnectionRefused => "the origin refused the connection",
            Self::ConnectionTerminated => "the origin closed the connection before its response",
            Self::ConnectionTimeout => "the connection to the origin was not made in time",
            Self::ConnectionReadTimeout => "the origin fell silent",
            Self::ConnectionWriteTimeout => "the origin did not take the request body in time",
            Self::ConnectionLimitReached => {
                "all connections to the origin are busy and its queue is full"
            }
            Self::TlsProtocolError => "the TLS handshake with the origin failed",
            Self::TlsCertificateError => "the origin's certificate is not valid for its name",
            Self::TlsAlertReceived => "the origin ended the TLS connection with an alert",
            Self::ResponseIncomplete => "the origin's response ended early",
            Self::ResponseHeadTooLarge => "the origin's response head is too large",
            Self::ResponseTooLarge => "the origin's response body is too large",
            Self::ResponseTimeout => "the origin's response was not complete in time",
            Self::ResponseTransferCodingUnknown => "the origin used an unknown transfer coding",
            Self::ResponseMalformed => "the origin's response is not valid HTTP",
            Self::UpgradeFailed => {
                "the origin switched protocols without being asked, or did not switch"
            }
        }
    }
}
