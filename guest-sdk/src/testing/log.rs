//! The log in tests.

use super::Host;
use crate::backend::native::with;
use crate::log::Level;

/// One line that a function logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// Its text.
    pub message: String,
}

impl Host {
    /// What was logged so far, in order.
    #[must_use]
    pub fn logged(&self) -> Vec<LogLine> {
        with(|state| state.log.0.clone())
    }
}
