//! `[function.NAME.config]`: what an operator sets for a function.

use std::fmt;

use toml::de::DeValue;

use crate::kinds::{Kind, found, quoted};

/// The value of a function's setting.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Boolean(bool),
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Integer(one), Self::Integer(other)) => one == other,
            // As they are written: a setting that is not a number has not changed.
            (Self::Float(one), Self::Float(other)) => one.to_bits() == other.to_bits(),
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Setting {}

/// As text: what a function gets that asks for one.
impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(formatter),
            Self::Integer(number) => number.fmt(formatter),
            Self::Float(number) => number.fmt(formatter),
            Self::Boolean(is) => is.fmt(formatter),
        }
    }
}

/// Any value that is neither a list nor a table nor a date.
pub(crate) struct AnySetting;

impl Kind for AnySetting {
    type Value = Setting;

    fn expected(&self) -> String {
        "a string, a number, true or false".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<Setting, String> {
        match value {
            DeValue::String(text) => Ok(Setting::Text(text.clone().into_owned())),
            DeValue::Boolean(is) => Ok(Setting::Boolean(*is)),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Setting::Integer)
                .map_err(|_| format!("{} is over 64 bits", number.as_str())),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map(Setting::Float)
                .map_err(|_| format!("{} is not valid", number.as_str())),
            other => Err(found(other)),
        }
    }

    fn show(&self, value: &Setting) -> String {
        match value {
            Setting::Text(text) => quoted(text),
            other => other.to_string(),
        }
    }
}
