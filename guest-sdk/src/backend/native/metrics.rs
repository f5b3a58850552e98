//! What a test's function counted.

use std::collections::HashMap;

use super::with;
use crate::metrics::MetricError;

/// Limits of a series, as `wit/metrics.wit` states them.
const LABELS: usize = 8;
const NAME_BYTES: usize = 64;
const VALUE_BYTES: usize = 128;
const RESERVED: [&str; 4] = ["function", "counter", "histogram", "le"];

/// A name, and its labels sorted by name.
pub(crate) type Series = (String, Vec<(String, String)>);

#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) counters: HashMap<Series, u64>,
    pub(crate) histograms: HashMap<Series, Vec<f64>>,
}

pub(crate) fn count(name: &str, amount: u64, labels: &[(&str, &str)]) -> Result<(), MetricError> {
    let series = checked(name, labels)?;
    with(|state| {
        let number = state.metrics.counters.entry(series).or_default();
        *number = number.wrapping_add(amount);
    });
    Ok(())
}

pub(crate) fn observe(name: &str, value: f64, labels: &[(&str, &str)]) -> Result<(), MetricError> {
    let series = checked(name, labels)?;
    if !value.is_finite() {
        return Err(MetricError::ValueInvalid);
    }
    with(|state| {
        let values = state.metrics.histograms.entry(series).or_default();
        values.push(value);
    });
    Ok(())
}

pub(crate) fn series(name: &str, labels: &[(&str, &str)]) -> Series {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut labels: Vec<(String, String)> = labels.iter().map(owned).collect();
    labels.sort_unstable();
    (name.to_owned(), labels)
}

fn checked(name: &str, labels: &[(&str, &str)]) -> Result<Series, MetricError> {
    if labels.len() > LABELS || labels.iter().any(|(_, value)| value.len() > VALUE_BYTES) {
        return Err(MetricError::LabelsTooLarge);
    }
    let series = series(name, labels);
    let mut pairs = series.1.windows(2);
    let twice = pairs.any(|pair| matches!(pair, [one, other] if one.0 == other.0));
    let fits = |name: &str| is_name(name) && !RESERVED.contains(&name) && !name.starts_with("__");
    if twice || !is_name(name) || !labels.iter().all(|(name, _)| fits(name)) {
        return Err(MetricError::NameInvalid);
    }
    Ok(series)
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
