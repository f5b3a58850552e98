//! The obligation to account for a call: its receipt, and what quarantine
//! learns from it. Dropped without an end, the call counts as abandoned.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shared;
use super::guest::Returned;
use crate::capabilities::CallId;
use crate::function::Inner;
use crate::outcome::{CallEnd, CallFailure, CallReceipt, Outcome, PendingEnd, StartClass, Trigger};
use crate::quarantine::{Admission, Conclusion};

/// One call that was admitted and has not ended yet.
pub(crate) struct Ending {
    function: Arc<Inner>,
    shared: Arc<Shared>,
    trigger: Trigger,
    request_id: Arc<str>,
    admission: Admission,
    start: StartClass,
    /// Where the end is written, once the caller has its response.
    pending: Option<PendingEnd>,
    concluded: bool,
}

impl Ending {
    pub(crate) fn new(
        function: Arc<Inner>,
        shared: Arc<Shared>,
        trigger: Trigger,
        request_id: Arc<str>,
        admission: Admission,
        start: StartClass,
    ) -> Self {
        Self {
            function,
            shared,
            trigger,
            request_id,
            admission,
            start,
            pending: None,
            concluded: false,
        }
    }

    /// The receipt so far, and where the rest will appear: the caller gets its response now.
    pub(crate) fn continue_pending(&mut self, outcome: Outcome) -> (CallReceipt, PendingEnd) {
        let pending = self.pending.insert(PendingEnd::default()).clone();
        (self.receipt(outcome), pending)
    }

    /// The guest has ended by itself or was stopped.
    pub(crate) fn conclude(mut self, result: &Result<Returned, CallFailure>) -> CallReceipt {
        match result {
            Ok(Returned::Next) => self.end(Outcome::Continued, None),
            Ok(Returned::Respond(_) | Returned::Handled) => self.end(Outcome::Responded, None),
            Err(failure) => self.end(failure.fault.into(), Some(failure)),
        }
    }

    fn end(&mut self, outcome: Outcome, failure: Option<&CallFailure>) -> CallReceipt {
        self.concluded = true;
        let receipt = self.receipt(outcome);
        self.function.gate.conclude(
            self.admission,
            conclusion(outcome, &self.shared),
            &self.function.engine.clock,
        );
        if let Some(tape) = &self.shared.tape {
            tape.end(&self.function, &receipt, &self.request_id, failure);
        }
        if let Some(pending) = self.pending.take() {
            let end = CallEnd {
                receipt: receipt.clone(),
                failure: failure.cloned(),
            };
            let call = CallId {
                function: Arc::clone(&self.function.name),
                request: Arc::clone(&self.request_id),
            };
            self.function.capabilities.call_ended(&call, &end);
            pending.set(end);
        }
        receipt
    }

    fn receipt(&self, outcome: Outcome) -> CallReceipt {
        let meter = &self.shared.meter;
        CallReceipt {
            function: Arc::clone(&self.function.name),
            digest: self.function.digest,
            trigger: self.trigger,
            start: self.start,
            instantiate: meter.instantiated(),
            cpu: meter.cpu(),
            wall: meter.wall(),
            waited: meter.waited(),
            was_given_less: self.shared.was_given_less.load(Ordering::Relaxed),
            was_kept_waiting: self.shared.was_kept_waiting.load(Ordering::Relaxed),
            hostcalls: meter.hostcalls(),
            fetches: self.shared.fetches.sent(),
            fetch_time: self.shared.fetches.waited(),
            memory_peak: meter.memory_peak(),
            log_dropped: self.shared.log.dropped(),
            outcome,
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.concluded {
            self.end(Outcome::Abandoned, None);
        }
    }
}

/// What quarantine learns: only what the function itself did. Who breaks off an upload, or sends it
/// as slowly as he may, must not put a function out for everybody, whatever the function makes of it.
fn conclusion(outcome: Outcome, shared: &Shared) -> Conclusion {
    match outcome {
        Outcome::Trapped | Outcome::NoResponse | Outcome::ResponseInvalid | Outcome::Refused
            if shared.was_given_less.load(Ordering::Relaxed) =>
        {
            Conclusion::Unknown
        }
        Outcome::DeadlineExceeded if shared.was_kept_waiting.load(Ordering::Relaxed) => {
            Conclusion::Unknown
        }
        Outcome::Responded | Outcome::Continued => Conclusion::Success,
        Outcome::Trapped
        | Outcome::DeadlineExceeded
        | Outcome::CpuExceeded
        | Outcome::MemoryExceeded
        | Outcome::HostcallsExceeded
        | Outcome::NoResponse
        | Outcome::ResponseInvalid
        | Outcome::Refused => Conclusion::Failure,
        Outcome::InstancesExhausted | Outcome::Quarantined | Outcome::Abandoned => {
            Conclusion::Unknown
        }
    }
}
