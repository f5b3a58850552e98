//! What happens to connections, by name: the variants are the labels of the
//! node's counters.

use std::time::Duration;

use verge_http::failure::ClientFault;

use super::facts::Protocol;

/// Something that happened to a connection and is worth counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// A connection was accepted and got its permits.
    Accepted,
    /// The operating system refused to hand over a connection.
    AcceptFailed,
    /// A TLS handshake was completed.
    HandshakeCompleted {
        /// Whether an earlier session was resumed.
        resumed: bool,
        /// From the accepted connection to the end of the handshake.
        elapsed: Duration,
    },
    /// A TLS handshake failed, other than by its time limit.
    HandshakeFailed,
    /// A client ran into a limit.
    LimitHit(Limit),
    /// The handler panicked; only that request was harmed.
    HandlerPanicked,
    /// The HTTP library refused a request that the head scanner had passed.
    /// It answered 400, 414 or 431 by itself, or closed.
    RejectedByLibrary,
    /// An accepted connection came to its end.
    Closed {
        /// The protocol that was spoken.
        protocol: Protocol,
        /// Why it ended.
        reason: CloseReason,
        /// Requests that were handed to the handler.
        requests: u64,
    },
}

/// A limit of the listener; each has a setting of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Connections in all.
    Connections,
    /// Connections of one client.
    ConnectionsPerClient,
    /// Time for the TLS handshake.
    HandshakeTime,
    /// Time for a request head.
    HeadTime,
    /// Bytes of a request target, a request head or its fields' count.
    HeadSize,
    /// Time without a request.
    IdleTime,
    /// Rate at which a request body must arrive.
    ReceiveFloor,
    /// Rate at which a response must be taken.
    SendFloor,
    /// Bytes or time of an unwanted request body.
    UnreadBody,
    /// Requests on one connection.
    RequestsPerConnection,
    /// Interim responses of one exchange, or their bytes.
    InterimResponses,
    /// HTTP/2 streams that the client reset.
    Http2Resets,
    /// HTTP/2 streams that the client made the node reset.
    Http2ProvokedResets,
    /// HTTP/2 SETTINGS, PING, PRIORITY and unknown frames.
    Http2ControlFrames,
    /// HTTP/2 WINDOW_UPDATE frames.
    Http2WindowUpdates,
    /// HTTP/2 DATA frames that carry nothing.
    Http2EmptyData,
    /// HTTP/2 CONTINUATION frames of one field section.
    Http2Continuations,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed it between requests.
    Client,
    /// The client closed or broke it within a request.
    Aborted,
    /// The TLS handshake failed, other than by its time limit.
    HandshakeFailed,
    /// The node had said in its last response that it would close.
    Answered,
    /// The client broke the protocol.
    Violation(ClientFault),
    /// A limit was hit.
    Limit(Limit),
    /// A response broke off in the middle, and closing is how the client learns of it.
    ResponseFailed,
    /// An HTTP/2 connection error; the error code that was sent (RFC 9113 7).
    Http2Error(u32),
    /// The node drained.
    Drained,
    /// The node's drain deadline passed with the connection in use.
    Cut,
    /// The HTTP library refused what the client sent.
    RejectedByLibrary,
}

impl Limit {
    /// Every limit, for tables and tests.
    pub const ALL: [Self; 17] = [
        Self::Connections,
        Self::ConnectionsPerClient,
        Self::HandshakeTime,
        Self::HeadTime,
        Self::HeadSize,
        Self::IdleTime,
        Self::ReceiveFloor,
        Self::SendFloor,
        Self::UnreadBody,
        Self::RequestsPerConnection,
        Self::InterimResponses,
        Self::Http2Resets,
        Self::Http2ProvokedResets,
        Self::Http2ControlFrames,
        Self::Http2WindowUpdates,
        Self::Http2EmptyData,
        Self::Http2Continuations,
    ];

    /// The word for metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerClient => "connections-per-client",
            Self::HandshakeTime => "handshake-time",
            Self::HeadTime => "head-time",
            Self::HeadSize => "head-size",
            Self::IdleTime => "idle-time",
            Self::ReceiveFloor => "receive-floor",
            Self::SendFloor => "send-floor",
            Self::UnreadBody => "unread-body",
            Self::RequestsPerConnection => "requests-per-connection",
            Self::InterimResponses => "interim-responses",
            Self::Http2Resets => "h2-resets",
            Self::Http2ProvokedResets => "h2-provoked-resets",
            Self::Http2ControlFrames => "h2-control-frames",
            Self::Http2WindowUpdates => "h2-window-updates",
            Self::Http2EmptyData => "h2-empty-data",
            Self::Http2Continuations => "h2-continuations",
        }
    }
}

impl CloseReason {
    /// The word for metrics and logs. All violations share one; the answer
    /// that was made for them names the fault.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Aborted => "aborted",
            Self::HandshakeFailed => "handshake-failed",
            Self::Answered => "answered",
            Self::Violation(_) => "violation",
            Self::Limit(limit) => limit.label(),
            Self::ResponseFailed => "response-failed",
            Self::Http2Error(_) => "h2-error",
            Self::Drained => "drained",
            Self::Cut => "cut",
            Self::RejectedByLibrary => "rejected-by-library",
        }
    }
}

/// The limit that `fault` means was hit, if it is about one.
pub(super) const fn limit_of(fault: ClientFault) -> Option<Limit> {
    match fault {
        ClientFault::TargetTooLong | ClientFault::HeadTooLarge | ClientFault::FieldsTooMany => {
            Some(Limit::HeadSize)
        }
        ClientFault::HeadTimeout => Some(Limit::HeadTime),
        ClientFault::BodyTooSlow => Some(Limit::ReceiveFloor),
        _ => None,
    }
}
