//! The log in tests.

use super::Host;
use crate::backend::native::with;
use crate::log::{Level, Value};

/// One line that a function logged.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// Its text.
    pub message: String,
    /// Its fields, in order.
    pub fields: Vec<(String, Value<'static>)>,
}

impl LogLine {
    /// The value of the field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value<'static>> {
        let mut fields = self.fields.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }
}

impl Host {
    /// Sets the lowest level that is logged; without it everything is.
    pub fn log_level(self, level: Level) -> Self {
        with(|state| state.log.threshold = level);
        self
    }

    /// What was logged so far, in order.
    #[must_use]
    pub fn logged(&self) -> Vec<LogLine> {
        with(|state| state.log.lines.clone())
    }
}
