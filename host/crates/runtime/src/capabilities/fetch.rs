//! Requests that functions send. What a request may reach is the node's to
//! decide ([`Fetch`]); how many a call may send, and how much content they may
//! carry, is counted here in `call/fetches.rs`.

use std::pin::Pin;

use verge_http::{Body, Failure};

/// Sends the requests of one call. [`Scope::fetch`](crate::Scope::fetch) makes one for each call
/// that sends any.
pub trait Fetch: Send + Sync {
    /// Sends a request, whose URI has scheme and authority, and returns its response when the head
    /// has arrived. Dropping the future, or the response's content before its end, ends the
    /// exchange.
    fn send(&self, request: http::Request<Body>) -> FetchFuture;
}

/// A response to come.
pub type FetchFuture =
    Pin<Box<dyn Future<Output = Result<http::Response<Body>, FetchError>> + Send>>;

/// Why a function got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Nothing that the request could be for was granted.
    #[error("the request is for no origin that the function was granted")]
    Denied,
    /// The call has sent as many requests as it may.
    #[error("the call has sent as many requests as it may")]
    TooMany,
    /// As many responses are under way as a call may have at once.
    #[error("as many requests are under way as the call may have at once")]
    TooManyAtOnce,
    /// The request would run one function inside another more deeply than allowed.
    #[error("functions fetch from one another too deeply")]
    TooDeep,
    /// The call has sent and received as much content as it may.
    #[error("the call has sent and received as much content as it may")]
    TooLarge,
    /// There was no response in the time that the function gave.
    #[error("there was no response in the time that the function gave")]
    TimedOut,
    /// The request is not valid.
    #[error("the request is not valid")]
    Invalid,
    /// It was sent, or should have been, and failed.
    #[error("{0}")]
    Failed(Failure),
}

/// How a request of a function ended, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchOutcome {
    /// A response came.
    Answered,
    /// There was none.
    Failed,
    /// See [`FetchError::Denied`].
    Denied,
    /// See [`FetchError::TooMany`].
    TooMany,
    /// See [`FetchError::TooManyAtOnce`].
    TooManyAtOnce,
    /// See [`FetchError::TooDeep`].
    TooDeep,
    /// See [`FetchError::TooLarge`].
    TooLarge,
    /// The function, or its caller, did not wait for the response.
    Abandoned,
}

impl FetchOutcome {
    /// Every outcome, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Answered,
        Self::Failed,
        Self::Denied,
        Self::TooMany,
        Self::TooManyAtOnce,
        Self::TooDeep,
        Self::TooLarge,
        Self::Abandoned,
    ];

    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::TooMany => "too-many",
            Self::TooManyAtOnce => "too-many-at-once",
            Self::TooDeep => "too-deep",
            Self::TooLarge => "too-large",
            Self::Abandoned => "abandoned",
        }
    }
}

impl From<FetchError> for FetchOutcome {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Denied => Self::Denied,
            FetchError::TooMany => Self::TooMany,
            FetchError::TooManyAtOnce => Self::TooManyAtOnce,
            FetchError::TooDeep => Self::TooDeep,
            FetchError::TooLarge => Self::TooLarge,
            FetchError::TimedOut | FetchError::Invalid | FetchError::Failed(_) => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = FetchOutcome::ALL
            .iter()
            .map(|outcome| outcome.label())
            .collect();
        assert_eq!(words.len(), FetchOutcome::ALL.len());
    }
}
