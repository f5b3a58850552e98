//! The node's log. Each line carries the function's name and the request id, and the fields that
//! are given to it, so that the log can be searched for them.
//!
//! ```
//! # let host = verge_sdk::testing::Host::new();
//! use verge_sdk::log;
//!
//! let variant = "B";
//! log::info!("assigned {variant}");
//! log::warn!(variant = variant, tries = 3; "assigned late");
//! # assert_eq!(host.logged()[0].message, "assigned B");
//! # assert_eq!(host.logged()[1].field("tries"), Some(&log::Value::Integer(3)));
//! ```
//!
//! Lines below the function's `log_level` are not written; lines over its log limit are dropped
//! and counted. Never log a secret.

use std::borrow::Cow;
use std::fmt;

use crate::backend::imp;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words every log uses")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The value of a field. Strings, numbers and `bool` become one by `into`; what can only be
/// displayed, by [`Value::display`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the types' own names")]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Boolean(bool),
}

impl Value<'_> {
    /// What `value` shows of itself.
    ///
    /// ```
    /// # let host = verge_sdk::testing::Host::new();
    /// use verge_sdk::log::{self, Value};
    ///
    /// let client = std::net::Ipv4Addr::LOCALHOST;
    /// log::info!(client = Value::display(client); "came");
    /// # assert_eq!(host.logged()[0].field("client"), Some(&Value::from("127.0.0.1")));
    /// ```
    pub fn display(value: impl fmt::Display) -> Self {
        Self::Text(Cow::Owned(value.to_string()))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// One conversion for each type of number.
macro_rules! from_number {
    ($($number:ty => $variant:ident,)*) => {$(
        impl From<$number> for Value<'_> {
            fn from(number: $number) -> Self {
                Self::$variant(number.into())
            }
        }
    )*};
}

from_number! {
    i8 => Integer, i16 => Integer, i32 => Integer, i64 => Integer,
    u8 => Unsigned, u16 => Unsigned, u32 => Unsigned, u64 => Unsigned,
    f32 => Float, f64 => Float,
    bool => Boolean,
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Self::Unsigned(number as u64)
    }
}

/// Writes one line.
pub fn write(level: Level, message: impl fmt::Display) {
    imp::log::write(level, &message.to_string());
}

/// Writes one line with fields.
pub fn write_with(level: Level, message: impl fmt::Display, fields: &[(&str, Value<'_>)]) {
    imp::log::write_with(level, &message.to_string(), fields);
}

/// Whether lines of this level are written: what only they need must not be made otherwise.
#[must_use]
pub fn is_enabled(level: Level) -> bool {
    level >= imp::log::threshold()
}

/// Defines one macro for each level. `$d` is the dollar sign of the inner macro.
macro_rules! level_macros {
    ($d:tt $($name:ident $hidden:ident $level:ident $doc:literal)*) => {$(
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $hidden {
            ($d($d name:ident = $d value:expr),+ $d(,)? ; $d($d message:tt)+) => {
                $crate::log::write_with(
                    $crate::log::Level::$level,
                    ::core::format_args!($d($d message)+),
                    &[$d((::core::stringify!($d name), $crate::log::Value::from($d value))),+],
                )
            };
            ($d($d message:tt)+) => {
                $crate::log::write($crate::log::Level::$level, ::core::format_args!($d($d message)+))
            };
        }
        #[doc = $doc]
        pub use $hidden as $name;
    )*};
}

level_macros! { $
    trace __log_trace Trace "Logs what only its author wants to read."
    debug __log_debug Debug "Logs what helps to find a fault."
    info __log_info Info "Logs what happened."
    warn __log_warn Warn "Logs what should not happen, and did no harm."
    error __log_error Error "Logs what went wrong."
}
