//! What an operator sets for a function.

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigValue {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Boolean(bool),
}
