//! What a function may ask this node for. One value for each function of a
//! generation; each capability has its file.

mod cache;
mod config;
mod ended;
mod granted;
pub(crate) mod kv;
mod log;
mod rates;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use verge_config::Setting;
use verge_runtime::CallEnd;
use verge_runtime::capabilities::{
    AclEntry, CallId, Capabilities, ConfigValue, FetchOutcome, GeoPlace, KvStores, LogField,
    LogLevel, MetricUpdate, Rates, UnknownAcl,
};

pub(crate) use self::cache::{ENTRIES, SiteCache};
pub(crate) use self::ended::{LATE, log_failure, trigger_receipt};
pub(crate) use self::granted::Granted;
pub(crate) use self::log::FIELDS;
pub(crate) use self::rates::FunctionRates;
use crate::deploy::VersionHealth;
use crate::telemetry::FunctionMetrics;

/// The capabilities of one function.
pub(crate) struct FunctionCapabilities {
    /// Its settings.
    pub config: BTreeMap<String, Setting>,
    /// What it was granted that is read from files or opened.
    pub granted: Granted,
    /// Its counters; they outlive a reload.
    pub rates: FunctionRates,
    /// The key-value stores that were granted to it.
    pub kv: KvStores,
    /// Its metrics.
    pub metrics: Arc<FunctionMetrics>,
    /// How its version does.
    pub health: Arc<VersionHealth>,
    /// The lowest level that it logs.
    pub log_level: verge_config::LogLevel,
    /// Series that its own metrics may have.
    pub metric_series: usize,
}

impl Capabilities for FunctionCapabilities {
    fn config(&self, name: &str) -> Option<String> {
        self.config.get(name).map(Setting::to_string)
    }

    fn config_value(&self, name: &str) -> Option<ConfigValue> {
        self.config.get(name).map(config::value)
    }

    fn config_all(&self) -> Vec<(String, String)> {
        let settings = self.config.iter();
        settings
            .map(|(name, setting)| (name.clone(), setting.to_string()))
            .collect()
    }

    fn secret(&self, name: &str) -> Option<Arc<[u8]>> {
        self.granted.secret(name)
    }

    fn secrets(&self) -> Vec<(String, Arc<[u8]>)> {
        self.granted.secrets()
    }

    fn acl(&self, name: &str, address: IpAddr) -> Result<Option<AclEntry>, UnknownAcl> {
        self.granted.acl(name, address)
    }

    fn geo(&self, address: IpAddr) -> Option<GeoPlace> {
        self.granted.geo(address)
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
        self.health.note_call(&end.receipt);
        if let Some(failure) = &end.failure {
            log_failure(&call.function, &call.request, LATE, failure);
        }
    }

    fn fetched(&self, _call: &CallId, outcome: FetchOutcome) {
        self.metrics.record_fetch(outcome.label());
    }

    fn log(&self, call: &CallId, level: LogLevel, message: &str) {
        log::write(call, level, message);
    }

    fn log_with(&self, call: &CallId, level: LogLevel, message: &str, fields: &[LogField]) {
        log::write_with(call, level, message, fields);
    }

    fn log_threshold(&self) -> LogLevel {
        log::level(self.log_level)
    }

    fn count(&self, name: &str, labels: &[(String, String)], update: MetricUpdate) {
        let (guest, most) = (self.metrics.guest(), self.metric_series);
        match update {
            MetricUpdate::Count(amount) => guest.count(name, labels, amount, most),
            MetricUpdate::Observe(value) => guest.observe(name, labels, value, most),
        }
    }
}
