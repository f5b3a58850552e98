//! What a function says, in the node's log.

use std::fmt;

use serde_json::{Map, Value};
use verge_runtime::capabilities::{CallId, LogField, LogLevel, LogValue};

/// The field of a line under which a function's own fields stand.
pub(crate) const FIELDS: &str = "fields";

/// One line at a level that is known only now.
macro_rules! at {
    ($level:expr, $($line:tt)+) => {
        match $level {
            LogLevel::Trace => tracing::trace!(target: "function", $($line)+),
            LogLevel::Debug => tracing::debug!(target: "function", $($line)+),
            LogLevel::Info => tracing::info!(target: "function", $($line)+),
            LogLevel::Warn => tracing::warn!(target: "function", $($line)+),
            LogLevel::Error => tracing::error!(target: "function", $($line)+),
        }
    };
}

/// One line.
pub(super) fn write(call: &CallId, level: LogLevel, message: &str) {
    let (function, request) = (&*call.function, &*call.request);
    at!(level, function, request, "{message}");
}

/// One line with fields: in the node's JSON log an object, in its text log the text of one.
pub(super) fn write_with(call: &CallId, level: LogLevel, message: &str, fields: &[LogField]) {
    let (function, request) = (&*call.function, &*call.request);
    let fields = Fields(fields);
    at!(level, function, request, %fields, "{message}");
}

/// The level of the configuration in the runtime's words.
pub(super) fn level(level: verge_config::LogLevel) -> LogLevel {
    match level {
        verge_config::LogLevel::Trace => LogLevel::Trace,
        verge_config::LogLevel::Debug => LogLevel::Debug,
        verge_config::LogLevel::Info => LogLevel::Info,
        verge_config::LogLevel::Warn => LogLevel::Warn,
        verge_config::LogLevel::Error => LogLevel::Error,
    }
}

/// Fields as one JSON object. Of two with one name the last counts.
struct Fields<'a>(&'a [LogField]);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut object = Map::new();
        for field in self.0 {
            let value = match &field.value {
                LogValue::Text(text) => Value::from(text.as_str()),
                LogValue::Integer(number) => Value::from(*number),
                LogValue::Unsigned(number) => Value::from(*number),
                // JSON has no infinity: it is said in words.
                LogValue::Float(number) if !number.is_finite() => Value::from(number.to_string()),
                LogValue::Float(number) => Value::from(*number),
                LogValue::Boolean(is) => Value::from(*is),
            };
            object.insert(field.name.clone(), value);
        }
        write!(formatter, "{}", Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_one_json_object() {
        let field = |name: &str, value| LogField {
            name: name.into(),
            value,
        };
        let fields = [
            field("b", LogValue::Text("say \"hi\"".into())),
            field("a", LogValue::Integer(-1)),
            field("c", LogValue::Float(f64::INFINITY)),
            field("d", LogValue::Float(0.5)),
            field("e", LogValue::Unsigned(u64::MAX)),
            field("f", LogValue::Boolean(true)),
        ];
        let expected =
            r#"{"a":-1,"b":"say \"hi\"","c":"inf","d":0.5,"e":18446744073709551615,"f":true}"#;
        assert_eq!(Fields(&fields).to_string(), expected);
    }
}
