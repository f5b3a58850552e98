//! What a function may ask this node for. One value for each function of a
//! generation; each capability has its file.

mod ended;
pub(crate) mod kv;
mod log;
mod rates;

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_runtime::CallEnd;
use verge_runtime::capabilities::{CallId, Capabilities, FetchOutcome, KvStores, LogLevel, Rates};

pub(crate) use self::ended::{log_failure, trigger_receipt};
pub(crate) use self::rates::FunctionRates;
use crate::secrets::SecretText;
use crate::telemetry::FunctionMetrics;

/// The capabilities of one function.
pub(crate) struct FunctionCapabilities {
    /// Its settings.
    pub config: BTreeMap<String, String>,
    /// The secrets that were granted to it.
    pub secrets: Vec<(Arc<str>, SecretText)>,
    /// Its counters.
    pub rates: FunctionRates,
    /// The key-value stores that were granted to it.
    pub kv: KvStores,
    /// What these are built from.
    pub kv_settings: Vec<verge_config::KvStore>,
    /// Its metrics.
    pub metrics: Arc<FunctionMetrics>,
}

impl Capabilities for FunctionCapabilities {
    fn config(&self, name: &str) -> Option<String> {
        self.config.get(name).cloned()
    }

    fn secret(&self, name: &str) -> Option<Vec<u8>> {
        self.secrets
            .iter()
            .find(|(known, _)| &**known == name)
            .map(|(_, text)| text.expose().to_vec())
    }

    fn rates(&self) -> Option<&dyn Rates> {
        Some(&self.rates)
    }

    fn kv(&self) -> Option<&KvStores> {
        Some(&self.kv)
    }

    fn call_ended(&self, call: &CallId, end: &CallEnd) {
        let receipt = trigger_receipt(&self.metrics, &end.receipt);
        self.metrics.record(&receipt);
        if let Some(failure) = &end.failure {
            log_failure(&call.function, &call.request, failure);
        }
    }

    fn fetched(&self, _call: &CallId, outcome: FetchOutcome) {
        self.metrics.record_fetch(outcome.label());
    }

    fn log(&self, call: &CallId, level: LogLevel, message: &str) {
        log::write(call, level, message);
    }
}
