//! What a test's function logged.

use super::with;
use crate::log::{Level, Value};
use crate::testing::LogLine;

pub(crate) struct Lines {
    pub(crate) lines: Vec<LogLine>,
    pub(crate) threshold: Level,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            lines: Vec::new(),
            threshold: Level::Trace,
        }
    }
}

pub(crate) fn write(level: Level, message: &str) {
    write_with(level, message, &[]);
}

pub(crate) fn write_with(level: Level, message: &str, fields: &[(&str, Value<'_>)]) {
    let owned = |value: &Value<'_>| match value {
        Value::Text(text) => Value::Text(text.clone().into_owned().into()),
        Value::Integer(number) => Value::Integer(*number),
        Value::Unsigned(number) => Value::Unsigned(*number),
        Value::Float(number) => Value::Float(*number),
        Value::Boolean(is) => Value::Boolean(*is),
    };
    let fields = fields.iter();
    let line = LogLine {
        level,
        message: message.to_owned(),
        fields: fields
            .map(|(name, value)| ((*name).to_owned(), owned(value)))
            .collect(),
    };
    with(|state| {
        if level >= state.log.threshold {
            state.log.lines.push(line);
        }
    });
}

pub(crate) fn threshold() -> Level {
    with(|state| state.log.threshold)
}
