//! Numbers of the function's own: counters and histograms, which the node shows at `/metrics` with
//! the function's name.
//!
//! ```
//! # let host = verge_sdk::testing::Host::new();
//! use verge_sdk::metrics::{counter, histogram};
//!
//! counter("logins").label("plan", "pro").add(1)?;
//! histogram("basket_euros").observe(49.9)?;
//! # assert_eq!(host.counted("logins", &[("plan", "pro")]), 1);
//! # assert_eq!(host.observed("basket_euros", &[]), [49.9]);
//! # Ok::<(), verge_sdk::metrics::MetricError>(())
//! ```
//!
//! A series is one name with one set of labels, and the function's `metric_series` says how many
//! there may be: what is over it is counted in one series named `other`. Labels are for what has
//! few values (a plan, a country), never for users or paths.

use crate::backend::imp;

/// Why nothing was counted: a mistake of the function's code, not of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// Not a letter or `_` followed by at most 63 letters, digits and `_`; or a label that the
    /// node sets (`function`, `counter`, `histogram`, `le`), or the same one twice.
    #[error("no metric or label can have that name")]
    NameInvalid,
    /// More than 8 labels, or a value of more than 128 bytes.
    #[error("too many labels, or too long a value")]
    LabelsTooLarge,
    /// Not a finite number.
    #[error("the value is not a finite number")]
    ValueInvalid,
}

/// A number that grows.
#[derive(Clone, Debug)]
#[must_use = "nothing is counted before `add`"]
pub struct Counter<'a>(Series<'a>);

/// A distribution of values.
#[derive(Clone, Debug)]
#[must_use = "nothing is counted before `observe`"]
pub struct Histogram<'a>(Series<'a>);

#[derive(Clone, Debug)]
struct Series<'a> {
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
}

/// The counter of that name, without labels.
pub fn counter(name: &str) -> Counter<'_> {
    let labels = Vec::new();
    Counter(Series { name, labels })
}

/// The histogram of that name, without labels. Its buckets go from 0.001 to 10000.
pub fn histogram(name: &str) -> Histogram<'_> {
    let labels = Vec::new();
    Histogram(Series { name, labels })
}

impl<'a> Counter<'a> {
    /// The same with one more label.
    pub fn label(mut self, name: &'a str, value: &'a str) -> Self {
        self.0.labels.push((name, value));
        self
    }

    /// Adds to it.
    ///
    /// # Errors
    /// The name or the labels are not valid.
    pub fn add(&self, amount: u64) -> Result<(), MetricError> {
        imp::metrics::count(self.0.name, amount, &self.0.labels)
    }
}

impl<'a> Histogram<'a> {
    /// The same with one more label.
    pub fn label(mut self, name: &'a str, value: &'a str) -> Self {
        self.0.labels.push((name, value));
        self
    }

    /// Adds a value.
    ///
    /// # Errors
    /// The name or the labels are not valid, or the value is not finite.
    pub fn observe(&self, value: f64) -> Result<(), MetricError> {
        imp::metrics::observe(self.0.name, value, &self.0.labels)
    }
}
