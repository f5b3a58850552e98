//! When a wait for the origin has lasted too long, as pure arithmetic.
//!
//! Times are those of the async runtime, whose timers wake the waits; nothing
//! here sets a timer.

use std::time::Duration;

use tokio::time::Instant;
use verge_http::failure::OriginFault;

use crate::settings::Timeouts;

/// Where the sending of a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadPhase {
    /// The body waits for `100 (Continue)`.
    Gated,
    /// The client has to give more of the body.
    AwaitingClient,
    /// The origin has to take what there is of the body.
    AwaitingOrigin,
    /// All of the request is on its way.
    Finished,
    /// The origin answered without wanting the body.
    Abandoned,
}

/// What is known while a response head is awaited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadFacts {
    pub(crate) now: Instant,
    /// When the request was handed to the connection.
    pub(crate) started: Instant,
    /// When the origin last took bytes.
    pub(crate) last_write: Instant,
    pub(crate) upload: UploadPhase,
    /// When the whole exchange must be over.
    pub(crate) deadline: Instant,
}

/// How to go on waiting for a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadWait {
    /// Look again then.
    Until(Instant),
    /// The origin says nothing about the expectation: send the body.
    SendBody,
    /// Give up.
    Expired(OriginFault),
}

/// Decides how to go on waiting for a response head.
pub(crate) fn decide_head_wait(facts: &HeadFacts, timeouts: &Timeouts) -> HeadWait {
    let active = facts.last_write.max(facts.started);
    let (at, then) = match facts.upload {
        UploadPhase::AwaitingClient => {
            // The client's slowness is bounded where its body is read.
            let pause = timeouts.first_byte.min(timeouts.between_bytes);
            return HeadWait::Until(facts.now + pause);
        }
        UploadPhase::Gated => (facts.started + timeouts.expect_continue, HeadWait::SendBody),
        UploadPhase::AwaitingOrigin => (
            active + timeouts.between_bytes,
            HeadWait::Expired(OriginFault::ConnectionWriteTimeout),
        ),
        UploadPhase::Finished | UploadPhase::Abandoned => (
            active + timeouts.first_byte,
            HeadWait::Expired(OriginFault::ConnectionReadTimeout),
        ),
    };
    if facts.now >= facts.deadline {
        HeadWait::Expired(OriginFault::ResponseTimeout)
    } else if facts.now >= at {
        then
    } else {
        HeadWait::Until(at.min(facts.deadline))
    }
}

/// The two clocks that run while a response body arrives.
#[derive(Debug)]
pub(crate) struct BodyClock {
    between_bytes: Duration,
    deadline: Instant,
    /// Since when the origin owes bytes.
    waiting_since: Option<Instant>,
    /// Since when the reader takes none.
    reader_away_since: Option<Instant>,
}

/// How to go on waiting for a part of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyWait {
    /// Look again then.
    Until(Instant),
    /// Give up.
    Expired(OriginFault),
}

impl BodyClock {
    /// Clocks for a body whose exchange must be over at `deadline`.
    pub(crate) fn new(between_bytes: Duration, deadline: Instant, now: Instant) -> Self {
        Self {
            between_bytes,
            deadline,
            waiting_since: None,
            reader_away_since: Some(now),
        }
    }

    /// The reader asks for more: its absence is not the origin's time.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.reader_away_since.take() {
            self.deadline += now.saturating_duration_since(since);
        }
    }

    /// The reader was given something.
    pub(crate) fn pause(&mut self, now: Instant) {
        self.waiting_since = None;
        self.reader_away_since = Some(now);
    }

    /// The origin itself waits for the client: nothing is owed now.
    pub(crate) fn excuse(&mut self, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.deadline += now.saturating_duration_since(since);
        }
    }

    /// Decides how to go on when nothing has arrived.
    pub(crate) fn decide_wait(&mut self, now: Instant) -> BodyWait {
        let since = *self.waiting_since.get_or_insert(now);
        let at = since + self.between_bytes;
        if now >= self.deadline {
            BodyWait::Expired(OriginFault::ResponseTimeout)
        } else if now >= at {
            BodyWait::Expired(OriginFault::ConnectionReadTimeout)
        } else {
            BodyWait::Until(at.min(self.deadline))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn timeouts() -> Timeouts {
        Timeouts {
            first_byte: 50 * MS,
            between_bytes: 20 * MS,
            expect_continue: 10 * MS,
            ..Timeouts::default()
        }
    }

    #[test]
    fn waits_for_a_head_by_phase() {
        use HeadWait::{Expired, SendBody, Until};
        use UploadPhase::{AwaitingClient, AwaitingOrigin, Finished, Gated};
        let start = Instant::now();
        let at = |ms: u32| start + ms * MS;
        // (phase, last write, now, expected), all in ms; the whole must end at 100.
        let table = [
            (Gated, 1, 5, Until(at(10))),
            (Gated, 1, 10, SendBody),
            (Finished, 1, 5, Until(at(51))),
            (Finished, 1, 51, Expired(OriginFault::ConnectionReadTimeout)),
            (Finished, 70, 71, Until(at(100))),
            (Finished, 70, 100, Expired(OriginFault::ResponseTimeout)),
            (AwaitingOrigin, 30, 40, Until(at(50))),
            (
                AwaitingOrigin,
                30,
                50,
                Expired(OriginFault::ConnectionWriteTimeout),
            ),
            (AwaitingClient, 30, 99, Until(at(119))),
            (AwaitingClient, 30, 500, Until(at(520))),
        ];
        for (upload, last_write, now, expected) in table {
            let facts = HeadFacts {
                now: at(now),
                started: start,
                last_write: at(last_write),
                upload,
                deadline: at(100),
            };
            let decided = decide_head_wait(&facts, &timeouts());
            assert_eq!(decided, expected, "{upload:?} at {now} ms");
        }
    }

    #[test]
    fn silence_within_a_body_expires() {
        let start = Instant::now();
        let mut clock = BodyClock::new(20 * MS, start + 100 * MS, start);
        clock.resume(start);
        assert_eq!(clock.decide_wait(start), BodyWait::Until(start + 20 * MS));
        clock.pause(start + 15 * MS);
        clock.resume(start + 15 * MS);
        let wait = clock.decide_wait(start + 16 * MS);
        assert_eq!(wait, BodyWait::Until(start + 36 * MS));
        assert_eq!(
            clock.decide_wait(start + 36 * MS),
            BodyWait::Expired(OriginFault::ConnectionReadTimeout)
        );
    }

    #[test]
    fn a_slow_reader_does_not_use_up_the_origins_time() {
        let start = Instant::now();
        let mut clock = BodyClock::new(20 * MS, start + 100 * MS, start);
        clock.resume(start + 1000 * MS);
        assert_eq!(
            clock.decide_wait(start + 1000 * MS),
            BodyWait::Until(start + 1020 * MS)
        );
        assert_eq!(
            clock.decide_wait(start + 1100 * MS),
            BodyWait::Expired(OriginFault::ResponseTimeout)
        );
    }
}
