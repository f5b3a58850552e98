//! `verge:edge/log`, and the same log as `wasi:logging/logging`.

use crate::bindings::verge::edge::log;
use crate::bindings::wasi::logging::logging;
use crate::capabilities::{LogField, LogLevel, LogValue};
use crate::state::CallState;

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.hostcall()?;
        self.log(from_wit(level), &message);
        Ok(())
    }

    fn write_with(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<log::Field>,
    ) -> wasmtime::Result<()> {
        self.hostcall()?;
        let fields = fields.into_iter().map(|field| LogField {
            name: field.name,
            value: match field.value {
                log::Value::Text(text) => LogValue::Text(text),
                log::Value::Integer(number) => LogValue::Integer(number),
                log::Value::Unsigned(number) => LogValue::Unsigned(number),
                log::Value::Float(number) => LogValue::Float(number),
                log::Value::Boolean(is) => LogValue::Boolean(is),
            },
        });
        self.log_with(from_wit(level), &message, fields.collect());
        Ok(())
    }

    fn threshold(&mut self) -> wasmtime::Result<log::Level> {
        self.hostcall()?;
        Ok(match self.capabilities().log_threshold() {
            LogLevel::Trace => log::Level::Trace,
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Info => log::Level::Info,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Error => log::Level::Error,
        })
    }
}

impl logging::Host for CallState {
    /// The context is a field of the line, unless it is empty.
    fn log(
        &mut self,
        level: logging::Level,
        context: String,
        message: String,
    ) -> wasmtime::Result<()> {
        self.hostcall()?;
        let level = match level {
            logging::Level::Trace => LogLevel::Trace,
            logging::Level::Debug => LogLevel::Debug,
            logging::Level::Info => LogLevel::Info,
            logging::Level::Warn => LogLevel::Warn,
            logging::Level::Error | logging::Level::Critical => LogLevel::Error,
        };
        if context.is_empty() {
            CallState::log(self, level, &message);
        } else {
            let name = "context".to_owned();
            let value = LogValue::Text(context);
            self.log_with(level, &message, vec![LogField { name, value }]);
        }
        Ok(())
    }
}

impl CallState {
    /// Logs a line with fields.
    pub(crate) fn log_with(&self, level: LogLevel, message: &str, fields: Vec<LogField>) {
        let id = self.call_id();
        let capabilities = self.capabilities();
        self.shared
            .log
            .write_with(capabilities, &id, level, message, fields);
    }
}

fn from_wit(level: log::Level) -> LogLevel {
    match level {
        log::Level::Trace => LogLevel::Trace,
        log::Level::Debug => LogLevel::Debug,
        log::Level::Info => LogLevel::Info,
        log::Level::Warn => LogLevel::Warn,
        log::Level::Error => LogLevel::Error,
    }
}
