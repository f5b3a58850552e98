//! Whether a request that failed is sent again (RFC 9110 9.2.2, RFC 9112 9.3.1).
//!
//! Pure: facts in, a named decision out.

use http::Method;
use verge_http::Failure;
use verge_http::failure::{OriginFault, Retry};

/// What remains of the request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyState {
    /// There is none, or all of it is at hand: it can be sent any number of times.
    Replayable,
    /// It streams, and nothing of it was taken yet.
    Untouched,
    /// Some of it is gone.
    Consumed,
}

/// What is known about an attempt that failed.
#[derive(Clone, Copy, Debug)]
pub struct RetryFacts<'request> {
    /// How it failed.
    pub failure: Failure,
    /// The request's method.
    pub method: &'request Method,
    /// Its connection had served another request before.
    pub reused: bool,
    /// What remains of the body.
    pub body: BodyState,
    /// There is an address that was not tried yet.
    pub other_address: bool,
    /// How often the request was sent again already.
    pub retries: u32,
    /// How often it may be.
    pub retries_max: u32,
}

/// Whether to send a request again, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// The connection had been closed before any byte was sent.
    RetryUnsent,
    /// No connection could be made; there is another address.
    RetryElsewhere,
    /// The request is idempotent, and the reused connection closed without an answer.
    RetryReused,
    /// No: sending it again would not help, or could do harm.
    StopFinal,
    /// No: the method is not idempotent, and the origin may have acted on it.
    StopNotIdempotent,
    /// No: the connection was new, so it is the origin that fails.
    StopFreshConnection,
    /// No: part of the body is gone.
    StopBodyConsumed,
    /// No: it was retried often enough.
    StopExhausted,
}

impl RetryDecision {
    /// Whether the request is sent again.
    #[must_use]
    pub const fn is_retry(self) -> bool {
        match self {
            Self::RetryUnsent | Self::RetryElsewhere | Self::RetryReused => true,
            Self::StopFinal
            | Self::StopNotIdempotent
            | Self::StopFreshConnection
            | Self::StopBodyConsumed
            | Self::StopExhausted => false,
        }
    }

    /// The word for metrics and the log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::RetryUnsent => "unsent",
            Self::RetryElsewhere => "elsewhere",
            Self::RetryReused => "reused",
            Self::StopFinal => "final",
            Self::StopNotIdempotent => "not-idempotent",
            Self::StopFreshConnection => "fresh-connection",
            Self::StopBodyConsumed => "body-consumed",
            Self::StopExhausted => "exhausted",
        }
    }
}

/// Decides whether a failed request is sent again.
#[must_use]
pub fn decide_retry(facts: &RetryFacts<'_>) -> RetryDecision {
    let Failure::Origin { fault, .. } = facts.failure else {
        return RetryDecision::StopFinal;
    };
    let wanted = match facts.failure.retry() {
        Retry::Never => return RetryDecision::StopFinal,
        Retry::Safe => decide_unsent(fault, facts),
        Retry::IfIdempotent => decide_sent(fault, facts),
    };
    if !wanted.is_retry() {
        return wanted;
    }
    if facts.body == BodyState::Consumed {
        return RetryDecision::StopBodyConsumed;
    }
    if facts.retries >= facts.retries_max {
        return RetryDecision::StopExhausted;
    }
    wanted
}

fn decide_unsent(fault: OriginFault, facts: &RetryFacts<'_>) -> RetryDecision {
    match fault {
        // Our own queue or the name itself: the next attempt meets the same.
        OriginFault::ConnectionLimitReached
        | OriginFault::DnsError
        | OriginFault::DnsTimeout
        | OriginFault::ResponseTimeout => RetryDecision::StopFinal,
        _ if facts.reused => RetryDecision::RetryUnsent,
        _ if facts.other_address => RetryDecision::RetryElsewhere,
        _ => RetryDecision::StopFreshConnection,
    }
}

fn decide_sent(fault: OriginFault, facts: &RetryFacts<'_>) -> RetryDecision {
    // After a timeout the origin is busy with the request: a second one adds to
    // its load. Only a connection that closed says that nobody works on it.
    if fault != OriginFault::ConnectionTerminated {
        return RetryDecision::StopFinal;
    }
    if !facts.method.is_idempotent() {
        return RetryDecision::StopNotIdempotent;
    }
    if !facts.reused {
        return RetryDecision::StopFreshConnection;
    }
    RetryDecision::RetryReused
}

#[cfg(test)]
mod tests {
    use super::*;
    use verge_http::failure::ClientFault;

    const TERMINATED: OriginFault = OriginFault::ConnectionTerminated;

    fn facts(failure: Failure, method: &Method) -> RetryFacts<'_> {
        RetryFacts {
            failure,
            method,
            reused: true,
            body: BodyState::Replayable,
            other_address: false,
            retries: 0,
            retries_max: 1,
        }
    }

    #[test]
    fn an_unsent_request_is_sent_again_whatever_its_method() {
        for method in [Method::GET, Method::POST, Method::PATCH] {
            let facts = facts(Failure::unsent(TERMINATED), &method);
            assert_eq!(decide_retry(&facts), RetryDecision::RetryUnsent);
        }
    }

    #[test]
    fn a_sent_request_is_sent_again_only_if_idempotent_and_on_a_reused_connection() {
        let table = [
            (Method::GET, true, RetryDecision::RetryReused),
            (Method::PUT, true, RetryDecision::RetryReused),
            (Method::DELETE, true, RetryDecision::RetryReused),
            (Method::POST, true, RetryDecision::StopNotIdempotent),
            (Method::PATCH, true, RetryDecision::StopNotIdempotent),
            (Method::GET, false, RetryDecision::StopFreshConnection),
        ];
        for (method, reused, expected) in table {
            let facts = RetryFacts {
                reused,
                ..facts(Failure::sent(TERMINATED), &method)
            };
            assert_eq!(decide_retry(&facts), expected, "{method} reused={reused}");
        }
    }

    #[test]
    fn a_consumed_body_is_never_sent_again() {
        for failure in [Failure::unsent(TERMINATED), Failure::sent(TERMINATED)] {
            let facts = RetryFacts {
                body: BodyState::Consumed,
                ..facts(failure, &Method::PUT)
            };
            assert_eq!(decide_retry(&facts), RetryDecision::StopBodyConsumed);
        }
    }

    #[test]
    fn a_failed_connection_is_tried_again_only_at_another_address() {
        let failure = Failure::unsent(OriginFault::ConnectionRefused);
        for (other_address, expected) in [
            (true, RetryDecision::RetryElsewhere),
            (false, RetryDecision::StopFreshConnection),
        ] {
            let facts = RetryFacts {
                reused: false,
                other_address,
                ..facts(failure, &Method::POST)
            };
            assert_eq!(decide_retry(&facts), expected);
        }
    }

    #[test]
    fn what_a_second_attempt_cannot_change_is_final() {
        let failures = [
            Failure::unsent(OriginFault::ConnectionLimitReached),
            Failure::unsent(OriginFault::DnsError),
            Failure::sent(OriginFault::ConnectionReadTimeout),
            Failure::responding(OriginFault::ResponseIncomplete),
            Failure::from(ClientFault::Aborted),
        ];
        for failure in failures {
            let decision = decide_retry(&facts(failure, &Method::GET));
            assert_eq!(decision, RetryDecision::StopFinal, "{failure:?}");
        }
    }

    #[test]
    fn retries_end() {
        let facts = RetryFacts {
            retries: 1,
            ..facts(Failure::unsent(TERMINATED), &Method::GET)
        };
        assert_eq!(decide_retry(&facts), RetryDecision::StopExhausted);
    }
}
