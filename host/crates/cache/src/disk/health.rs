//! Whether the disk works: on, or off for a reason, with metrics for both.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::tier::Off;

/// Reads in a row that take too long before the disk counts as unresponsive.
const SLOW_MAX: u32 = 16;

/// See the module.
pub(super) struct Health {
    /// 0 is on, else one more than the place in [`OFF`].
    state: AtomicU8,
    slow: AtomicU32,
    times_off: AtomicU64,
}

const OFF: [Off; 5] = [
    Off::Full,
    Off::ReadOnly,
    Off::Missing,
    Off::Failing,
    Off::Unresponsive,
];

impl Health {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU8::new(0),
            slow: AtomicU32::new(0),
            times_off: AtomicU64::new(0),
        }
    }

    /// Why it is off, if it is.
    pub(super) fn off(&self) -> Option<Off> {
        let place = self.state.load(Ordering::Acquire).checked_sub(1)?;
        Some(OFF.get(usize::from(place)).copied().unwrap_or(Off::Failing))
    }

    /// It is off from now on; says whether it was on before.
    pub(super) fn turn_off(&self, off: Off) -> bool {
        let place = OFF.iter().position(|known| *known == off).unwrap_or(0);
        let state = u8::try_from(place).unwrap_or(0).saturating_add(1);
        let was_on = self.state.swap(state, Ordering::AcqRel) == 0;
        if was_on {
            self.times_off.fetch_add(1, Ordering::Relaxed);
        }
        was_on
    }

    pub(super) fn turn_on(&self) {
        self.slow.store(0, Ordering::Relaxed);
        self.state.store(0, Ordering::Release);
    }

    /// A read took too long; says whether that was one too many.
    pub(super) fn note_slow(&self) -> bool {
        self.slow.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= SLOW_MAX
    }

    pub(super) fn note_answer(&self) {
        if self.slow.load(Ordering::Relaxed) > 0 {
            self.slow.store(0, Ordering::Relaxed);
        }
    }

    /// How often it was turned off.
    pub(super) fn times_off(&self) -> u64 {
        self.times_off.load(Ordering::Relaxed)
    }
}

/// What an error of the file system says about the disk.
pub(super) fn off_for(error: &io::Error) -> Off {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Off::Full,
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Off::ReadOnly,
        ErrorKind::NotFound | ErrorKind::NotADirectory => Off::Missing,
        _ => Off::Failing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_off_until_it_is_on_again_and_counts_once() {
        let health = Health::new();
        assert_eq!(health.off(), None);
        assert!(health.turn_off(Off::Full));
        assert!(!health.turn_off(Off::ReadOnly));
        assert_eq!(health.off(), Some(Off::ReadOnly));
        health.turn_on();
        assert_eq!((health.off(), health.times_off()), (None, 1));
    }

    #[test]
    fn slow_answers_in_a_row_are_too_many() {
        let health = Health::new();
        assert!((1..SLOW_MAX).all(|_| !health.note_slow()));
        health.note_answer();
        assert!((1..SLOW_MAX).all(|_| !health.note_slow()));
        assert!(health.note_slow());
    }

    #[test]
    fn errors_have_their_names() {
        for (kind, expected) in [
            (ErrorKind::StorageFull, Off::Full),
            (ErrorKind::FileTooLarge, Off::Full),
            (ErrorKind::ReadOnlyFilesystem, Off::ReadOnly),
            (ErrorKind::NotADirectory, Off::Missing),
            (ErrorKind::Other, Off::Failing),
        ] {
            assert_eq!(off_for(&io::Error::from(kind)), expected);
        }
    }
}
