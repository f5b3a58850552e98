//! What can go wrong with a function. None of it is told to the client.

use http::StatusCode;

use crate::proxy_status::ProxyError;

/// What went wrong with a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FunctionFault {
    /// The function trapped.
    Trapped,
    /// The function passed its deadline.
    DeadlineExceeded,
    /// The function used up its CPU budget.
    CpuExceeded,
    /// The function asked for more memory than its limit.
    MemoryExceeded,
    /// The function made more hostcalls than its limit.
    HostcallsExceeded,
    /// The function ended without a response.
    NoResponse,
    /// The function's response is not valid HTTP.
    ResponseInvalid,
    /// The function returned an error.
    Refused,
    /// All instance slots are taken.
    InstancesExhausted,
    /// The function is quarantined after repeated failures.
    Quarantined,
}

impl FunctionFault {
    /// Every fault, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::Trapped,
        Self::DeadlineExceeded,
        Self::CpuExceeded,
        Self::MemoryExceeded,
        Self::HostcallsExceeded,
        Self::NoResponse,
        Self::ResponseInvalid,
        Self::Refused,
        Self::InstancesExhausted,
        Self::Quarantined,
    ];

    /// The status of the generated answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Trapped
            | Self::DeadlineExceeded
            | Self::CpuExceeded
            | Self::MemoryExceeded
            | Self::HostcallsExceeded
            | Self::NoResponse
            | Self::ResponseInvalid
            | Self::Refused
            | Self::Quarantined => StatusCode::INTERNAL_SERVER_ERROR,
            Self::InstancesExhausted => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The `Proxy-Status` error type (RFC 9209 2.3).
    #[must_use]
    pub const fn proxy_error(self) -> ProxyError {
        match self {
            Self::Trapped
            | Self::DeadlineExceeded
            | Self::CpuExceeded
            | Self::MemoryExceeded
            | Self::HostcallsExceeded
            | Self::NoResponse
            | Self::ResponseInvalid
            | Self::Refused
            | Self::InstancesExhausted
            | Self::Quarantined => ProxyError::ProxyInternalError,
        }
    }

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trapped => "function-trapped",
            Self::DeadlineExceeded => "function-deadline-exceeded",
            Self::CpuExceeded => "function-cpu-exceeded",
            Self::MemoryExceeded => "function-memory-exceeded",
            Self::HostcallsExceeded => "function-hostcalls-exceeded",
            Self::NoResponse => "function-no-response",
            Self::ResponseInvalid => "function-response-invalid",
            Self::Refused => "function-refused",
            Self::InstancesExhausted => "function-instances-exhausted",
            Self::Quarantined => "function-quarantined",
        }
    }

    /// One clause that says what was wrong.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Trapped => "the function trapped",
            Self::DeadlineExceeded => "the function passed its deadline",
            Self::CpuExceeded => "the function used up its CPU budget",
            Self::MemoryExceeded => "the function asked for more memory than its limit",
            Self::HostcallsExceeded => "the function made more hostcalls than its limit",
            Self::NoResponse => "the function ended without a response",
            Self::ResponseInvalid => "the function's response is not valid HTTP",
            Self::Refused => "the function returned an error",
            Self::InstancesExhausted => "all instance slots are taken",
            Self::Quarantined => "the function is quarantined after repeated failures",
        }
    }
}
