//! `Proxy-Status` (RFC 9209).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::structured::Writer;

/// The field of RFC 9209.
static PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The proxy error types of RFC 9209 2.3 that this node can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the names of RFC 9209 2.3")]
pub enum ProxyError {
    DnsTimeout,
    DnsError,
    DestinationUnavailable,
    DestinationIpUnroutable,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectionTimeout,
    ConnectionReadTimeout,
    ConnectionWriteTimeout,
    ConnectionLimitReached,
    TlsProtocolError,
    TlsCertificateError,
    TlsAlertReceived,
    HttpRequestError,
    HttpResponseIncomplete,
    HttpResponseHeaderSectionSize,
    HttpResponseBodySize,
    HttpResponseTransferCoding,
    HttpResponseTimeout,
    HttpUpgradeFailed,
    HttpProtocolError,
    ProxyInternalResponse,
    ProxyInternalError,
    ProxyConfigurationError,
    ProxyLoopDetected,
}

impl ProxyError {
    /// Every type, for tables and tests.
    pub const ALL: [Self; 25] = [
        Self::DnsTimeout,
        Self::DnsError,
        Self::DestinationUnavailable,
        Self::DestinationIpUnroutable,
        Self::ConnectionRefused,
        Self::ConnectionTerminated,
        Self::ConnectionTimeout,
        Self::ConnectionReadTimeout,
        Self::ConnectionWriteTimeout,
        Self::ConnectionLimitReached,
        Self::TlsProtocolError,
        Self::TlsCertificateError,
        Self::TlsAlertReceived,
        Self::HttpRequestError,
        Self::HttpResponseIncomplete,
        Self::HttpResponseHeaderSectionSize,
        Self::HttpResponseBodySize,
        Self::HttpResponseTransferCoding,
        Self::HttpResponseTimeout,
        Self::HttpUpgradeFailed,
        Self::HttpProtocolError,
        Self::ProxyInternalResponse,
        Self::ProxyInternalError,
        Self::ProxyConfigurationError,
        Self::ProxyLoopDetected,
    ];

    /// The name of RFC 9209 2.3.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DnsTimeout => "dns_timeout",
            Self::DnsError => "dns_error",
            Self::DestinationUnavailable => "destination_unavailable",
            Self::DestinationIpUnroutable => "destination_ip_unroutable",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionTerminated => "connection_terminated",
            Self::ConnectionTimeout => "connection_timeout",
            Self::ConnectionReadTimeout => "connection_read_timeout",
            Self::ConnectionWriteTimeout => "connection_write_timeout",
            Self::ConnectionLimitReached => "connection_limit_reached",
            Self::TlsProtocolError => "tls_protocol_error",
            Self::TlsCertificateError => "tls_certificate_error",
            Self::TlsAlertReceived => "tls_alert_received",
            Self::HttpRequestError => "http_request_error",
            Self::HttpResponseIncomplete => "http_response_incomplete",
            Self::HttpResponseHeaderSectionSize => "http_response_header_section_size",
            Self::HttpResponseBodySize => "http_response_body_size",
            Self::HttpResponseTransferCoding => "http_response_transfer_coding",
            Self::HttpResponseTimeout => "http_response_timeout",
            Self::HttpUpgradeFailed => "http_upgrade_failed",
            Self::HttpProtocolError => "http_protocol_error",
            Self::ProxyInternalResponse => "proxy_internal_response",
            Self::ProxyInternalError => "proxy_internal_error",
            Self::ProxyConfigurationError => "proxy_configuration_error",
            Self::ProxyLoopDetected => "proxy_loop_detected",
        }
    }
}

/// Our member of Proxy-Status (RFC 9209 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyStatus<'a> {
    /// This node's name; any text.
    pub node: &'a str,
    /// What went wrong (2.1.1).
    pub error: Option<ProxyError>,
    /// The status that the origin answered with (2.1.4).
    pub received_status: Option<StatusCode>,
    /// More about it; must not tell of the inside (2.1.5).
    pub details: Option<&'a str>,
}

impl ProxyStatus<'_> {
    /// The member as a field value.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        let mut value = Writer::default();
        value.token_or_string(self.node);
        if let Some(error) = self.error {
            value.raw("; error=");
            value.raw(error.as_str());
        }
        if let Some(status) = self.received_status {
            value.raw("; received-status=");
            value.integer(i64::from(status.as_u16()));
        }
        if let Some(details) = self.details {
            value.raw("; details=");
            value.string(details);
        }
        value.finish()
    }

    /// Appends the member after those of proxies closer to the origin.
    pub fn append_to(&self, fields: &mut HeaderMap) {
        fields.append(PROXY_STATUS.clone(), self.to_value());
    }
}

/// The field value for an error.
#[must_use]
pub fn format(node: &str, error: ProxyError, details: Option<&str>) -> HeaderValue {
    ProxyStatus {
        node,
        error: Some(error),
        received_status: None,
        details,
    }
    .to_value()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_those_of_rfc_9209() {
        for (error, name) in [
            (ProxyError::DnsError, "dns_error"),
            (
                ProxyError::DestinationIpUnroutable,
                "destination_ip_unroutable",
            ),
            (
                ProxyError::HttpResponseHeaderSectionSize,
                "http_response_header_section_size",
            ),
            (ProxyError::TlsAlertReceived, "tls_alert_received"),
            (ProxyError::ProxyLoopDetected, "proxy_loop_detected"),
        ] {
            assert_eq!(error.as_str(), name);
        }
        let names: HashSet<_> = ProxyError::ALL.map(ProxyError::as_str).into();
        assert_eq!(names.len(), ProxyError::ALL.len());
    }

    #[test]
    fn members_read_as_in_rfc_9209() {
        assert_eq!(
            format("verge", ProxyError::ConnectionTimeout, None),
            "verge; error=connection_timeout"
        );
        let status = ProxyStatus {
            node: "edge 1",
            error: Some(ProxyError::HttpProtocolError),
            received_status: Some(StatusCode::OK),
            details: Some("a \"b\"\n"),
        };
        assert_eq!(
            status.to_value(),
            "\"edge 1\"; error=http_protocol_error; received-status=200; details=\"a \\\"b\\\"?\""
        );
        let mut fields = HeaderMap::new();
        fields.insert("proxy-status", HeaderValue::from_static("other"));
        status.append_to(&mut fields);
        assert_eq!(fields.get_all("proxy-status").iter().count(), 2);
    }
}
