//! What a test's function logged.

use super::with;
use crate::log::Level;
use crate::testing::LogLine;

#[derive(Default)]
pub(crate) struct Lines(pub(crate) Vec<LogLine>);

pub(crate) fn write(level: Level, message: &str) {
    let message = message.to_owned();
    with(|state| state.log.0.push(LogLine { level, message }));
}
