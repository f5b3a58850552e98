//! What a function logs.

use serde::{Deserialize, Serialize};

/// How much a line of log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LogLevel {
    /// For following single steps.
    Trace,
    /// For finding errors.
    Debug,
    /// What stdout is logged at.
    Info,
    /// What stderr is logged at.
    Warn,
    /// Something failed.
    Error,
}

/// What a line says beside its message.
#[derive(Clone, Debug, PartialEq)]
pub struct LogField {
    /// Its name, as the guest wrote it.
    pub name: String,
    /// Its value.
    pub value: LogValue,
}

/// The value of a field of a line.
#[derive(Clone, Debug, PartialEq)]
pub enum LogValue {
    /// Text without control characters.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A number, perhaps not a finite one.
    Float(f64),
    /// True or false.
    Boolean(bool),
}
