//! How a call ended, what it cost, and what is said about a failure.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use verge_http::failure::FunctionFault;

use crate::Digest;

/// The point in the request path where a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// For each request, before the cache is asked.
    ViewerRequest,
    /// For each request that goes to an origin.
    OriginRequest,
    /// For each response of an origin, before it is stored.
    OriginResponse,
    /// For each response, before it is sent to the client.
    ViewerResponse,
    /// As the target of a route: a `wasi:http` component answers instead of an origin.
    Handler,
    /// In front of the cache: a `wasi:http` middleware around everything behind viewer-request.
    ViewerMiddleware,
    /// Behind the cache: a `wasi:http` middleware around the exchange with an origin.
    OriginMiddleware,
    /// After the response, for what a function left.
    Deferred,
}

impl Trigger {
    /// Every trigger, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::ViewerRequest,
        Self::OriginRequest,
        Self::OriginResponse,
        Self::ViewerResponse,
        Self::Handler,
        Self::ViewerMiddleware,
        Self::OriginMiddleware,
        Self::Deferred,
    ];

    /// Whether it belongs to a fill, whose response may be stored.
    #[must_use]
    pub const fn is_of_origin(self) -> bool {
        match self {
            Self::OriginRequest | Self::OriginResponse => true,
            // A middleware is as the origin that it stands in front of: what it looks at is not
            // seen, and what its answer depends on is for its Vary to say.
            Self::ViewerRequest
            | Self::ViewerResponse
            | Self::Handler
            | Self::ViewerMiddleware
            | Self::OriginMiddleware
            | Self::Deferred => false,
        }
    }

    /// The word for metrics, the access log and the configuration.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ViewerRequest => "viewer-request",
            Self::OriginRequest => "origin-request",
            Self::OriginResponse => "origin-response",
            Self::ViewerResponse => "viewer-response",
            Self::Handler => "handler",
            Self::ViewerMiddleware => "viewer-middleware",
            Self::OriginMiddleware => "origin-middleware",
            Self::Deferred => "deferred",
        }
    }
}

/// How an instance came to this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartClass {
    /// Instantiated for it, on its path.
    Fresh,
    /// Instantiated ahead of need.
    Prepared,
    /// It had served another request before.
    Reused,
}

impl StartClass {
    /// Every class, for tables and tests.
    pub const ALL: [Self; 3] = [Self::Fresh, Self::Prepared, Self::Reused];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Prepared => "prepared",
            Self::Reused => "reused",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The function answered.
    Responded,
    /// The function let the message go on.
    Continued,
    /// The function trapped, or exited.
    Trapped,
    /// It passed its deadline.
    DeadlineExceeded,
    /// It used up its CPU budget.
    CpuExceeded,
    /// It trapped after it was refused memory.
    MemoryExceeded,
    /// It made more hostcalls than its limit.
    HostcallsExceeded,
    /// It ended without a response.
    NoResponse,
    /// Its response is not valid HTTP, or not complete.
    ResponseInvalid,
    /// It returned an error.
    Refused,
    /// There was no free instance slot; it did not run.
    InstancesExhausted,
    /// It is quarantined; it did not run.
    Quarantined,
    /// The caller went away before it ended.
    Abandoned,
}

impl Outcome {
    /// Every outcome, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Responded,
        Self::Continued,
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
        Self::Abandoned,
    ];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Responded => "responded",
            Self::Continued => "continued",
            Self::Trapped => "trapped",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::CpuExceeded => "cpu-exceeded",
            Self::MemoryExceeded => "memory-exceeded",
            Self::HostcallsExceeded => "hostcalls-exceeded",
            Self::NoResponse => "no-response",
            Self::ResponseInvalid => "response-invalid",
            Self::Refused => "refused",
            Self::InstancesExhausted => "instances-exhausted",
            Self::Quarantined => "quarantined",
            Self::Abandoned => "abandoned",
        }
    }

    /// The fault, when the call failed.
    #[must_use]
    pub const fn fault(self) -> Option<FunctionFault> {
        match self {
            Self::Responded | Self::Continued | Self::Abandoned => None,
            Self::Trapped => Some(FunctionFault::Trapped),
            Self::DeadlineExceeded => Some(FunctionFault::DeadlineExceeded),
            Self::CpuExceeded => Some(FunctionFault::CpuExceeded),
            Self::MemoryExceeded => Some(FunctionFault::MemoryExceeded),
            Self::HostcallsExceeded => Some(FunctionFault::HostcallsExceeded),
            Self::NoResponse => Some(FunctionFault::NoResponse),
            Self::ResponseInvalid => Some(FunctionFault::ResponseInvalid),
            Self::Refused => Some(FunctionFault::Refused),
            Self::InstancesExhausted => Some(FunctionFault::InstancesExhausted),
            Self::Quarantined => Some(FunctionFault::Quarantined),
        }
    }
}

impl From<FunctionFault> for Outcome {
    fn from(fault: FunctionFault) -> Self {
        match fault {
            FunctionFault::Trapped => Self::Trapped,
            FunctionFault::DeadlineExceeded => Self::DeadlineExceeded,
            FunctionFault::CpuExceeded => Self::CpuExceeded,
            FunctionFault::MemoryExceeded => Self::MemoryExceeded,
            FunctionFault::HostcallsExceeded => Self::HostcallsExceeded,
            FunctionFault::NoResponse => Self::NoResponse,
            FunctionFault::ResponseInvalid => Self::ResponseInvalid,
            FunctionFault::Refused => Self::Refused,
            FunctionFault::InstancesExhausted => Self::InstancesExhausted,
            FunctionFault::Quarantined => Self::Quarantined,
        }
    }
}

/// What one call of a function cost.
#[derive(Clone, Debug)]
pub struct CallReceipt {
    /// The function's name in the configuration.
    pub function: Arc<str>,
    /// The digest of its component.
    pub digest: Digest,
    /// The trigger it ran for.
    pub trigger: Trigger,
    /// How the instance came to this request.
    pub start: StartClass,
    /// Time from the start of the call until the instance could be called; zero when none was made.
    pub instantiate: Duration,
    /// CPU time of the thread while it ran the guest, its start and the host's work in its
    /// hostcalls included; without waits, other guests, and time for which the thread was kept
    /// off its core. Stretches of less than 100 us count by the wall clock.
    pub cpu: Duration,
    /// Time from the start to the end of the call.
    pub wall: Duration,
    /// Of that, waits for content to arrive and to be read: the time of peers.
    pub waited: Duration,
    /// Whether content that it was given broke off or was more than it takes: what became of the
    /// call then is not only its doing.
    pub was_given_less: bool,
    /// Whether it passed its deadline only because peers, whose content it read or who are behind
    /// it, took longer than `peer_wait`.
    pub was_kept_waiting: bool,
    /// Calls into the host.
    pub hostcalls: u32,
    /// Requests that it sent, refused ones included.
    pub fetches: u32,
    /// How long it waited for the heads of their responses, all requests together.
    pub fetch_time: Duration,
    /// The most bytes of linear memory it had.
    pub memory_peak: u64,
    /// Lines of log that were dropped because of the log limit.
    pub log_dropped: u32,
    /// How it ended; for a response that is still being written, [`Outcome::Responded`] or
    /// [`Outcome::Continued`].
    pub outcome: Outcome,
}

/// Why a call failed. The fault is for the client's answer and the counters, the detail for the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {detail}", .fault.explanation())]
pub struct CallFailure {
    /// What happened.
    pub fault: FunctionFault,
    /// The guest's error or trap with its backtrace; at most 8 KiB. May quote what the guest said,
    /// so it belongs into the node's log only.
    pub detail: String,
}

/// The end of a call that went on while its response was sent.
#[derive(Clone, Debug)]
pub struct CallEnd {
    /// What the whole call cost.
    pub receipt: CallReceipt,
    /// Why it failed, if it did.
    pub failure: Option<CallFailure>,
}

/// Where the end of a call appears whose response is still being written: once its body has
/// ended or was dropped, and the guest has ended too.
#[derive(Clone, Default)]
pub struct PendingEnd(Arc<Mutex<Option<CallEnd>>>);

impl PendingEnd {
    /// The end, or `None` while the guest runs.
    #[must_use]
    pub fn get(&self) -> Option<CallEnd> {
        self.0.lock().clone()
    }

    pub(crate) fn set(&self, end: CallEnd) {
        *self.0.lock() = Some(end);
    }
}

impl fmt::Debug for PendingEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PendingEnd").finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_and_faults_name_the_same_things() {
        for fault in FunctionFault::ALL {
            let outcome = Outcome::from(fault);
            assert_eq!(outcome.fault(), Some(fault));
            assert_eq!(format!("function-{}", outcome.label()), fault.label());
        }
    }
}
