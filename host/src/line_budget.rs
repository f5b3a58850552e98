//! How often something is told in the log that one call after another can
//! bring about: the counters have the number, the log needs examples.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lines within one window.
const LINES: u32 = 10;

/// A window.
const WINDOW: Duration = Duration::from_secs(60);

/// See the file's head.
#[derive(Debug, Default)]
pub(crate) struct LineBudget(Mutex<Option<(Instant, u32)>>);

impl LineBudget {
    /// Whether a line may be written at `now`; then it counts.
    pub(crate) fn allows(&self, now: Instant) -> bool {
        let mut window = self.0.lock();
        let (began, lines) = match *window {
            Some((began, lines)) if now.saturating_duration_since(began) < WINDOW => (began, lines),
            Some(_) | None => (now, 0),
        };
        *window = Some((began, lines.saturating_add(1)));
        lines < LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_so_many_lines() {
        let (clock, _) = verge_base::Clock::manual(std::time::SystemTime::UNIX_EPOCH);
        let (budget, now) = (LineBudget::default(), clock.now());
        let allowed = |now| (0..100).filter(|_| budget.allows(now)).count();
        assert_eq!(allowed(now), 10);
        assert_eq!(allowed(now + WINDOW / 2), 0);
        assert_eq!(allowed(now + WINDOW), 10);
    }
}
