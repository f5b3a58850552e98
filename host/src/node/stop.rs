//! How a node goes: not ready, then no new connections, then the end of what
//! is in flight, within the configured times.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::listener::DrainPhase;

use super::{NodeState, RunningNode};

/// How long connections that were cut may take to notice.
const CUT_TIME: Duration = Duration::from_secs(1);

/// How long the access log may take to write its last lines.
const FLUSH_TIME: Duration = Duration::from_secs(2);

/// How long recordings of calls may take to be written.
const RECORDINGS_TIME: Duration = Duration::from_secs(2);

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopReport {
    /// Connections that were cut because the deadline had passed.
    pub cut: usize,
}

impl RunningNode {
    /// Drains the node and ends its threads. Blocks until it is done, which
    /// the configuration bounds (`[stop]`).
    pub fn stop(mut self) -> StopReport {
        let state = self.state.clone();
        let (report, done) = std::sync::mpsc::sync_channel(1);
        self.control.spawn(async move {
            let _ = report.send(drain(&state).await);
        });
        // The control thread ends only after this, so the report always comes.
        let report = done.recv().unwrap_or(StopReport { cut: 0 });
        self.end();
        report
    }

    /// Ends the node's threads at once; what is in flight is dropped.
    pub fn abandon(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.workers.end();
        if let Some(log) = self.state.telemetry.access_log()
            && !log.stop(FLUSH_TIME)
        {
            tracing::warn!("the access log did not take its last lines in time");
        }
        if !self.state.foundation.recordings.finish(RECORDINGS_TIME) {
            tracing::warn!("not all recordings of calls were written in time");
        }
        if let Some(disk) = &self.state.disk {
            disk.stop();
        }
        self.state.foundation.kv.stop();
        if let Some(end) = self.end_control.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.control_thread.take() {
            let _ = thread.join();
        }
    }
}

async fn drain(state: &NodeState) -> StopReport {
    let stop = state.generation.load().config.stop.clone();
    state.is_ready.store(false, Ordering::Release);
    tracing::info!(
        connections = state.connections.in_use(),
        "stopping: not ready any more"
    );
    *state.drain_deadline.lock() = Some(state.clock.now() + stop.ready_delay + stop.deadline);
    state.drain.advance(DrainPhase::Draining);
    tokio::time::sleep(stop.ready_delay).await;
    state.drain.advance(DrainPhase::Refusing);
    if tokio::time::timeout(stop.deadline, state.drain.finished())
        .await
        .is_ok()
    {
        return StopReport { cut: 0 };
    }
    let cut = state.connections.in_use();
    tracing::warn!(
        cut,
        "the deadline of the stop has passed: cutting what is left"
    );
    state.drain.advance(DrainPhase::Cut);
    let _ = tokio::time::timeout(CUT_TIME, state.drain.finished()).await;
    StopReport { cut }
}
