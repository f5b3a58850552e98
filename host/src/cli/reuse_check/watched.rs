//! What stands behind a function's imports while it is checked, and what of that it asked for in
//! vain: paths behind an answer that it never gets were not played.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Authority;
use parking_lot::Mutex;
use verge_runtime::capabilities::{
    AclEntry, ConfigValue, DeferError, FunctionCache, GeoPlace, MetricUpdate, UnknownAcl,
};
use verge_runtime::{
    CallEnd, CallId, Capabilities, Fetch, FetchOutcome, KvStores, LogField, LogLevel, Rates, Scope,
};

/// Names of imports that were asked and had nothing behind them.
#[derive(Default)]
pub(super) struct Missed(Mutex<BTreeSet<&'static str>>);

impl Missed {
    fn note(&self, import: &'static str) {
        self.0.lock().insert(import);
    }

    /// Those since the last time, in order.
    pub(super) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut *self.0.lock()).into_iter().collect()
    }
}

/// A scope in which there is nothing.
pub(super) struct Nowhere(pub(super) Arc<Missed>);

impl Scope for Nowhere {
    fn allows_authority(&self, _authority: &Authority) -> bool {
        self.0.note("other authorities");
        false
    }

    fn allows_origin(&self, _call: &CallId, _name: &str) -> bool {
        self.0.note("other origins");
        false
    }

    fn defer(&self, _function: &str, _id: &Arc<str>, _payload: Vec<u8>) -> Result<(), DeferError> {
        self.0.note("defer");
        Err(DeferError::Unavailable)
    }

    fn cache(&self) -> Option<Arc<dyn FunctionCache>> {
        self.0.note("cache");
        None
    }

    fn fetch(&self, _call: &CallId) -> Option<Arc<dyn Fetch>> {
        self.0.note("fetch");
        None
    }
}

/// A function's own capabilities; what they lack is noted.
pub(super) struct Watched {
    /// Those of the configuration; a component as it is has none.
    pub(super) own: Option<Arc<dyn Capabilities>>,
    pub(super) missed: Arc<Missed>,
}

impl Watched {
    /// What the function has, or a note that there is nothing.
    fn own(&self, import: &'static str) -> Option<&dyn Capabilities> {
        if self.own.is_none() {
            self.missed.note(import);
        }
        self.own.as_deref()
    }
}

impl Capabilities for Watched {
    fn config(&self, name: &str) -> Option<String> {
        self.own("config")?.config(name)
    }

    fn config_value(&self, name: &str) -> Option<ConfigValue> {
        self.own("config")?.config_value(name)
    }

    fn config_all(&self) -> Vec<(String, String)> {
        let own = self.own("config");
        own.map_or_else(Vec::new, |own| own.config_all())
    }

    fn secret(&self, name: &str) -> Option<Arc<[u8]>> {
        self.own("secret")?.secret(name)
    }

    fn rates(&self) -> Option<&dyn Rates> {
        self.own("rate-limit")?.rates()
    }

    /// Those of a configuration stay closed: a check changes nothing that is kept.
    fn kv(&self) -> Option<&KvStores> {
        self.missed.note("kv");
        self.own.as_deref()?.kv()
    }

    fn log(&self, _call: &CallId, _level: LogLevel, _message: &str) {}

    fn log_with(&self, _call: &CallId, _level: LogLevel, _message: &str, _fields: &[LogField]) {}

    fn log_threshold(&self) -> LogLevel {
        let own = self.own.as_deref();
        own.map_or(LogLevel::Trace, |own| own.log_threshold())
    }

    fn acl(&self, name: &str, address: IpAddr) -> Result<Option<AclEntry>, UnknownAcl> {
        let own = self.own("acl").ok_or(UnknownAcl)?;
        own.acl(name, address)
    }

    fn geo(&self, address: IpAddr) -> Option<GeoPlace> {
        self.own("geo")?.geo(address)
    }

    fn count(&self, _name: &str, _labels: &[(String, String)], _update: MetricUpdate) {}

    fn call_ended(&self, _call: &CallId, _end: &CallEnd) {}

    fn fetched(&self, _call: &CallId, _outcome: FetchOutcome) {}
}
