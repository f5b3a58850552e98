//! Settings that the operator gave to this function, in its `config` table.
//!
//! ```
//! # use verge_sdk::testing::Host;
//! # let _host = Host::new().config("window", "60");
//! use verge_sdk::config;
//!
//! let window: u32 = config::parse("window")?.unwrap_or(10);
//! assert_eq!(window, 60);
//! assert_eq!(config::get("nothing"), None);
//! # Ok::<(), config::ConfigError>(())
//! ```

use std::fmt::Display;
use std::str::FromStr;

use crate::backend::imp;

/// A setting that is not what the function can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("config `{name}` = {value:?}: {reason}")]
pub struct ConfigError {
    name: String,
    value: String,
    reason: String,
}

/// The setting of that name.
#[must_use]
pub fn get(name: &str) -> Option<String> {
    imp::config::get(name)
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
    let Some(value) = get(name) else {
        return Ok(None);
    };
    match value.trim().parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) => Err(ConfigError {
            name: name.to_owned(),
            reason: T::Err::to_string(&error),
            value,
        }),
    }
}

/// The parts of a comma-separated setting, trimmed, empty ones left out.
#[must_use]
pub fn list(name: &str) -> Vec<String> {
    let value = get(name).unwrap_or_default();
    let parts = value.split(',').map(str::trim);
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}
