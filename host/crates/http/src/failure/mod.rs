//! The one type for everything that can go wrong with a request, and its one
//! mapping to the wire.
//!
//! Crates keep precise errors of their own and convert to [`Failure`] at their
//! edge. Every map here is exhaustive: a new variant does not compile until it
//! has a status, a label and an explanation.

mod client;
mod function;
mod node;
mod origin;

use http::StatusCode;

pub use client::ClientFault;
pub use function::FunctionFault;
pub use node::NodeFault;
pub use origin::{OriginFault, Progress};

use crate::proxy_status::ProxyError;

/// Why a request could not be answered as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The request itself, or the client's behaviour, is at fault.
    #[error("{}", .0.explanation())]
    Client(ClientFault),
    /// The origin is at fault, or the way to it.
    #[error("{}", .fault.explanation())]
    Origin {
        /// What happened.
        fault: OriginFault,
        /// How far the exchange with the origin had come.
        progress: Progress,
    },
    /// The same, where a stored response would have answered if it did not forbid that it is
    /// used without the origin's word (RFC 9111 5.2.2.2).
    #[error("{}, and what is stored must be validated", .0.explanation())]
    Unvalidated(OriginFault),
    /// A function is at fault.
    #[error("{}", .0.explanation())]
    Function(FunctionFault),
    /// This node is at fault, or it protects itself.
    #[error("{}", .0.explanation())]
    Node(NodeFault),
}

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Client,
    /// The origin, or the network on the way to it.
    Origin,
    /// A function.
    Function,
    /// This node.
    Node,
}

/// Whether sending the same request again can do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing of the request reached the origin: any request may be sent again.
    Safe,
    /// The origin may have acted on it: only an idempotent request may be sent
    /// again (RFC 9110 9.2.2).
    IfIdempotent,
    /// Sending it again would not help, or the response has begun.
    Never,
}

impl Failure {
    /// A failure on the way to the origin, before any byte of the request was sent.
    #[must_use]
    pub const fn unsent(fault: OriginFault) -> Self {
        Self::Origin {
            fault,
            progress: Progress::Unsent,
        }
    }

    /// A failure after some of the request was sent and before the response began.
    #[must_use]
    pub const fn sent(fault: OriginFault) -> Self {
        Self::Origin {
            fault,
            progress: Progress::Sent,
        }
    }

    /// A failure in the middle of the origin's response.
    #[must_use]
    pub const fn responding(fault: OriginFault) -> Self {
        Self::Origin {
            fault,
            progress: Progress::Responding,
        }
    }

    /// Who is at fault.
    #[must_use]
    pub const fn side(self) -> Side {
        match self {
            Self::Client(_) => Side::Client,
            Self::Origin { .. } | Self::Unvalidated(_) => Side::Origin,
            Self::Function(_) => Side::Function,
            Self::Node(_) => Side::Node,
        }
    }

    /// Whether the same request may be sent to an origin again.
    #[must_use]
    pub const fn retry(self) -> Retry {
        match self {
            Self::Origin { progress, .. } => match progress {
                Progress::Unsent => Retry::Safe,
                Progress::Sent => Retry::IfIdempotent,
                Progress::Responding => Retry::Never,
            },
            Self::Client(_) | Self::Unvalidated(_) | Self::Function(_) | Self::Node(_) => {
                Retry::Never
            }
        }
    }

    /// The status of the generated answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Client(fault) => fault.status(),
            Self::Origin { fault, .. } => fault.status(),
            Self::Unvalidated(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Function(fault) => fault.status(),
            Self::Node(fault) => fault.status(),
        }
    }

    /// The error type for the `Proxy-Status` field (RFC 9209 2.3), if it has one.
    #[must_use]
    pub const fn proxy_error(self) -> Option<ProxyError> {
        match self {
            Self::Client(fault) => fault.proxy_error(),
            Self::Origin { fault, .. } | Self::Unvalidated(fault) => Some(fault.proxy_error()),
            Self::Function(fault) => Some(fault.proxy_error()),
            Self::Node(fault) => fault.proxy_error(),
        }
    }

    /// What `Proxy-Status` says beside the error type (RFC 9209 2.1.5).
    #[must_use]
    pub const fn proxy_details(self) -> Option<&'static str> {
        match self {
            Self::Unvalidated(_) => Some("what is stored must be validated"),
            Self::Client(_) | Self::Origin { .. } | Self::Function(_) | Self::Node(_) => None,
        }
    }

    /// The word for metrics and the access log; unique to each variant.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client(fault) => fault.label(),
            Self::Origin { fault, .. } => fault.label(),
            Self::Unvalidated(_) => "unvalidated",
            Self::Function(fault) => fault.label(),
            Self::Node(fault) => fault.label(),
        }
    }

    /// What a client is told: what was wrong with its request, or, for a 5xx,
    /// nothing about the inside of this node.
    #[must_use]
    pub const fn public_explanation(self) -> &'static str {
        match self {
            Self::Client(fault) => fault.explanation(),
            Self::Origin { .. } => "the origin could not answer",
            Self::Unvalidated(_) => {
                "the origin could not answer, and what is stored must be validated"
            }
            Self::Function(_) => "a function of this site failed",
            Self::Node(fault) => fault.explanation(),
        }
    }
}

impl From<ClientFault> for Failure {
    fn from(fault: ClientFault) -> Self {
        Self::Client(fault)
    }
}

impl From<FunctionFault> for Failure {
    fn from(fault: FunctionFault) -> Self {
        Self::Function(fault)
    }
}

impl From<NodeFault> for Failure {
    fn from(fault: NodeFault) -> Self {
        Self::Node(fault)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn all() -> Vec<Failure> {
        let mut all: Vec<Failure> = Vec::new();
        all.extend(ClientFault::ALL.map(Failure::Client));
        all.extend(OriginFault::ALL.map(Failure::sent));
        all.push(Failure::Unvalidated(OriginFault::ConnectionRefused));
        all.extend(FunctionFault::ALL.map(Failure::Function));
        all.extend(NodeFault::ALL.map(Failure::Node));
        all
    }

    #[test]
    fn labels_are_unique_words() {
        let mut seen = HashSet::new();
        for failure in all() {
            let label = failure.label();
            assert!(seen.insert(label), "{label} stands twice");
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
        }
    }

    #[test]
    fn client_faults_are_4xx_except_where_a_section_says_otherwise() {
        for failure in all() {
            let status = failure.status();
            match failure.side() {
                Side::Client => assert!(
                    status.is_client_error() || matches!(status.as_u16(), 501 | 502 | 504 | 505),
                    "{failure:?} is {status}"
                ),
                Side::Origin | Side::Function | Side::Node => {
                    assert!(status.is_server_error(), "{failure:?} is {status}");
                }
            }
        }
    }

    #[test]
    fn only_an_unsent_request_is_safe_to_repeat() {
        let fault = OriginFault::ConnectionTerminated;
        assert_eq!(Failure::unsent(fault).retry(), Retry::Safe);
        assert_eq!(Failure::sent(fault).retry(), Retry::IfIdempotent);
        assert_eq!(Failure::responding(fault).retry(), Retry::Never);
        assert_eq!(Failure::Node(NodeFault::Internal).retry(), Retry::Never);
    }

    #[test]
    fn what_must_be_validated_and_cannot_is_504_with_the_reason_rfc_9111_5_2_2_2() {
        for fault in OriginFault::ALL {
            let failure = Failure::Unvalidated(fault);
            assert_eq!(failure.status(), StatusCode::GATEWAY_TIMEOUT);
            assert_eq!(failure.proxy_error(), Some(fault.proxy_error()));
            assert!(failure.proxy_details().is_some());
        }
    }

    #[test]
    fn answers_about_inner_failures_name_no_inner_part() {
        let public = Failure::Function(FunctionFault::MemoryExceeded).public_explanation();
        assert!(!public.contains("memory"));
    }
}
