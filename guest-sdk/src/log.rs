//! The node's log. Each line carries the function's name and the request id.
//!
//! ```
//! # let host = verge_sdk::testing::Host::new();
//! use verge_sdk::log;
//!
//! let variant = "B";
//! log::info!("assigned {variant}");
//! # assert_eq!(host.logged()[0].message, "assigned B");
//! ```
//!
//! Lines over the function's log limit are dropped and counted. Never log a secret.

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

/// Writes one line.
pub fn write(level: Level, message: impl fmt::Display) {
    imp::log::write(level, &message.to_string());
}

/// Defines one macro for each level. `$d` is the dollar sign of the inner macro.
macro_rules! level_macros {
    ($d:tt $($name:ident $hidden:ident $level:ident $doc:literal)*) => {$(
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $hidden {
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
