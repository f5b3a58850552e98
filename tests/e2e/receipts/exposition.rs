//! What OpenMetrics text must be (OpenMetrics 1.0), checked line by line.

use std::collections::{BTreeMap, BTreeSet};

/// One sample: its name, its labels in order, its value.
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    value: f64,
}

/// Panics with the place when `text` is not valid; returns the families and their types.
pub(super) fn check(text: &str) -> BTreeMap<String, String> {
    assert!(text.ends_with("# EOF\n"), "it ends with EOF");
    let mut types: BTreeMap<String, String> = BTreeMap::new();
    let mut series = BTreeSet::new();
    let mut family = String::new();
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for line in text.lines() {
        if line == "# EOF" {
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            let old = types.insert(name.to_owned(), kind.to_owned());
            assert_eq!(old, None, "each family once: {line}");
            name.clone_into(&mut family);
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.contains(' '), "{line}");
            continue;
        }
        let sample = parse(line);
        let suffix = sample
            .name
            .strip_prefix(family.as_str())
            .unwrap_or_else(|| panic!("{line}: not of {family}"));
        let kind = types
            .get(&family)
            .unwrap_or_else(|| panic!("{line}: no TYPE"));
        let right = match kind.as_str() {
            "counter" => suffix == "_total",
            "gauge" => suffix.is_empty(),
            _ => matches!(suffix, "_bucket" | "_count" | "_sum"),
        };
        assert!(right, "{line}: not a sample of a {kind}");
        assert!(sample.value >= 0.0, "{line}");
        let id = format!("{} {:?}", sample.name, sample.labels);
        assert!(series.insert(id), "{line}: twice");
        let without_bound: Vec<_> = sample
            .labels
            .iter()
            .filter(|(name, _)| *name != "le")
            .collect();
        let histogram = format!("{family} {without_bound:?}");
        if suffix == "_bucket" {
            let bound = sample
                .labels
                .iter()
                .find(|(name, _)| *name == "le")
                .unwrap()
                .1;
            let bound = bound.replace("+Inf", "inf").parse().unwrap();
            buckets
                .entry(histogram)
                .or_default()
                .push((bound, sample.value));
        } else if suffix == "_count" {
            counts.insert(histogram, sample.value);
        }
    }
    for (histogram, buckets) in &buckets {
        for pair in buckets.windows(2) {
            assert!(
                pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1,
                "{histogram}: {buckets:?}"
            );
        }
        let last = buckets.last().unwrap();
        assert!(last.0.is_infinite(), "{histogram}");
        assert_eq!(Some(&last.1), counts.get(histogram), "{histogram}");
    }
    types
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn parse(line: &str) -> Sample<'_> {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        None => (series, ""),
        Some((name, labels)) => (
            name,
            labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}")),
        ),
    };
    assert!(is_name(name), "{line}");
    let mut parsed = Vec::new();
    let mut rest = labels;
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(label), "{line}");
        // Ours have no escapes: names of the configuration, and words.
        let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("{line}"));
        parsed.push((label, value));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    Sample {
        name,
        labels: parsed,
        value: value.parse().unwrap_or_else(|_| panic!("{line}")),
    }
}
