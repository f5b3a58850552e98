//! Settings that the operator gave to this function, in its `config` table.
//!
//! ```
//! # use verge_sdk::testing::Host;
//! # let _host = Host::new().config("window", 60).config("strict", true).config("ttl", "5m");
//! use std::time::Duration;
//! use verge_sdk::config;
//!
//! let window: u32 = config::parse("window")?.unwrap_or(10);
//! assert_eq!(window, 60);
//! assert!(config::flag("strict")?.unwrap_or(false));
//! assert_eq!(config::duration("ttl")?, Some(Duration::from_secs(300)));
//! assert_eq!(config::get("nothing"), None);
//! # Ok::<(), config::ConfigError>(())
//! ```

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use crate::backend::imp;

/// A setting that is not what the function can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("config `{name}` = {value:?}: {reason}")]
pub struct ConfigError {
    name: String,
    value: String,
    reason: String,
}

/// A setting as it was written.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the types' own names")]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
}

/// As text: what [`get`] gives.
impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Boolean(is) => is.fmt(f),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Boolean(is)
    }
}

/// The setting of that name as text, whatever it was written as.
#[must_use]
pub fn get(name: &str) -> Option<String> {
    imp::config::get(name)
}

/// The setting of that name as it was written.
#[must_use]
pub fn value(name: &str) -> Option<Value> {
    imp::config::value(name)
}

/// The setting of that name as a number, an address or whatever else parses; `None` when it is not
/// set.
///
/// # Errors
/// It is set and does not parse.
pub fn parse<T>(name: &str) -> Result<Option<T>, ConfigError>
where
    T: FromStr,
    T::Err: Display,
{
    read(name, |text| {
        text.parse()
            .map_err(|error: T::Err| T::Err::to_string(&error))
    })
}

/// The setting of that name as true or false; `None` when it is not set.
///
/// # Errors
/// It is set and neither `true` nor `false`.
pub fn flag(name: &str) -> Result<Option<bool>, ConfigError> {
    parse(name)
}

/// The setting of that name as a time: a number with `ms`, `s`, `m`, `h` or `d`, as in the node's
/// own configuration; `None` when it is not set.
///
/// # Errors
/// It is set and no time.
pub fn duration(name: &str) -> Result<Option<Duration>, ConfigError> {
    read(name, |text| {
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => 0,
        };
        let number = number.parse::<u64>().ok();
        let millis = number.and_then(|n| n.checked_mul(millis).filter(|_| millis > 0));
        millis
            .map(Duration::from_millis)
            .ok_or_else(|| "expected a time such as \"10s\" or \"500ms\"".to_owned())
    })
}

/// The parts of a comma-separated setting, trimmed, empty ones left out.
#[must_use]
pub fn list(name: &str) -> Vec<String> {
    let value = get(name).unwrap_or_default();
    let parts = value.split(',').map(str::trim);
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn read<T>(
    name: &str,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigError> {
    let Some(value) = get(name) else {
        return Ok(None);
    };
    match read(value.trim()) {
        Ok(read) => Ok(Some(read)),
        Err(reason) => Err(ConfigError {
            name: name.to_owned(),
            reason,
            value,
        }),
    }
}
