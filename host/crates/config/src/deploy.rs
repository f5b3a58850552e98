//! `[deploy]`, `[function.NAME.rollback]`: where versions of functions are kept, how many, who
//! may make them, and when one is taken back.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use crate::kinds::{Count, Kind, Size, quoted, text_of, time};
use crate::table::Table;

/// `[deploy]`: versions of functions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deploy {
    /// The folder with the versions and what is known of them, for this node alone; it is made if
    /// it is missing. Without it functions are what the configuration says, and nothing can be
    /// deployed to the node. Not reloadable.
    pub folder: Option<PathBuf>,
    /// Versions of a function that are kept, compiled and on disk; 2 to 20, default 5.
    pub kept: usize,
    /// Bytes of a component that is deployed; 1KiB to 32MiB, default 32MiB.
    pub component: usize,
    /// Calls of versions in the shadow at once, over all functions; 1 to 256, default 4. What comes
    /// while as many run is not compared.
    pub shadow_calls: usize,
    /// Public keys of minisign. Components of functions without keys of their own run only if one
    /// of these signed them. Default: none, and nothing need be signed.
    pub keys: Vec<String>,
}

/// A public key of minisign.
pub(crate) struct SigningKey;

/// Characters of such a key.
const KEY_LENGTH: usize = 56;

impl Kind for SigningKey {
    type Value = String;

    fn expected(&self) -> String {
        "a public key of minisign, the line that begins with RW".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<String, String> {
        let text = text_of(value)?;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if text.len() == KEY_LENGTH && text.starts_with("RW") && text.bytes().all(is_base64) {
            Ok(text.to_owned())
        } else {
            Err(format!("{} is no such key", quoted(text)))
        }
    }

    fn show(&self, value: &String) -> String {
        quoted(value)
    }
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            folder: None,
            kept: 5,
            component: 32 << 20,
            shadow_calls: 4,
            keys: Vec::new(),
        }
    }
}

impl Deploy {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            folder: table.output("folder"),
            kept: table.or("kept", &Count(2..=20), default.kept),
            component: table.or("component", &Size(1 << 10..=32 << 20), default.component),
            shadow_calls: table.or("shadow_calls", &Count(1..=256), default.shadow_calls),
            keys: table.list("keys", "public keys of minisign", true, &SigningKey),
        }
    }
}

/// Hundredths of a per cent.
pub(crate) struct Percent;

impl Kind for Percent {
    type Value = u16;

    fn expected(&self) -> String {
        "a percentage from \"0.01%\" to \"100%\"".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<u16, String> {
        let text = text_of(value)?;
        parse_percent(text).ok_or_else(|| format!("{} is none", quoted(text)))
    }

    fn show(&self, value: &u16) -> String {
        match (value / 100, value % 100) {
            (whole, 0) => quoted(&format!("{whole}%")),
            (whole, part) => quoted(&format!("{whole}.{part:02}%")),
        }
    }
}

fn parse_percent(text: &str) -> Option<u16> {
    let number = text.strip_suffix('%')?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 || whole.len() > 3 {
        return None;
    }
    let part: u16 = format!("{part:0<2}").parse().ok()?;
    let value = whole
        .parse::<u16>()
        .ok()?
        .checked_mul(100)?
        .checked_add(part)?;
    (1..=10_000).contains(&value).then_some(value)
}

/// `[function.NAME.rollback]`: when a version that was deployed is taken back by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rollback {
    /// Part of its calls that may fail, in hundredths of a per cent; 1 to 10000, default 2500.
    /// More, and it is taken back; at 10000 it never is.
    pub failures: u16,
    /// Time within which 95 of 100 calls must end; default none, any time.
    pub latency: Option<Duration>,
    /// Calls that it is judged by at least; 1 to 1000000, default 50.
    pub calls: u32,
    /// Time that is looked back; 1s to 1h, default 1m.
    pub window: Duration,
    /// Time for which a version is watched once it is live; 1s to 7d, default 10m. Beside the live
    /// one it always is.
    pub watched: Duration,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            failures: 2500,
            latency: None,
            calls: 50,
            window: Duration::from_secs(60),
            watched: Duration::from_secs(600),
        }
    }
}

impl Rollback {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            failures: table.or("failures", &Percent, default.failures),
            latency: table.maybe("latency", time("1ms", "1m")),
            calls: table.or("calls", &Count(1..=1_000_000), default.calls),
            window: table.or("window", &time("1s", "1h"), default.window),
            watched: table.or("watched", &time("1s", "7d"), default.watched),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_have_a_sign_and_two_places() {
        for (text, expected) in [
            ("5%", Some(500)),
            ("0.5%", Some(50)),
            ("100%", Some(10_000)),
            ("0%", None),
            ("100.01%", None),
            ("5", None),
            ("5.%", None),
            ("0.001%", None),
            ("-1%", None),
        ] {
            assert_eq!(parse_percent(text), expected, "{text}");
        }
    }
}
