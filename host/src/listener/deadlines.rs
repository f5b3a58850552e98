//! The deadlines of one connection and the one timer that watches them.
//!
//! Whoever starts to wait publishes a deadline, which costs a store. The timer
//! is armed anew only when it fires, or when a deadline comes before it.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use verge_base::Clock;

/// What a connection waits for from its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// A request to begin.
    Idle,
    /// The rest of a request head.
    Head,
    /// The end of a request body that nobody wants, after its response.
    UnreadBody,
    /// Room to write.
    Send,
}

/// No deadline.
const NEVER: u64 = u64::MAX;
/// The bits that hold what is waited for.
const CAUSE_BITS: u32 = 2;

/// What a connection waits for, and until when.
#[derive(Debug)]
pub(super) struct Deadlines {
    clock: Clock,
    epoch: Instant,
    /// Microseconds since `epoch`, above the cause.
    receive: AtomicU64,
    /// Microseconds since `epoch`.
    send: AtomicU64,
}

impl Deadlines {
    pub(super) fn new(clock: Clock) -> Self {
        let epoch = clock.now();
        Self {
            clock,
            epoch,
            receive: AtomicU64::new(NEVER),
            send: AtomicU64::new(NEVER),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The client owes something: `waiting` must end within `time` from now.
    pub(super) fn expect_within(&self, waiting: Waiting, time: Duration) {
        let micros = self.micros(self.now() + time);
        self.receive
            .store((micros << CAUSE_BITS) | cause(waiting), Ordering::Relaxed);
    }

    /// The client owes nothing.
    pub(super) fn expect_nothing(&self) {
        self.receive.store(NEVER, Ordering::Relaxed);
    }

    /// The client owes nothing, unless a new deadline was published since the last one passed.
    pub(super) fn forget_expired(&self) {
        let packed = self.receive.load(Ordering::Relaxed);
        if packed != NEVER && packed >> CAUSE_BITS <= self.micros(self.now()) {
            // Where it fails, somebody has just published another.
            let _ =
                self.receive
                    .compare_exchange(packed, NEVER, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// What the client owes, if anything.
    pub(super) fn expected(&self) -> Option<Waiting> {
        let packed = self.receive.load(Ordering::Relaxed);
        (packed != NEVER).then(|| waiting_of(packed))
    }

    /// Brings the deadline forward if the connection is idle.
    pub(super) fn shorten_idle(&self, time: Duration) {
        let packed = self.receive.load(Ordering::Relaxed);
        if packed == NEVER || waiting_of(packed) != Waiting::Idle {
            return;
        }
        let sooner = (self.micros(self.now() + time) << CAUSE_BITS) | cause(Waiting::Idle);
        self.receive.fetch_min(sooner, Ordering::Relaxed);
    }

    /// The client must make room to write before `end`.
    pub(super) fn send_before(&self, end: Instant) {
        self.send.store(self.micros(end), Ordering::Relaxed);
    }

    /// Nothing waits for room to write.
    pub(super) fn send_freely(&self) {
        self.send.store(NEVER, Ordering::Relaxed);
    }

    /// Whether something waits for room to write.
    pub(super) fn is_sending_blocked(&self) -> bool {
        self.send.load(Ordering::Relaxed) != NEVER
    }

    /// The first deadline and what it is about, in microseconds since the epoch.
    fn earliest(&self) -> Option<(u64, Waiting)> {
        let packed = self.receive.load(Ordering::Relaxed);
        let send = self.send.load(Ordering::Relaxed);
        let receive = (packed != NEVER).then(|| (packed >> CAUSE_BITS, waiting_of(packed)));
        let send = (send != NEVER).then_some((send, Waiting::Send));
        match (receive, send) {
            (Some(receive), Some(send)) if send.0 < receive.0 => Some(send),
            (Some(receive), _) => Some(receive),
            (None, send) => send,
        }
    }

    fn micros(&self, instant: Instant) -> u64 {
        let micros = instant.saturating_duration_since(self.epoch).as_micros();
        // The cause's bits are lost to the range; what is left is 146,000 years.
        u64::try_from(micros)
            .unwrap_or(NEVER)
            .min(NEVER >> (CAUSE_BITS + 1))
    }
}

const fn cause(waiting: Waiting) -> u64 {
    match waiting {
        Waiting::Idle => 0,
        Waiting::Head => 1,
        Waiting::UnreadBody => 2,
        Waiting::Send => 3,
    }
}

const fn waiting_of(packed: u64) -> Waiting {
    match packed & ((1 << CAUSE_BITS) - 1) {
        0 => Waiting::Idle,
        1 => Waiting::Head,
        2 => Waiting::UnreadBody,
        _ => Waiting::Send,
    }
}

/// The timer of one connection. Polled by the connection's task alone.
pub(super) struct DeadlineTimer {
    sleep: Pin<Box<Sleep>>,
    /// When the timer fires, in microseconds since the epoch of the deadlines.
    armed: u64,
    /// How long the timer sleeps when there is no deadline. One that is
    /// published meanwhile by another task is seen at the latest then.
    rest: Duration,
}

impl DeadlineTimer {
    /// A timer that rests for `rest` where no deadline is known.
    pub(super) fn new(rest: Duration) -> Self {
        let rest = rest.max(Duration::from_millis(1));
        Self {
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            armed: 0,
            rest,
        }
    }

    /// Ready when a deadline has passed. The task is woken for the next one.
    pub(super) fn poll_expired(
        &mut self,
        deadlines: &Deadlines,
        context: &mut Context<'_>,
    ) -> Poll<Waiting> {
        loop {
            let earliest = deadlines.earliest();
            let comes_first = earliest.is_some_and(|(at, _)| at < self.armed);
            if !comes_first && self.armed != 0 && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            let now = deadlines.now();
            let now_micros = deadlines.micros(now);
            let rest = match earliest {
                Some((at, waiting)) if at <= now_micros => return Poll::Ready(waiting),
                Some((at, _)) => Duration::from_micros(at - now_micros).min(self.rest),
                None => self.rest,
            };
            self.armed = deadlines.micros(now + rest).max(1);
            // tokio's own clock: ours may be driven by a test.
            let end = tokio::time::Instant::now() + rest;
            self.sleep.as_mut().reset(end);
            // Registers the waker; a task's waker stays the same for its life.
            // Unconstrained, since a task that had used up its budget would
            // not be registered, and nothing polls the timer again.
            let sleep = pin!(tokio::task::coop::unconstrained(self.sleep.as_mut()));
            if sleep.poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SOON: Duration = Duration::from_millis(5);
    const LATE: Duration = Duration::from_secs(600);

    async fn expired(deadlines: &Deadlines) -> Waiting {
        let mut timer = DeadlineTimer::new(LATE);
        poll_fn(|context| timer.poll_expired(deadlines, context)).await
    }

    #[tokio::test]
    async fn the_earliest_deadline_expires() {
        let deadlines = Deadlines::new(Clock::system());
        deadlines.expect_within(Waiting::Head, LATE);
        deadlines.send_before(deadlines.now() + SOON);
        assert_eq!(expired(&deadlines).await, Waiting::Send);
        deadlines.send_freely();
        deadlines.expect_within(Waiting::UnreadBody, SOON);
        assert_eq!(expired(&deadlines).await, Waiting::UnreadBody);
    }

    #[tokio::test]
    async fn a_deadline_before_the_armed_one_is_noticed() {
        let deadlines = Deadlines::new(Clock::system());
        deadlines.expect_within(Waiting::Idle, LATE);
        let mut timer = DeadlineTimer::new(LATE);
        poll_fn(|context| {
            assert!(timer.poll_expired(&deadlines, context).is_pending());
            Poll::Ready(())
        })
        .await;
        deadlines.shorten_idle(SOON);
        let waiting = poll_fn(|context| timer.poll_expired(&deadlines, context)).await;
        assert_eq!(waiting, Waiting::Idle);
    }

    #[test]
    fn only_a_deadline_that_has_passed_is_forgotten() {
        let deadlines = Deadlines::new(Clock::system());
        deadlines.expect_within(Waiting::Idle, LATE);
        deadlines.forget_expired();
        assert_eq!(deadlines.expected(), Some(Waiting::Idle));
        deadlines.expect_within(Waiting::Idle, Duration::ZERO);
        deadlines.forget_expired();
        assert_eq!(deadlines.expected(), None);
    }

    #[test]
    fn only_an_idle_wait_is_shortened() {
        let deadlines = Deadlines::new(Clock::system());
        deadlines.shorten_idle(SOON);
        assert_eq!(deadlines.earliest(), None);
        deadlines.expect_within(Waiting::Head, LATE);
        let before = deadlines.earliest();
        deadlines.shorten_idle(SOON);
        assert_eq!(deadlines.earliest(), before);
        assert_eq!(deadlines.expected(), Some(Waiting::Head));
    }
}
