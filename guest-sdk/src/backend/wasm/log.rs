//! `verge:edge/log`.

use super::bindings::imports::verge::edge::log;
use crate::log::{Level, Value};

pub(crate) fn write(level: Level, message: &str) {
    log::write(lower(level), message);
}

pub(crate) fn write_with(level: Level, message: &str, fields: &[(&str, Value<'_>)]) {
    let fields: Vec<log::Field<'_>> = fields
        .iter()
        .map(|(name, value)| log::Field {
            name,
            value: match value {
                Value::Text(text) => log::Value::Text(text),
                Value::Integer(number) => log::Value::Integer(*number),
                Value::Unsigned(number) => log::Value::Unsigned(*number),
                Value::Float(number) => log::Value::Float(*number),
                Value::Boolean(is) => log::Value::Boolean(*is),
            },
        })
        .collect();
    log::write_with(lower(level), message, &fields);
}

pub(crate) fn threshold() -> Level {
    match log::threshold() {
        log::Level::Trace => Level::Trace,
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    }
}

fn lower(level: Level) -> log::Level {
    match level {
        Level::Trace => log::Level::Trace,
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    }
}
