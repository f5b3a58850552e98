//! Ending the work of all listeners in steps, and knowing when it has ended.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::Notify;

/// How far the drain has gone. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// Normal work.
    Serving,
    /// New connections are still accepted, but the next answer on each
    /// connection says that it is the last one, and idle connections end soon.
    Draining,
    /// No connection is accepted any more.
    Refusing,
    /// What is left is cut off.
    Cut,
}

/// The one switch for all listeners of a node; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    phase: AtomicU8,
    phase_changed: Notify,
    live: AtomicUsize,
    gone: Notify,
}

/// Work that a drain waits for; dropping it says that the work has ended.
#[derive(Debug)]
#[must_use = "dropping a guard says that its work has ended"]
pub struct DrainGuard(Arc<Shared>);

impl Drain {
    /// A drain in [`DrainPhase::Serving`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How far the drain has gone.
    #[must_use]
    pub fn phase(&self) -> DrainPhase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => DrainPhase::Serving,
            1 => DrainPhase::Draining,
            2 => DrainPhase::Refusing,
            _ => DrainPhase::Cut,
        }
    }

    /// Moves on to `phase`; does nothing when the drain has gone as far already.
    pub fn advance(&self, phase: DrainPhase) {
        let before = self.0.phase.fetch_max(phase as u8, Ordering::AcqRel);
        if before < phase as u8 {
            self.0.phase_changed.notify_waiters();
        }
    }

    /// Counts a piece of work until the guard is dropped.
    pub fn guard(&self) -> DrainGuard {
        self.0.live.fetch_add(1, Ordering::AcqRel);
        DrainGuard(Arc::clone(&self.0))
    }

    /// Pieces of work that have not ended: listeners and connections.
    #[must_use]
    pub fn live(&self) -> usize {
        self.0.live.load(Ordering::Acquire)
    }

    /// Waits until no guard is left.
    pub async fn finished(&self) {
        loop {
            let mut gone = pin!(self.0.gone.notified());
            gone.as_mut().enable();
            if self.live() == 0 {
                return;
            }
            gone.await;
        }
    }

    /// Waits until the drain has gone as far as `phase`.
    pub async fn reached(&self, phase: DrainPhase) {
        loop {
            let mut changed = pin!(self.0.phase_changed.notified());
            changed.as_mut().enable();
            if self.phase() >= phase {
                return;
            }
            changed.await;
        }
    }

    /// Wakes the task that polls it at each change of phase; never ends.
    ///
    /// Waiting takes a lock that all connections share, so a connection polls
    /// this through a [`PhaseWatch`].
    pub(super) async fn wake_on_changes(&self) {
        loop {
            let mut changed = pin!(self.0.phase_changed.notified());
            changed.as_mut().enable();
            let seen = self.phase();
            poll_fn(|context| {
                let woken = changed.as_mut().poll(context);
                if woken.is_ready() || self.phase() != seen {
                    return Poll::Ready(());
                }
                Poll::Pending
            })
            .await;
        }
    }
}

/// What one connection's task has seen of the drain. It is woken at each change, and
/// polls what wakes it only then.
pub(super) struct PhaseWatch<'a, W> {
    drain: &'a Drain,
    /// [`Drain::wake_on_changes`].
    wakes: Pin<&'a mut W>,
    seen: Option<DrainPhase>,
}

impl<'a, W: Future<Output = ()>> PhaseWatch<'a, W> {
    pub(super) fn new(drain: &'a Drain, wakes: Pin<&'a mut W>) -> Self {
        Self {
            drain,
            wakes,
            seen: None,
        }
    }

    /// How far the drain has gone. The task is woken when it goes further.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> DrainPhase {
        loop {
            // Noted as it was read before the poll: a phase that comes meanwhile has spent its
            // wake-up, and what wakes for the next one has to be polled again.
            let phase = self.drain.phase();
            if self.seen == Some(phase) {
                return phase;
            }
            let _never = self.wakes.as_mut().poll(context);
            self.seen = Some(phase);
        }
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        if self.0.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.gone.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn finished_waits_for_the_last_guard() {
        let drain = Drain::new();
        let (a, b) = (drain.guard(), drain.guard());
        let waiter = tokio::spawn({
            let drain = drain.clone();
            async move { drain.finished().await }
        });
        drop(a);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(b);
        waiter.await.expect("no panic");
        assert_eq!(drain.live(), 0);
    }

    #[tokio::test]
    async fn a_phase_that_comes_while_another_is_noted_loses_no_wake_up() {
        let drain = Drain::new();
        drain.advance(DrainPhase::Draining);
        let mut inner = pin!(drain.wake_on_changes());
        let mut polls = 0;
        let wakes = pin!(poll_fn(|context| {
            let polled = inner.as_mut().poll(context);
            polls += 1;
            if polls == 1 {
                drain.advance(DrainPhase::Refusing);
            }
            polled
        }));
        let mut watch = PhaseWatch::new(&drain, wakes);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        assert_eq!(watch.poll(&mut context), DrainPhase::Refusing);
        let before = woken.0.load(Ordering::Relaxed);
        drain.advance(DrainPhase::Cut);
        assert_eq!(woken.0.load(Ordering::Relaxed), before + 1);
        assert_eq!(watch.poll(&mut context), DrainPhase::Cut);
    }

    #[tokio::test]
    async fn phases_only_go_forward() {
        let drain = Drain::new();
        let waiter = tokio::spawn({
            let drain = drain.clone();
            async move { drain.reached(DrainPhase::Refusing).await }
        });
        drain.advance(DrainPhase::Draining);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drain.advance(DrainPhase::Cut);
        drain.advance(DrainPhase::Draining);
        assert_eq!(drain.phase(), DrainPhase::Cut);
        waiter.await.expect("no panic");
    }
}
