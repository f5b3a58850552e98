//! A sliding counter, as arithmetic: what came in the present window, and a
//! part of what came in the one before it.
//!
//! The window before is taken to have been even. So what is told differs from
//! what came within the last window by at most what came in the one before.

use std::time::Duration;

use super::table::Remembered;

/// Two windows of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingState {
    window: Duration,
    /// The number of the present window.
    number: u64,
    current: u64,
    previous: u64,
}

impl Remembered for SlidingState {
    fn ends(&self) -> Duration {
        let ends = self.window.as_nanos();
        let ends = ends.saturating_mul(u128::from(self.number) + 2);
        Duration::from_nanos(u64::try_from(ends).unwrap_or(u64::MAX))
    }
}

/// Adds `amount` at `now`, and tells how much came within the last `window`, rounded up. `state`
/// is `None` for a new counter; `now` is the time since a common start. A window of zero counts
/// as a millisecond.
#[must_use]
pub fn count(
    state: Option<SlidingState>,
    window: Duration,
    amount: u32,
    now: Duration,
) -> (SlidingState, u64) {
    let window = window.max(Duration::from_millis(1));
    let length = window.as_nanos();
    let number = u64::try_from(now.as_nanos() / length).unwrap_or(u64::MAX);
    // Who read the clock earlier may come later, from another thread: its place is at the beginning
    // of the present window.
    let later = state.filter(|state| state.window == window && state.number > number);
    let (number, passed) = match later {
        Some(state) => (state.number, 0),
        None => (number, now.as_nanos() % length),
    };
    let (current, previous) = match state {
        Some(state) if state.number == number => (state.current, state.previous),
        Some(state) if state.number.checked_add(1) == Some(number) => (0, state.current),
        _ => (0, 0),
    };
    let current = current.saturating_add(u64::from(amount));
    let left = length - passed;
    let share = u128::from(previous).saturating_mul(left).div_ceil(length);
    let share = u64::try_from(share).unwrap_or(u64::MAX);
    let state = SlidingState {
        window,
        number,
        current,
        previous,
    };
    (state, current.saturating_add(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn at(millis: u64) -> Duration {
        Duration::from_millis(100_000 + millis)
    }

    #[test]
    fn what_came_leaves_evenly_over_the_next_window() {
        let mut state = None;
        let mut told = Vec::new();
        for (millis, amount) in [
            (0, 4),
            (9_999, 6),
            (10_000, 0),
            (12_500, 0),
            (15_000, 1),
            (19_999, 0),
            (20_000, 0),
            (25_000, 0),
            (30_000, 0),
        ] {
            let (next, count) = count(state, WINDOW, amount, at(millis));
            state = Some(next);
            told.push(count);
        }
        assert_eq!(told, [4, 10, 10, 8, 6, 2, 1, 1, 0]);
    }

    #[test]
    fn a_counter_that_was_left_alone_for_two_windows_is_empty() {
        let (state, _) = count(None, WINDOW, 100, at(0));
        assert_eq!(count(Some(state), WINDOW, 0, at(20_000)).1, 0);
        assert_eq!(state.ends(), at(20_000));
    }

    #[test]
    fn a_clock_that_was_read_earlier_erases_nothing() {
        let (state, _) = count(None, WINDOW, 50, at(9_998));
        let (state, _) = count(Some(state), WINDOW, 5, at(10_000));
        let (state, told) = count(Some(state), WINDOW, 1, at(9_999));
        assert_eq!(told, 56);
        assert_eq!(count(Some(state), WINDOW, 0, at(10_000)).1, 56);
    }

    #[test]
    fn what_is_told_differs_by_at_most_the_window_before() {
        // All of the window before came at its very end, or at its very beginning.
        for came_at in [0, 9_999] {
            let (state, _) = count(None, WINDOW, 50, at(came_at));
            for now in (10_000..20_000).step_by(500) {
                let (_, told) = count(Some(state), WINDOW, 3, at(now));
                let within = if now < came_at + 10_000 { 53 } else { 3 };
                assert!(told.abs_diff(within) <= 50, "{told} at {now}");
            }
        }
    }

    #[test]
    fn extreme_values_do_not_overflow() {
        let (state, _) = count(None, Duration::ZERO, u32::MAX, Duration::MAX);
        let _ = state.ends();
        let _ = count(Some(state), Duration::MAX, u32::MAX, Duration::ZERO);
        let full = SlidingState {
            window: WINDOW,
            number: 10,
            current: u64::MAX,
            previous: u64::MAX,
        };
        assert_eq!(count(Some(full), WINDOW, 1, at(0)).1, u64::MAX);
        let _ = full.ends();
    }
}
