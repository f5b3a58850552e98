//! Work that functions leave for after the response: a bounded number for the node, a few at
//! once, and a node that stops waits for it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use verge_base::{Permit, Permits};
use verge_runtime::capabilities::{DEFER_PAYLOAD_BYTES, DEFER_PAYLOADS, DeferError};
use verge_runtime::{Call, Outcome};

use crate::capabilities::{LATE, log_failure, trigger_receipt};
use crate::generation::Generation;
use crate::listener::DrainGuard;
use crate::node::NodeState;
use crate::pipeline::{Asked, SiteScope};
use crate::route::{FunctionEntry, Site};

/// The word for what was left and is not run because the node has stopped.
const STOPPED: &str = "stopped";
/// The word for what was run to its end, whatever came of it.
const RUN: &str = "run";

/// The word for what was given up: its function was in quarantine, or no instance came free in time.
const NOT_RUN: &str = "not-run";

/// Between two tries to get an instance: first, and at most.
const PAUSE: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Tries to get an instance; with the pauses between them ten seconds.
const TRIES: u32 = 16;

/// The node's room for such work.
pub struct DeferredRoom {
    /// What waits and what runs.
    pub places: Permits,
    /// What runs.
    running: Arc<Semaphore>,
}

impl DeferredRoom {
    /// Room for so many, of which so many run at once.
    #[must_use]
    pub fn new(most: usize, at_once: usize) -> Self {
        Self {
            places: Permits::new("deferred", most),
            running: Arc::new(Semaphore::new(at_once)),
        }
    }
}

/// What the functions of one request left.
#[derive(Default)]
pub(crate) struct Left(Mutex<Vec<Job>>);

struct Job {
    function: Arc<FunctionEntry>,
    request: Arc<str>,
    payload: Vec<u8>,
    place: Permit,
    /// A node that stops waits for it.
    guard: DrainGuard,
}

impl Left {
    /// Keeps a payload for after the response.
    ///
    /// # Errors
    /// The function cannot be called so, or there is no room.
    pub(crate) fn add(
        &self,
        node: &NodeState,
        function: &Arc<FunctionEntry>,
        request: &Arc<str>,
        payload: Vec<u8>,
    ) -> Result<(), DeferError> {
        let added = self.try_add(node, function, request, payload);
        if let Err(error) = added {
            function.metrics.record_deferred(error.label());
        }
        added
    }

    fn try_add(
        &self,
        node: &NodeState,
        function: &Arc<FunctionEntry>,
        request: &Arc<str>,
        payload: Vec<u8>,
    ) -> Result<(), DeferError> {
        if function.deferred.is_none() {
            return Err(DeferError::Unavailable);
        }
        if payload.len() > DEFER_PAYLOAD_BYTES {
            return Err(DeferError::TooLarge);
        }
        let mut jobs = self.0.lock();
        if jobs.len() >= DEFER_PAYLOADS {
            return Err(DeferError::TooMany);
        }
        let place = node.deferred.places.try_acquire();
        jobs.push(Job {
            function: Arc::clone(function),
            request: Arc::clone(request),
            payload,
            place: place.ok_or(DeferError::QueueFull)?,
            guard: node.drain.guard(),
        });
        Ok(())
    }

    /// Runs what was left, now that the request and all that it began have ended.
    pub(crate) fn start(
        &mut self,
        node: &Arc<NodeState>,
        generation: &Arc<Generation>,
        site: &Arc<Site>,
        asked: Asked,
    ) {
        let jobs = std::mem::take(self.0.get_mut());
        if jobs.is_empty() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            for job in jobs {
                job.function.metrics.record_deferred(STOPPED);
            }
            return;
        };
        for job in jobs {
            let scope = SiteScope::new(generation, site, node, asked);
            let running = Arc::clone(&node.deferred.running);
            runtime.spawn(job.run(running, Arc::new(scope)));
        }
    }
}

impl Job {
    async fn run(self, running: Arc<Semaphore>, scope: Arc<SiteScope>) {
        // It is never closed; were it, this would run all the same.
        let _turn = running.acquire().await;
        let entry = &self.function;
        let Some(function) = &entry.deferred else {
            return;
        };
        let mut pause = PAUSE;
        let mut tries = 1;
        let call = loop {
            let call = Call {
                scope: Arc::clone(&scope) as _,
            };
            let payload = self.payload.clone();
            let call = function.deferred(call, Arc::clone(&self.request), payload);
            let call = call.await;
            if call.receipt.outcome != Outcome::InstancesExhausted || tries == TRIES {
                break call;
            }
            tries += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        };
        let receipt = trigger_receipt(&entry.metrics, &call.receipt);
        entry.metrics.record(&receipt);
        let outcome = call.receipt.outcome;
        // Nobody waits for it: how long it takes is no sign of a bad version.
        entry.capabilities.health.record(outcome, Duration::ZERO);
        entry.metrics.record_deferred(match outcome {
            Outcome::InstancesExhausted | Outcome::Quarantined => NOT_RUN,
            _ => RUN,
        });
        if let Err(failure) = &call.result {
            log_failure(&entry.name, &self.request, LATE, failure);
        }
        drop((self.place, self.guard));
    }
}
