//! What becomes of a request whose function failed: its policy at that place says it.

use verge_config::OnFailure;
use verge_http::Failure;
use verge_http::failure::FunctionFault;
use verge_runtime::{CallFailure, ContentChange};

use super::routed::Routed;
use crate::capabilities::log_failure;
use crate::route::FunctionUse;

/// A function failed, and the request does not go on without it.
pub(super) struct Stopped {
    /// What the client is told.
    pub failure: Failure,
    /// Whether its policy is that a stale response stands in.
    pub may_be_stale: bool,
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            may_be_stale: false,
        }
    }
}

/// What a failed call does to the request: `closed` answers 500, `open` goes on, `stale` lets what
/// is stored answer.
pub(super) fn settle_failure(
    routed: &Routed,
    used: &FunctionUse,
    failure: &CallFailure,
    content: ContentChange,
) -> Result<(), Stopped> {
    let policy = used.on_failure;
    log_failure(
        &used.function.name,
        &routed.id_text(),
        policy.label(),
        failure,
    );
    used.function.metrics.record_failure(policy.label());
    let closed = |fault: FunctionFault| Err(Failure::from(fault).into());
    match policy {
        OnFailure::Closed => closed(failure.fault),
        // Content that the function took away cannot be put back.
        OnFailure::Open if content == ContentChange::Consumed => {
            closed(FunctionFault::ResponseInvalid)
        }
        OnFailure::Open => Ok(()),
        OnFailure::Stale => Err(Stopped {
            failure: failure.fault.into(),
            may_be_stale: true,
        }),
    }
}
