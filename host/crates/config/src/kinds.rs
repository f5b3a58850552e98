//! The kinds of value that a key can have: how each is read, which range it
//! has, and how it is described to whoever wrote something else.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use crate::units;

/// Reads one value that is neither a table nor a list.
pub(crate) trait Kind {
    /// What the value becomes.
    type Value;
    /// What would be right, in words that follow "expected".
    fn expected(&self) -> String;
    /// The value, or what is wrong with it.
    fn read(&self, value: &DeValue<'_>) -> Result<Self::Value, String>;
    /// The value as it would be written in a file.
    fn show(&self, value: &Self::Value) -> String;
}

/// Says that a value has the wrong type.
pub(crate) fn found(value: &DeValue<'_>) -> String {
    let kind = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("found {kind}")
}

/// A text in quotes, as it would be written.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

/// A value as a string, or what it is instead.
pub(crate) fn text_of<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(found(other)),
    }
}

/// A whole number, digits with their radix; none above `u64` or below zero.
fn whole(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A whole number without a unit.
pub(crate) struct Count<T>(pub(crate) RangeInclusive<T>);

impl<T> Kind for Count<T>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display,
{
    type Value = T;

    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, value: &DeValue<'_>) -> Result<T, String> {
        let DeValue::Integer(integer) = value else {
            return Err(found(value));
        };
        whole(integer)
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| self.0.contains(number))
            .ok_or_else(|| format!("{integer} is out of range"))
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}

/// A length of time with its unit.
pub(crate) struct Time(pub(crate) RangeInclusive<Duration>);

/// The range of a [`Time`], written with units. Only for texts of ours.
pub(crate) fn time(from: &str, to: &str) -> Time {
    let read = |text| units::parse_duration(text).expect("ranges in the schema have valid units");
    Time(read(from)..=read(to))
}

impl Kind for Time {
    type Value = Duration;

    fn expected(&self) -> String {
        let (from, to) = (
            units::show_duration(*self.0.start()),
            units::show_duration(*self.0.end()),
        );
        format!("a duration with its unit, from \"{from}\" to \"{to}\"")
    }

    fn read(&self, value: &DeValue<'_>) -> Result<Duration, String> {
        if let DeValue::Integer(integer) = value {
            return Err(format!("{integer} has no unit"));
        }
        let text = text_of(value)?;
        let duration = units::parse_duration(text)?;
        if self.0.contains(&duration) {
            Ok(duration)
        } else {
            Err(format!("`{text}` is out of range"))
        }
    }

    fn show(&self, value: &Duration) -> String {
        quoted(&units::show_duration(*value))
    }
}

/// A size in bytes, with its unit or as a plain number of bytes.
pub(crate) struct Size<T>(pub(crate) RangeInclusive<T>);

impl<T> Kind for Size<T>
where
    T: TryFrom<u64> + PartialOrd + Copy,
    u64: TryFrom<T>,
{
    type Value = T;

    fn expected(&self) -> String {
        let show = |size: T| units::show_size(u64::try_from(size).unwrap_or(u64::MAX));
        format!(
            "a size in bytes, from \"{}\" to \"{}\"",
            show(*self.0.start()),
            show(*self.0.end())
        )
    }

    fn read(&self, value: &DeValue<'_>) -> Result<T, String> {
        let (size, shown) = match value {
            DeValue::Integer(integer) => (whole(integer), integer.to_string()),
            other => {
                let text = text_of(other)?;
                (Some(units::parse_size(text)?), format!("`{text}`"))
            }
        };
        size.and_then(|size| T::try_from(size).ok())
            .filter(|size| self.0.contains(size))
            .ok_or_else(|| format!("{shown} is out of range"))
    }

    fn show(&self, value: &T) -> String {
        quoted(&units::show_size(u64::try_from(*value).unwrap_or(u64::MAX)))
    }
}

/// A rate in bytes for each second.
pub(crate) struct Rate(pub(crate) RangeInclusive<u64>);

impl Kind for Rate {
    type Value = u64;

    fn expected(&self) -> String {
        let (from, to) = (
            units::show_size(*self.0.start()),
            units::show_size(*self.0.end()),
        );
        format!("a rate, from \"{from}/s\" to \"{to}/s\"")
    }

    fn read(&self, value: &DeValue<'_>) -> Result<u64, String> {
        if let DeValue::Integer(integer) = value {
            return Err(format!("{integer} has no unit"));
        }
        let text = text_of(value)?;
        let rate = units::parse_rate(text)?;
        if self.0.contains(&rate) {
            Ok(rate)
        } else {
            Err(format!("`{text}` is out of range"))
        }
    }

    fn show(&self, value: &u64) -> String {
        quoted(&format!("{}/s", units::show_size(*value)))
    }
}

/// `true` or `false`.
pub(crate) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<bool, String> {
        value.as_bool().ok_or_else(|| found(value))
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// One of a few words; an `Err` stands for a word that is known and not
/// available, with the reason.
pub(crate) struct Choice<T: 'static>(pub(crate) &'static [(&'static str, Result<T, &'static str>)]);

impl<T: Copy + PartialEq> Kind for Choice<T> {
    type Value = T;

    fn expected(&self) -> String {
        let available = self.0.iter().filter(|(_, value)| value.is_ok());
        let words: Vec<String> = available.map(|(word, _)| quoted(word)).collect();
        words.join(" or ")
    }

    fn read(&self, value: &DeValue<'_>) -> Result<T, String> {
        let text = text_of(value)?;
        match self.0.iter().find(|(word, _)| *word == text) {
            Some((_, Ok(value))) => Ok(*value),
            Some((_, Err(reason))) => Err(format!("\"{text}\" {reason}")),
            None => Err(format!("{} is not known", quoted(text))),
        }
    }

    fn show(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, known)| known.as_ref() == Ok(value));
        quoted(word.map_or("", |(word, _)| word))
    }
}

/// A string of a certain form.
pub(crate) struct Text {
    /// What it is, with its article: "a file path".
    pub(crate) what: &'static str,
    /// Whether a string has the form.
    pub(crate) accepts: fn(&str) -> bool,
}

impl Kind for Text {
    type Value = String;

    fn expected(&self) -> String {
        self.what.to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<String, String> {
        let text = text_of(value)?;
        if (self.accepts)(text) {
            Ok(text.to_owned())
        } else {
            Err(format!("{} is not valid", quoted(text)))
        }
    }

    fn show(&self, value: &String) -> String {
        quoted(value)
    }
}

/// Any string, empty ones too.
pub(crate) const ANY_TEXT: Text = Text {
    what: "a string",
    accepts: |_| true,
};

/// The name of an environment variable.
pub(crate) const VARIABLE: Text = Text {
    what: "the name of an environment variable",
    accepts: |text| !text.is_empty() && !text.contains(['=', '\0']),
};

/// A field name, which is a token (RFC 9110 5.1).
pub(crate) const FIELD_NAME: Text = Text {
    what: "a field name",
    accepts: is_token,
};

/// A field value without control characters (RFC 9110 5.5).
pub(crate) const FIELD_VALUE: Text = Text {
    what: "a field value: visible characters, with single spaces or tabs inside",
    accepts: is_field_value,
};

/// Whether a text is a token (RFC 9110 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether a text is a field value without surrounding blanks (RFC 9110 5.5).
pub(crate) fn is_field_value(text: &str) -> bool {
    text.trim_matches([' ', '\t']) == text && text.chars().all(|c| c == '\t' || !c.is_control())
}

/// Whether a text can name an origin, a function or a secret.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// What a name is made of, for errors.
pub(crate) const NAME_EXPECTED: &str =
    "up to 64 letters, digits, `-`, `_` and `.`, the first a letter or a digit";

/// The pseudonym of the node: a token in Via (RFC 9110 7.6.3), Cache-Status
/// (RFC 9211 2) and CDN-Loop (RFC 8586 2).
pub(crate) const PSEUDONYM: Text = Text {
    what: NAME_EXPECTED,
    accepts: |text| is_name(text) && text.starts_with(|c: char| c.is_ascii_alphabetic()),
};

/// A path of a file or folder, not yet resolved.
pub(crate) struct FilePath;

impl Kind for FilePath {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a path, relative to this file's folder".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<PathBuf, String> {
        match text_of(value)? {
            text if text.is_empty() || text.contains('\0') => {
                Err(format!("{} is not valid", quoted(text)))
            }
            text => Ok(PathBuf::from(text)),
        }
    }

    fn show(&self, value: &PathBuf) -> String {
        quoted(&value.to_string_lossy())
    }
}

/// A value that may be absent.
pub(crate) struct Maybe<K>(pub(crate) K);

impl<K: Kind> Kind for Maybe<K> {
    type Value = Option<K::Value>;

    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<Self::Value, String> {
        self.0.read(value).map(Some)
    }

    fn show(&self, value: &Self::Value) -> String {
        value
            .as_ref()
            .map_or_else(|| "none".to_owned(), |value| self.0.show(value))
    }
}
