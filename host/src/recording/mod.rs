//! Recordings of a function's calls: which are kept, and how many. What is written is written by a
//! thread of its own; a call never waits for it, and never fails because of it.

mod shelf;
mod waiting;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use http::HeaderName;
use parking_lot::Mutex;
use verge_base::{Clock, Ledger, Random};
use verge_config::{Function, Record};
use verge_runtime::record::{RecordBounds, Recorder, Unsealed};
use verge_runtime::{Outcome, Trigger};

use self::shelf::{Kept, Shelf};
pub(crate) use self::waiting::Waiting;
use self::waiting::Waits;
use crate::line_budget::LineBudget;
use crate::telemetry::FunctionMetrics;

/// A whole, in hundredths of a per cent.
const WHOLE: u64 = 10_000;
/// What `per_second` is about.
const SECOND: Duration = Duration::from_secs(1);

/// Why a recording was left out.
const LIMITED: &str = "limited";
const QUEUE_FULL: &str = "queue-full";

/// Decides which calls of one function are recorded, and hands them to its thread.
pub(crate) struct FunctionRecorder {
    bounds: RecordBounds,
    failures: bool,
    share: u64,
    per_second: u32,
    /// When the present second began, and what was taken in it.
    second: Mutex<Option<(Instant, u32)>>,
    clock: Clock,
    random: Random,
    metrics: Arc<FunctionMetrics>,
    /// Dropped with the recorder: then the thread writes what waits, and ends.
    queue: SyncSender<(Unsealed, Waits)>,
    waiting: Waiting,
}

impl FunctionRecorder {
    /// A recorder with its thread, if the function is to be recorded. `component` are files in
    /// which its component may be found again.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn start(
        settings: &Function,
        component: Vec<PathBuf>,
        (clock, random): (&Clock, &Random),
        waiting: &Waiting,
        metrics: &Arc<FunctionMetrics>,
    ) -> io::Result<Option<Arc<Self>>> {
        let record = &settings.record;
        let Some(folder) = &record.folder else {
            return Ok(None);
        };
        let limits = &record.limits;
        let names = record.redact.iter().map(String::as_str);
        let names = Record::REDACTED.into_iter().chain(names);
        let (queue, jobs) = sync_channel(limits.queue);
        let writer = Writer {
            shelf: Shelf::new(folder, &settings.name, limits),
            component,
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            complaints: LineBudget::default(),
        };
        let thread = std::thread::Builder::new().name("verge-record".to_owned());
        thread.spawn(move || writer.run(&jobs))?;
        Ok(Some(Arc::new(Self {
            bounds: RecordBounds {
                bytes: limits.max_bytes,
                memory: Ledger::new(limits.memory),
                redacted: names
                    .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
                    .collect(),
            },
            failures: limits.failures,
            share: record.share.unwrap_or(0).into(),
            per_second: limits.per_second,
            second: Mutex::new(None),
            clock: clock.clone(),
            random: random.clone(),
            metrics: Arc::clone(metrics),
            queue,
            waiting: waiting.clone(),
        })))
    }

    fn is_drawn(&self) -> bool {
        self.share > 0 && self.random.below(WHOLE) < self.share
    }

    /// Whether the present second has room for another one.
    fn is_in_rate(&self) -> bool {
        let now = self.clock.now();
        let mut second = self.second.lock();
        let (began, taken) = match *second {
            Some((began, taken)) if now.saturating_duration_since(began) < SECOND => (began, taken),
            Some(_) | None => (now, 0),
        };
        *second = Some((began, taken.saturating_add(1)));
        taken < self.per_second
    }
}

impl Recorder for FunctionRecorder {
    fn begins(&self, _trigger: Trigger) -> bool {
        // How it ends is not known yet. Without failures, those that are drawn are kept.
        self.failures || self.is_drawn()
    }

    fn bounds(&self) -> &RecordBounds {
        &self.bounds
    }

    fn take(&self, outcome: Outcome, recording: Unsealed) {
        let is_wanted = match (outcome, outcome.fault()) {
            // Whoever asked went away: where the guest stood then is nothing to repeat.
            (Outcome::Abandoned, _) => false,
            (_, None) => !self.failures || self.is_drawn(),
            (_, Some(_)) => true,
        };
        if !is_wanted {
            return;
        }
        if !self.is_in_rate() {
            self.metrics.record_recording(LIMITED);
            return;
        }
        match self.queue.try_send((recording, self.waiting.add())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.metrics.record_recording(QUEUE_FULL);
            }
        }
    }
}

/// The thread of a recorder.
struct Writer {
    shelf: Shelf,
    component: Vec<PathBuf>,
    clock: Clock,
    metrics: Arc<FunctionMetrics>,
    complaints: LineBudget,
}

impl Writer {
    fn run(self, jobs: &Receiver<(Unsealed, Waits)>) {
        for (unsealed, _waits) in jobs {
            let mut recording = unsealed.seal();
            recording.component.clone_from(&self.component);
            let (function, request) = (&recording.function, &recording.request);
            let kept = self.shelf.keep(&recording);
            self.metrics.record_recording(kept.label());
            match kept {
                Kept::Written(path) => tracing::info!(
                    function = &**function,
                    request = &**request,
                    "call recorded: verge replay {}",
                    path.display()
                ),
                Kept::TooLarge => {}
                Kept::Failed(why) => {
                    if self.complaints.allows(self.clock.now()) {
                        tracing::error!(
                            function = &**function,
                            request = &**request,
                            "a call cannot be recorded: {why}"
                        );
                    }
                }
            }
        }
    }
}
