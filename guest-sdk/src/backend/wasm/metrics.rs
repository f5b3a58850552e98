//! `verge:edge/metrics`.

use super::bindings::imports::verge::edge::metrics;
use crate::metrics::MetricError;

pub(crate) fn count(name: &str, amount: u64, labels: &[(&str, &str)]) -> Result<(), MetricError> {
    metrics::count(name, amount, &lower(labels)).map_err(lift)
}

pub(crate) fn observe(name: &str, value: f64, labels: &[(&str, &str)]) -> Result<(), MetricError> {
    metrics::observe(name, value, &lower(labels)).map_err(lift)
}

fn lower<'a>(labels: &[(&'a str, &'a str)]) -> Vec<metrics::Label<'a>> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| metrics::Label { name, value })
        .collect()
}

fn lift(error: metrics::MetricError) -> MetricError {
    match error {
        metrics::MetricError::NameInvalid => MetricError::NameInvalid,
        metrics::MetricError::LabelsTooLarge => MetricError::LabelsTooLarge,
        metrics::MetricError::ValueInvalid => MetricError::ValueInvalid,
    }
}
