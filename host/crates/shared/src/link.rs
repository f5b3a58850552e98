//! One use of Redis: a connection that comes back by itself, a bound on the
//! time of each command and on their number, and a circuit breaker.
//!
//! Nobody waits here for a connection to be made: without one, a use does
//! without Redis at once, while a task of its own connects again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use verge_base::{Clock, Random};

use crate::breaker::{Admission, Breaker, BreakerState, Verdict};
use crate::connect::{Connection, connect};
use crate::settings::SharedSettings;
use crate::trouble::Trouble;

/// The first pause between two tries to connect; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause between two tries to connect.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Pauses between tries to connect: doubling, with jitter, so that a fleet does not
/// come back all at once.
#[derive(Debug)]
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(PAUSE_MIN)
    }

    pub(crate) async fn pause(&mut self, random: &Random) {
        let most = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let pause = Duration::from_millis(most / 2 + random.below(most / 2 + 1));
        self.0 = (self.0 * 2).min(PAUSE_MAX);
        tokio::time::sleep(pause).await;
    }
}

/// What every use shares.
pub(crate) struct Surroundings {
    pub(crate) settings: SharedSettings,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Where connections live.
    pub(crate) runtime: Handle,
}

/// See the module; cheap to clone.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    name: &'static str,
    around: Arc<Surroundings>,
    patience: Duration,
    permits: Semaphore,
    breaker: Mutex<Breaker>,
    line: Mutex<Line>,
    counts: [AtomicU64; Trouble::ALL.len()],
    successes: AtomicU64,
}

#[derive(Default)]
struct Line {
    connection: Option<Connection>,
    /// Tells connections apart, so that a late failure does not end a newer one.
    number: u64,
    is_connecting: bool,
}

/// What a use has done and is.
#[derive(Clone, Debug)]
pub struct LinkSample {
    /// What it is for.
    pub name: &'static str,
    /// Its circuit breaker.
    pub breaker: BreakerState,
    /// How often that has opened.
    pub opened: u64,
    /// Whether there is a connection.
    pub is_connected: bool,
    /// Commands that were answered.
    pub successes: u64,
    /// Commands that were not, by reason.
    pub troubles: Vec<(&'static str, u64)>,
}

impl Link {
    /// A use called `name` that begins to connect at once; `patience` is the longest that
    /// any of its commands may take.
    pub(crate) fn new(name: &'static str, around: &Arc<Surroundings>, patience: Duration) -> Self {
        let link = Self(Arc::new(Inner {
            name,
            patience,
            permits: Semaphore::new(around.settings.commands),
            breaker: Mutex::new(Breaker::new(around.settings.breaker)),
            line: Mutex::new(Line::default()),
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            successes: AtomicU64::new(0),
            around: Arc::clone(around),
        }));
        link.reconnect();
        link
    }

    /// Sends one command and waits for its reply, within the time of the link.
    pub(crate) async fn command(&self, command: &Cmd) -> Result<Value, Trouble> {
        self.run(async |connection| connection.command(command).await)
            .await
    }

    /// Sends commands together; all replies, or why not.
    pub(crate) async fn pipeline(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Trouble> {
        self.run(async |connection| connection.pipeline(pipeline).await)
            .await
    }

    async fn run<T>(
        &self,
        send: impl AsyncFnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, Trouble> {
        let admission = self.0.breaker.lock().admit(self.0.around.clock.now());
        let mut attempt = Attempt {
            link: self,
            admission,
            number: 0,
            is_settled: admission == Admission::Refuse,
        };
        if admission == Admission::Refuse {
            return Err(self.count(Trouble::BreakerOpen));
        }
        let Ok(_permit) = self.0.permits.try_acquire() else {
            return Err(self.count(Trouble::Busy));
        };
        let taken = {
            let line = self.0.line.lock();
            line.connection.clone().map(|found| (found, line.number))
        };
        let Some((mut connection, number)) = taken else {
            self.reconnect();
            return Err(attempt.settle(Trouble::Disconnected));
        };
        attempt.number = number;
        match tokio::time::timeout(self.0.patience, send(&mut connection)).await {
            Ok(Ok(reply)) => {
                attempt.succeed();
                Ok(reply)
            }
            Ok(Err(error)) => Err(attempt.settle(Trouble::of(&error))),
            Err(_) => Err(attempt.settle(Trouble::TimedOut)),
        }
    }

    /// Ends the connection with this number, if it is still the one, and makes another.
    fn end(&self, number: u64) {
        let ended = {
            let mut line = self.0.line.lock();
            if line.number != number {
                return;
            }
            line.connection.take()
        };
        drop(ended);
        self.reconnect();
    }

    /// Connects on a task of its own, unless one does so already.
    fn reconnect(&self) {
        {
            let mut line = self.0.line.lock();
            if line.is_connecting || line.connection.is_some() {
                return;
            }
            line.is_connecting = true;
        }
        // The task holds the link weakly: it ends when nobody uses it any more.
        let inner = Arc::downgrade(&self.0);
        let around = Arc::clone(&self.0.around);
        let patience = self.0.patience;
        let runtime = around.runtime.clone();
        runtime.spawn(async move {
            let mut pauses = Pauses::new();
            loop {
                let connected = connect(&around.settings.server, patience).await;
                let Some(inner) = inner.upgrade() else { return };
                match connected {
                    Ok(connection) => {
                        let mut line = inner.line.lock();
                        line.number += 1;
                        line.connection = Some(connection);
                        line.is_connecting = false;
                        return;
                    }
                    Err(trouble) => {
                        tracing::debug!(link = inner.name, why = trouble.label(), "no Redis");
                    }
                }
                drop(inner);
                pauses.pause(&around.random).await;
            }
        });
    }

    fn count(&self, trouble: Trouble) -> Trouble {
        if let Some(counter) = self.0.counts.get(trouble as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        trouble
    }

    pub(crate) fn sample(&self) -> LinkSample {
        let (breaker, opened) = {
            let breaker = self.0.breaker.lock();
            (breaker.state(), breaker.opened())
        };
        let counts = Trouble::ALL.iter().zip(&self.0.counts);
        LinkSample {
            name: self.0.name,
            breaker,
            opened,
            is_connected: self.0.line.lock().connection.is_some(),
            successes: self.0.successes.load(Ordering::Relaxed),
            troubles: counts
                .map(|(trouble, count)| (trouble.label(), count.load(Ordering::Relaxed)))
                .collect(),
        }
    }
}

/// A command that the breaker let through; it learns what came of it, also when the
/// command is given up.
struct Attempt<'a> {
    link: &'a Link,
    admission: Admission,
    number: u64,
    is_settled: bool,
}

impl Attempt<'_> {
    fn succeed(&mut self) {
        self.link.0.successes.fetch_add(1, Ordering::Relaxed);
        self.record(Verdict::Success);
    }

    fn settle(&mut self, trouble: Trouble) -> Trouble {
        // What Redis answers shows that it answers: a full one still tells what it has.
        let has_opened = self.record(match trouble {
            Trouble::Full => Verdict::Success,
            _ => Verdict::Failure,
        });
        // What waits on a connection that answers nothing is let go together with it.
        if (has_opened && trouble == Trouble::TimedOut) || trouble.ends_connection() {
            self.link.end(self.number);
        }
        self.link.count(trouble)
    }

    fn record(&mut self, verdict: Verdict) -> bool {
        self.is_settled = true;
        let now = self.link.0.around.clock.now();
        let has_opened = self
            .link
            .0
            .breaker
            .lock()
            .record(now, self.admission, verdict);
        if has_opened {
            tracing::warn!(link = self.link.0.name, "Redis is left alone for a while");
        }
        has_opened
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.record(Verdict::Unknown);
        }
    }
}
