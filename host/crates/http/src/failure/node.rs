//! What can go wrong inside this node, and how it protects itself.

use http::StatusCode;

use crate::proxy_status::ProxyError;

/// What went wrong in this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeFault {
    /// This server made a mistake.
    Internal,
    /// This server is configured wrongly for this request.
    ConfigurationInvalid,
    /// This server has as many connections as it can take.
    ConnectionsExhausted,
    /// This server has as many requests as it can take.
    RequestsExhausted,
    /// The response that this request waited for was abandoned.
    FillAbandoned,
    /// The client read too slowly to follow the response.
    ReaderTooSlow,
    /// This server is stopping.
    Draining,
}

impl NodeFault {
    /// Every fault, for tables and tests.
    pub const ALL: [Self; 7] = [
        Self::Internal,
        Self::ConfigurationInvalid,
        Self::ConnectionsExhausted,
        Self::RequestsExhausted,
        Self::FillAbandoned,
        Self::ReaderTooSlow,
        Self::Draining,
    ];

    /// The status of the generated answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Internal | Self::ConfigurationInvalid => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ConnectionsExhausted
            | Self::RequestsExhausted
            | Self::ReaderTooSlow
            | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::FillAbandoned => StatusCode::BAD_GATEWAY,
        }
    }

    /// The `Proxy-Status` error type (RFC 9209 2.3), if one fits.
    #[must_use]
    pub const fn proxy_error(self) -> Option<ProxyError> {
        match self {
            Self::Internal | Self::FillAbandoned => Some(ProxyError::ProxyInternalError),
            Self::ConfigurationInvalid => Some(ProxyError::ProxyConfigurationError),
            Self::ConnectionsExhausted
            | Self::RequestsExhausted
            | Self::ReaderTooSlow
            | Self::Draining => Some(ProxyError::ProxyInternalResponse),
        }
    }

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::ConfigurationInvalid => "configuration-invalid",
            Self::ConnectionsExhausted => "connections-exhausted",
            Self::RequestsExhausted => "requests-exhausted",
            Self::FillAbandoned => "fill-abandoned",
            Self::ReaderTooSlow => "reader-too-slow",
            Self::Draining => "draining",
        }
    }

    /// One clause that says what was wrong.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Internal => "this server made a mistake",
            Self::ConfigurationInvalid => "this server is configured wrongly for this request",
            Self::ConnectionsExhausted => "this server has as many connections as it can take",
            Self::RequestsExhausted => "this server has as many requests as it can take",
            Self::FillAbandoned => "the response that this request waited for was abandoned",
            Self::ReaderTooSlow => "the client read too slowly to follow the response",
            Self::Draining => "this server is stopping",
        }
    }
}
