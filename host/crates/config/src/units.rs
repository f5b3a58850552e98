//! The units that values are written in: `"20ms"`, `"64KiB"`, `"1KiB/s"`.
//! Pure text to number and back; ranges are decided by the kinds that use it.

use std::time::Duration;

/// Units of time with their length in microseconds, the longest first.
const TIME: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Units of size in bytes, the largest first; binary ones before decimal ones.
const SIZE: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Reads a duration: a whole number and one of `us ms s m h d`.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, &TIME).map(Duration::from_micros)
}

/// Reads a size: a whole number and one of `B KiB MiB GiB TiB KB MB GB TB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    parse(text, &SIZE)
}

/// Reads a rate in bytes for each second: a size and `/s`.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    match text.strip_suffix("/s") {
        Some(size) => parse_size(size.trim_end()),
        None => Err(format!("`{text}` does not end in \"/s\"")),
    }
}

/// Writes a duration in the largest unit that divides it.
#[must_use]
pub fn show_duration(value: Duration) -> String {
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    if micros == 0 {
        return "0s".to_owned();
    }
    show(micros, &TIME)
}

/// Writes a size in the largest binary unit that divides it.
pub(crate) fn show_size(value: u64) -> String {
    if value == 0 {
        return "0B".to_owned();
    }
    show(value, &SIZE)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    if number.is_empty() {
        return Err(format!("`{text}` does not start with a whole number"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let known: Vec<&str> = units.iter().rev().map(|(name, _)| *name).collect();
        let what = if unit.is_empty() {
            format!("`{text}` has no unit")
        } else {
            format!("`{unit}` is not a unit")
        };
        return Err(format!("{what} (units: {})", known.join(", ")));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*factor))
        .ok_or_else(|| format!("`{text}` is too large"))
}

fn show(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| value.is_multiple_of(*factor))
        .map_or_else(
            || value.to_string(),
            |(unit, factor)| format!("{}{unit}", value / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        for (text, micros) in [
            ("0s", 0),
            ("7us", 7),
            ("20ms", 20_000),
            ("5s", 5_000_000),
            ("5 s", 5_000_000),
            ("1m", 60_000_000),
            ("2h", 7_200_000_000),
            ("1d", 86_400_000_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_micros(micros)),
                "{text}"
            );
        }
        for (text, message) in [
            ("5", "`5` has no unit (units: us, ms, s, m, h, d)"),
            ("5 sec", "`sec` is not a unit (units: us, ms, s, m, h, d)"),
            ("", "`` does not start with a whole number"),
            ("-1s", "`-1s` does not start with a whole number"),
            ("1.5s", "`.5s` is not a unit (units: us, ms, s, m, h, d)"),
            ("99999999999999d", "`99999999999999d` is too large"),
            (
                "99999999999999999999s",
                "`99999999999999999999s` is too large",
            ),
        ] {
            assert_eq!(parse_duration(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn sizes_are_binary_or_decimal() {
        for (text, bytes) in [
            ("0B", 0),
            ("12B", 12),
            ("64KiB", 65_536),
            ("512MiB", 536_870_912),
            ("1GB", 1_000_000_000),
            ("2TiB", 2_199_023_255_552),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert!(parse_size("1kib").is_err());
        assert_eq!(parse_rate("1KiB/s"), Ok(1024));
        assert_eq!(
            parse_rate("1KiB"),
            Err("`1KiB` does not end in \"/s\"".to_owned())
        );
    }

    #[test]
    fn what_is_shown_reads_back() {
        for micros in [
            0,
            1,
            1_500,
            20_000,
            90_000_000,
            3_600_000_000,
            86_400_000_000,
        ] {
            let value = Duration::from_micros(micros);
            assert_eq!(parse_duration(&show_duration(value)), Ok(value));
        }
        for bytes in [0, 1, 1000, 1024, 65_536, 1_000_000, 3 << 30] {
            assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_size(65_536), "64KiB");
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
    }
}
