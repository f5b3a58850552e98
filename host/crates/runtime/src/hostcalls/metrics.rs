//! `verge:edge/metrics`.

use crate::bindings::verge::edge::metrics;
use crate::capabilities::{MetricError, MetricUpdate, check_metric};
use crate::state::CallState;

impl metrics::Host for CallState {
    fn count(
        &mut self,
        name: String,
        amount: u64,
        labels: Vec<metrics::Label>,
    ) -> wasmtime::Result<Result<(), metrics::MetricError>> {
        self.metric(&name, labels, MetricUpdate::Count(amount))
    }

    fn observe(
        &mut self,
        name: String,
        value: f64,
        labels: Vec<metrics::Label>,
    ) -> wasmtime::Result<Result<(), metrics::MetricError>> {
        self.metric(&name, labels, MetricUpdate::Observe(value))
    }
}

impl CallState {
    fn metric(
        &mut self,
        name: &str,
        labels: Vec<metrics::Label>,
        update: MetricUpdate,
    ) -> wasmtime::Result<Result<(), metrics::MetricError>> {
        self.hostcall()?;
        let mut labels: Vec<(String, String)> = labels
            .into_iter()
            .map(|label| (label.name, label.value))
            .collect();
        labels.sort_unstable();
        Ok(match check_metric(name, &labels, update) {
            Ok(()) => {
                self.capabilities().count(name, &labels, update);
                Ok(())
            }
            Err(MetricError::NameInvalid) => Err(metrics::MetricError::NameInvalid),
            Err(MetricError::LabelsTooLarge) => Err(metrics::MetricError::LabelsTooLarge),
            Err(MetricError::ValueInvalid) => Err(metrics::MetricError::ValueInvalid),
        })
    }
}
