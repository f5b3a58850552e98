//! Capabilities: what stands behind the imports of each function, built from
//! what the configuration grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_config::{Config, Function, KvBackend, Problem, RateScope};
use verge_runtime::capabilities::RateCounters;
use verge_runtime::{Grants, KvStore, KvStores};

use super::Foundation;
use crate::capabilities::kv::Store;
use crate::capabilities::{FunctionCapabilities, FunctionRates};
use crate::route::FunctionEntry;
use crate::secrets::SecretText;

/// Rate counters that one function may have.
const RATE_COUNTERS_MAX: usize = 65_536;

/// Secrets by name.
pub(super) type Secrets = BTreeMap<Arc<str>, SecretText>;

/// What a function may import.
pub(super) fn grants(settings: &Function) -> Grants {
    let grants = &settings.grants;
    Grants {
        config: grants.config,
        kv: !grants.kv.is_empty(),
        fetch: !grants.fetch.is_empty() || grants.fetch_site,
        log: grants.log,
        rate_limit: grants.rate_limit.is_some(),
        secret: !grants.secrets.is_empty(),
    }
}

/// Key-value stores by name.
pub(super) type Stores = BTreeMap<Arc<str>, Arc<Store>>;

/// What of the configuration's named things a function was granted.
#[derive(Clone)]
pub(super) struct Granted {
    pub(super) secrets: Vec<(Arc<str>, SecretText)>,
    pub(super) kv: Vec<(Arc<str>, Arc<Store>)>,
}

impl Granted {
    /// Whether this is what `entry` was built with.
    pub(super) fn is_of(&self, entry: &FunctionEntry) -> bool {
        let capabilities = &entry.capabilities;
        let kv = self.kv.iter().map(|(_, store)| store.settings());
        capabilities.secrets == self.secrets && kv.eq(&capabilities.kv_settings)
    }
}

/// What stands behind it; state that outlives a reload comes from `held`.
pub(super) fn build(
    foundation: &Foundation,
    settings: &Function,
    granted: Granted,
    held: Option<&Arc<FunctionEntry>>,
) -> Arc<FunctionCapabilities> {
    // Counters go by the function's name: a new version goes on counting.
    let counters = held.map_or_else(
        || Arc::new(RateCounters::new(RATE_COUNTERS_MAX, foundation.clock.now())),
        |entry| Arc::clone(&entry.capabilities.rates.counters),
    );
    let metrics = foundation.metrics.function(&settings.name);
    let shared = foundation.shared.as_ref();
    let region = (settings.grants.rate_limit == Some(RateScope::Region))
        .then(|| shared.map(|shared| shared.rates().clone()))
        .flatten();
    let kv_settings = granted.kv.iter().map(|(_, store)| store.settings().clone());
    let kv_settings = kv_settings.collect();
    let stores = granted.kv.into_iter();
    let stores = stores.map(|(name, store)| (name, store as Arc<dyn KvStore>));
    Arc::new(FunctionCapabilities {
        config: settings.config.clone(),
        secrets: granted.secrets,
        rates: FunctionRates {
            owner: Arc::clone(&settings.name),
            counters,
            clock: foundation.clock.clone(),
            region,
            metrics: Arc::clone(&metrics),
        },
        kv: KvStores::new(stores),
        kv_settings,
        metrics,
    })
}

/// What a function was granted of `secrets` and `stores`.
pub(super) fn granted(settings: &Function, secrets: &Secrets, stores: &Stores) -> Granted {
    let secret_names = settings.grants.secrets.iter();
    let kv_names = settings.grants.kv.iter();
    Granted {
        secrets: secret_names
            .filter_map(|name| Some((Arc::clone(name), secrets.get(name)?.clone())))
            .collect(),
        kv: kv_names
            .filter_map(|name| Some((Arc::clone(name), Arc::clone(stores.get(name)?))))
            .collect(),
    }
}

/// Adds to `problems` for functions that limit rates with a Redis that the node does not use: it is
/// connected to at the start only.
pub(super) fn check_rates(config: &Config, foundation: &Foundation, problems: &mut Vec<Problem>) {
    if foundation.shared.is_some() || !foundation.kv.opens() {
        return;
    }
    for (name, function) in &config.functions {
        if function.grants.rate_limit == Some(RateScope::Region) {
            problems.push(config.problem(
                &format!("function.{name}.grants.rate_limit"),
                "there was no [redis] when the node started",
                "expected a restart",
            ));
        }
    }
}

/// Opens all key-value stores; adds to `problems` for those that cannot be.
pub(super) fn stores(
    config: &Config,
    foundation: &Foundation,
    problems: &mut Vec<Problem>,
) -> Stores {
    let mut stores = BTreeMap::new();
    for (name, settings) in &config.kv {
        match foundation.kv.open(settings) {
            Ok(store) => {
                stores.insert(Arc::clone(name), store);
            }
            Err(what) => {
                let (key, expected) = match settings.backend() {
                    KvBackend::Disk => ("path", "expected a file of this store alone"),
                    KvBackend::Redis => ("backend", "expected a restart"),
                };
                problems.push(config.problem(&format!("kv.{name}.{key}"), what, expected));
            }
        }
    }
    stores
}

/// Reads all secrets; adds to `problems` for those that cannot be.
pub(super) fn secrets(config: &Config, problems: &mut Vec<Problem>) -> Secrets {
    let mut secrets = BTreeMap::new();
    for (name, secret) in &config.secrets {
        match SecretText::read(&secret.source) {
            Ok(text) => {
                secrets.insert(Arc::clone(name), text);
            }
            Err(what) => problems.push(config.problem(
                &format!("secret.{name}"),
                what,
                "expected a file or variable with the secret in it",
            )),
        }
    }
    secrets
}
