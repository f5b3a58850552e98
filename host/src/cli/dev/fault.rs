//! What an origin is told to do wrong, as a developer writes it:
//! `503 for 10s`, `app: delay 2s`, `refuse`, `none`. Pure text to value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;
use verge_config::{parse_duration, show_duration};

/// The longest that an answer can be delayed.
const DELAY_MAX: Duration = Duration::from_secs(3600);

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Nothing.
    #[default]
    None,
    /// Each request is answered with this status.
    Status(StatusCode),
    /// Each request is answered so much later.
    Delay(Duration),
    /// Connections are refused, and those that there are end.
    Refuse,
}

/// One fault: where, what, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The origin's name; every origin without one.
    pub(super) origin: Option<String>,
    pub(super) kind: FaultKind,
    /// Until another takes its place, without a time.
    pub(super) lasts: Option<Duration>,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (origin, rest) = match text.split_once(':') {
            Some((origin, rest)) => (Some(origin.trim()), rest),
            None => (None, text),
        };
        // The word itself stands for all of them, as `*` does.
        let origin = origin.filter(|name| !matches!(*name, "origin" | "*" | ""));
        let (kind, lasts) = match rest.split_once(" for ") {
            Some((kind, time)) => (kind, Some(parse_duration(time.trim())?)),
            None => (rest, None),
        };
        Ok(Self {
            origin: origin.map(str::to_owned),
            kind: kind.trim().parse()?,
            lasts,
        })
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => return Ok(Self::None),
            "refuse" => return Ok(Self::Refuse),
            _ => {}
        }
        if let Some(time) = text.strip_prefix("delay ") {
            let delay = parse_duration(time.trim())?;
            return if delay <= DELAY_MAX {
                Ok(Self::Delay(delay))
            } else {
                Err(format!("`{text}` is longer than an hour"))
            };
        }
        let status = text
            .parse::<u16>()
            .ok()
            .filter(|code| (200..=599).contains(code));
        status
            .and_then(|code| StatusCode::from_u16(code).ok())
            .map(Self::Status)
            .ok_or_else(|| {
                format!(
                    "`{text}` is no fault; expected a status such as `503`, `delay 2s`, `refuse` or `none`, \
                     with `for 10s` behind it and an origin's name and `:` before it if need be"
                )
            })
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("as it is"),
            Self::Status(status) => write!(f, "answers {}", status.as_u16()),
            Self::Delay(delay) => write!(f, "answers {} later", show_duration(*delay)),
            Self::Refuse => f.write_str("refuses connections"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(origin: Option<&str>, kind: FaultKind, lasts: Option<u64>) -> Fault {
        Fault {
            origin: origin.map(str::to_owned),
            kind,
            lasts: lasts.map(Duration::from_secs),
        }
    }

    #[test]
    fn faults_are_read_as_they_are_said() {
        let unavailable = FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE);
        let delay = FaultKind::Delay(Duration::from_secs(2));
        for (text, expected) in [
            ("origin: 503 for 10s", fault(None, unavailable, Some(10))),
            ("503", fault(None, unavailable, None)),
            ("app: delay 2s", fault(Some("app"), delay, None)),
            ("delay 2s for 1m", fault(None, delay, Some(60))),
            ("refuse", fault(None, FaultKind::Refuse, None)),
            ("* : none", fault(None, FaultKind::None, None)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_fault_says_what_is() {
        for (text, named) in [
            ("break", "`break` is no fault"),
            ("99", "`99` is no fault"),
            ("delay 2", "`2` has no unit"),
            ("503 for ever", "whole number"),
            ("delay 9h", "longer than an hour"),
        ] {
            let refused = text.parse::<Fault>().unwrap_err();
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
