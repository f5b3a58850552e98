//! Wall time that never makes a response younger than it is.
//!
//! The wall clock can be set while the node runs. What is written down as wall
//! time is the earlier of what the wall clock says and of what it said at the
//! start plus the time that passed since; what is read is compared with the
//! later of the two. So a clock that is set, forth or back, can only add age.

use std::time::{Instant, SystemTime};

use verge_base::Clock;

/// See the module; one for a process.
#[derive(Clone, Debug)]
pub struct Walls {
    clock: Clock,
    started: Instant,
    started_wall: SystemTime,
}

impl Walls {
    /// Anchored at the present time of `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            started: clock.now(),
            started_wall: clock.wall(),
            clock,
        }
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The wall time of `moment`, to be written down.
    #[must_use]
    pub fn of(&self, moment: Instant) -> SystemTime {
        let (now, wall) = (self.clock.now(), self.clock.wall());
        let ago = now.saturating_duration_since(moment);
        let by_clock = wall.checked_sub(ago);
        let by_start = match moment.checked_duration_since(self.started) {
            Some(after) => self.started_wall.checked_add(after),
            None => self
                .started_wall
                .checked_sub(self.started.saturating_duration_since(moment)),
        };
        // What cannot be said counts as the oldest there is.
        match (by_clock, by_start) {
            (Some(by_clock), Some(by_start)) => by_clock.min(by_start),
            _ => SystemTime::UNIX_EPOCH,
        }
    }

    /// The wall time now, to compare with what was written down.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let passed = self.clock.now().saturating_duration_since(self.started);
        let wall = self.clock.wall();
        self.started_wall
            .checked_add(passed)
            .map_or(wall, |by_start| by_start.max(wall))
    }
}
