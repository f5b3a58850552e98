//! Age arithmetic (RFC 9111 4.2.3).
//!
//! Dates of the origin are compared with the wall clock once, when a response
//! arrives; from then on only the monotonic clock counts, so a clock that is
//! set does not age or rejuvenate what is stored. All sums saturate.

use std::time::{Duration, Instant, SystemTime};

use verge_base::Clock;

/// When a response was asked for and when its head arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseTimes {
    /// request_time: when the origin request was sent.
    pub requested: Instant,
    /// response_time on the monotonic clock.
    pub received: Instant,
    /// response_time on the wall clock.
    pub received_wall: SystemTime,
}

impl ResponseTimes {
    /// A response that was asked for at `requested` and arrives now.
    #[must_use]
    pub fn received_now(clock: &Clock, requested: Instant) -> Self {
        Self {
            requested,
            received: clock.now(),
            received_wall: clock.wall(),
        }
    }
}

/// corrected_initial_age: how old a response was when it arrived.
///
/// `date` is its Date and `age` its Age field, as far as they are valid.
#[must_use]
pub fn corrected_initial_age(
    times: &ResponseTimes,
    date: Option<SystemTime>,
    age: Option<Duration>,
) -> Duration {
    // apparent_age = max(0, response_time - date_value); a Date in the future
    // makes the subtraction fail, which is the 0 of the formula.
    let apparent_age = date
        .and_then(|date| times.received_wall.duration_since(date).ok())
        .unwrap_or_default();
    let response_delay = times.received.saturating_duration_since(times.requested);
    let corrected_age_value = age.unwrap_or_default().saturating_add(response_delay);
    apparent_age.max(corrected_age_value)
}

/// current_age = corrected_initial_age + resident_time.
#[must_use]
pub fn current_age(corrected_initial_age: Duration, received: Instant, now: Instant) -> Duration {
    corrected_initial_age.saturating_add(now.saturating_duration_since(received))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn initial_age_follows_rfc_9111_4_2_3() {
        struct Row {
            name: &'static str,
            delay: u64,
            /// Date, in seconds after (or before, if negative) the arrival.
            date: Option<i64>,
            age: Option<u64>,
            expected: u64,
        }
        let rows = [
            Row {
                name: "nothing known",
                delay: 0,
                date: None,
                age: None,
                expected: 0,
            },
            Row {
                name: "apparent age",
                delay: 0,
                date: Some(-7),
                age: None,
                expected: 7,
            },
            Row {
                name: "date in the future counts as 0",
                delay: 0,
                date: Some(60),
                age: None,
                expected: 0,
            },
            Row {
                name: "age value plus response delay",
                delay: 3,
                date: None,
                age: Some(10),
                expected: 13,
            },
            Row {
                name: "response delay alone",
                delay: 3,
                date: Some(0),
                age: None,
                expected: 3,
            },
            Row {
                name: "the larger wins: apparent",
                delay: 1,
                date: Some(-50),
                age: Some(10),
                expected: 50,
            },
            Row {
                name: "the larger wins: corrected",
                delay: 5,
                date: Some(-8),
                age: Some(10),
                expected: 15,
            },
        ];
        for row in rows {
            let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH + 1_000_000 * SECOND);
            let requested = clock.now();
            handle.advance(Duration::from_secs(row.delay));
            let times = ResponseTimes::received_now(&clock, requested);
            let date = row.date.map(|offset| {
                let step = SECOND * offset.unsigned_abs() as u32;
                if offset < 0 {
                    clock.wall() - step
                } else {
                    clock.wall() + step
                }
            });
            let age = row.age.map(Duration::from_secs);
            assert_eq!(
                corrected_initial_age(&times, date, age),
                Duration::from_secs(row.expected),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn setting_the_wall_clock_does_not_age_what_is_stored() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH + 1_000_000 * SECOND);
        let times = ResponseTimes::received_now(&clock, clock.now());
        let initial = corrected_initial_age(&times, Some(clock.wall()), None);
        handle.set_wall(SystemTime::UNIX_EPOCH + 9_000_000 * SECOND);
        handle.advance(5 * SECOND);
        assert_eq!(
            current_age(initial, times.received, clock.now()),
            5 * SECOND
        );
    }

    #[test]
    fn sums_saturate() {
        let (clock, handle) = Clock::manual(SystemTime::UNIX_EPOCH);
        let requested = clock.now();
        handle.advance(SECOND);
        let times = ResponseTimes::received_now(&clock, requested);
        let initial = corrected_initial_age(&times, None, Some(Duration::MAX));
        assert_eq!(initial, Duration::MAX);
        assert_eq!(
            current_age(initial, times.received, clock.now() + SECOND),
            Duration::MAX
        );
    }
}
