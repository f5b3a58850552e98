//! What a function counts, and the form that names and labels have.

/// Most labels of one series.
pub const METRIC_LABELS: usize = 8;
/// Longest name of a metric or a label, in bytes.
pub const METRIC_NAME_BYTES: usize = 64;
/// Longest value of a label, in bytes.
pub const METRIC_VALUE_BYTES: usize = 128;

/// Labels that the node sets.
const RESERVED: [&str; 4] = ["function", "counter", "histogram", "le"];

/// Why nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricError {
    /// A name that no metric or label can have.
    NameInvalid,
    /// Too many labels, or too long a value.
    LabelsTooLarge,
    /// A value that is not finite.
    ValueInvalid,
}

/// What becomes of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricUpdate {
    /// Added to a counter.
    Count(u64),
    /// A value of a histogram.
    Observe(f64),
}

/// Whether a metric may have this name and these labels, sorted by name, and this value.
///
/// # Errors
/// What is wrong with them.
pub fn check_metric(
    name: &str,
    labels: &[(String, String)],
    update: MetricUpdate,
) -> Result<(), MetricError> {
    if labels.len() > METRIC_LABELS
        || labels
            .iter()
            .any(|(_, value)| value.len() > METRIC_VALUE_BYTES)
    {
        return Err(MetricError::LabelsTooLarge);
    }
    let twice = labels
        .iter()
        .zip(labels.iter().skip(1))
        .any(|((one, _), (other, _))| one == other);
    let reserved = |name: &str| RESERVED.contains(&name) || name.starts_with("__");
    let labels_fit = labels
        .iter()
        .all(|(name, _)| is_name(name) && !reserved(name));
    if !is_name(name) || twice || !labels_fit {
        return Err(MetricError::NameInvalid);
    }
    match update {
        MetricUpdate::Observe(value) if !value.is_finite() => Err(MetricError::ValueInvalid),
        MetricUpdate::Observe(_) | MetricUpdate::Count(_) => Ok(()),
    }
}

/// OpenMetrics 1.0, `metricname` and `label-name`, without the colon.
fn is_name(text: &str) -> bool {
    text.len() <= METRIC_NAME_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Vec<(String, String)> {
        let named = names.iter().map(|name| ((*name).to_owned(), "v".into()));
        named.collect()
    }

    #[test]
    fn names_labels_and_values_are_checked() {
        let count = MetricUpdate::Count(1);
        let long = "a".repeat(METRIC_NAME_BYTES + 1);
        let cases: [(&str, &[&str], MetricUpdate, Option<MetricError>); 11] = [
            ("orders", &["plan", "region"], count, None),
            ("_a9", &[], MetricUpdate::Observe(-0.5), None),
            ("", &[], count, Some(MetricError::NameInvalid)),
            ("9a", &[], count, Some(MetricError::NameInvalid)),
            ("a-b", &[], count, Some(MetricError::NameInvalid)),
            (&long, &[], count, Some(MetricError::NameInvalid)),
            ("a", &["le"], count, Some(MetricError::NameInvalid)),
            ("a", &["__x"], count, Some(MetricError::NameInvalid)),
            ("a", &["x", "x"], count, Some(MetricError::NameInvalid)),
            (
                "a",
                &["a", "b", "c", "d", "e", "f", "g", "h", "i"],
                count,
                Some(MetricError::LabelsTooLarge),
            ),
            (
                "a",
                &[],
                MetricUpdate::Observe(f64::NAN),
                Some(MetricError::ValueInvalid),
            ),
        ];
        for (name, names, update, error) in cases {
            let checked = check_metric(name, &labels(names), update);
            assert_eq!(checked.err(), error, "{name} {names:?}");
        }
        let long = vec![("a".to_owned(), "v".repeat(METRIC_VALUE_BYTES + 1))];
        let checked = check_metric("a", &long, count);
        assert_eq!(checked, Err(MetricError::LabelsTooLarge));
    }
}
