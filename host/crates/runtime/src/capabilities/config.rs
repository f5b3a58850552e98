//! What an operator sets for a function.

use serde::{Deserialize, Serialize};

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ConfigValue {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(#[serde(with = "crate::record::float")] f64),
    /// True or false.
    Boolean(bool),
}
