//! Capabilities: what stands behind the imports of each function, built from
//! what the configuration grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_config::{Config, Function, KvBackend, Problem, RateScope};
use verge_runtime::capabilities::RateCounters;
use verge_runtime::{Digest, Grants, KvStore, KvStores};

use super::{Foundation, Generation};
use crate::acl::Acl;
use crate::capabilities::kv::Store;
use crate::capabilities::{FunctionCapabilities, FunctionRates, Granted};
use crate::geo::Geo;
use crate::route::FunctionEntry;
use crate::secrets::SecretText;

/// Rate counters that one function may have.
const RATE_COUNTERS_MAX: usize = 65_536;

/// What functions can be granted that is read from files or opened.
#[derive(Default)]
pub(crate) struct Shelf {
    secrets: BTreeMap<Arc<str>, SecretText>,
    acls: BTreeMap<Arc<str>, Arc<Acl>>,
    geo: Arc<Geo>,
    kv: Stores,
}

impl Shelf {
    /// Reads all of it; adds to `problems` for what cannot be. What did not change is that of
    /// `previous`.
    pub(super) fn read(
        config: &Config,
        foundation: &Foundation,
        previous: Option<&Generation>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        check_rates(config, foundation, problems);
        let held = previous.map(|generation| &*generation.shelf);
        Self {
            secrets: secrets(config, problems),
            acls: acls(config, held, problems),
            geo: geo(config, held, problems),
            kv: stores(config, foundation, problems),
        }
    }

    /// What of it a function was granted.
    pub(super) fn granted(&self, settings: &Function) -> Granted {
        let grants = &settings.grants;
        let secrets = grants.secrets.iter();
        let acls = grants.acls.iter();
        let kv = grants.kv.iter();
        Granted {
            kv: kv
                .filter_map(|name| Some((Arc::clone(name), Arc::clone(self.kv.get(name)?))))
                .collect(),
            secrets: secrets
                .filter_map(|name| Some((Arc::clone(name), self.secrets.get(name)?.clone())))
                .collect(),
            acls: acls
                .filter_map(|name| Some((Arc::clone(name), Arc::clone(self.acls.get(name)?))))
                .collect(),
            geo: grants.geo.then(|| Arc::clone(&self.geo)),
        }
    }
}

/// What a function may import.
pub(super) fn grants(settings: &Function) -> Grants {
    let grants = &settings.grants;
    let given = grants.given;
    Grants {
        acl: given.acls,
        cache: grants.cache,
        config: grants.config,
        defer: grants.defer,
        device: grants.device,
        geo: grants.geo,
        kv: given.kv,
        fetch: given.fetch || grants.fetch_site,
        log: grants.log,
        metrics: grants.metrics,
        rate_limit: grants.rate_limit.is_some(),
        secret: given.secrets,
    }
}

/// Key-value stores by name.
type Stores = BTreeMap<Arc<str>, Arc<Store>>;

/// What stands behind it; state that outlives a reload comes from `held`.
pub(super) fn build(
    foundation: &Foundation,
    settings: &Function,
    granted: Granted,
    held: Option<&Arc<FunctionEntry>>,
    digest: Digest,
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
    let stores = granted.kv.iter();
    let stores =
        stores.map(|(name, store)| (Arc::clone(name), Arc::clone(store) as Arc<dyn KvStore>));
    let kv = KvStores::new(stores);
    let before = held.and_then(|held| held.running(&digest));
    let before = before.map(|entry| &*entry.capabilities.health);
    let versions = &foundation.versions;
    let health = versions.health(foundation, settings, digest, before);
    Arc::new(FunctionCapabilities {
        health,
        config: settings.config.clone(),
        granted,
        rates: FunctionRates {
            owner: Arc::clone(&settings.name),
            counters,
            clock: foundation.clock.clone(),
            region,
            metrics: Arc::clone(&metrics),
        },
        kv,
        metrics,
        log_level: settings.log_level,
        metric_series: usize::try_from(settings.metric_series).unwrap_or(usize::MAX),
    })
}

/// Adds to `problems` for functions that limit rates with a Redis that the node does not use: it is
/// connected to at the start only.
fn check_rates(config: &Config, foundation: &Foundation, problems: &mut Vec<Problem>) {
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
fn stores(config: &Config, foundation: &Foundation, problems: &mut Vec<Problem>) -> Stores {
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

fn secrets(config: &Config, problems: &mut Vec<Problem>) -> BTreeMap<Arc<str>, SecretText> {
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

fn acls(
    config: &Config,
    held: Option<&Shelf>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Arc<str>, Arc<Acl>> {
    let mut acls = BTreeMap::new();
    for (name, list) in &config.acls {
        let held = held.and_then(|held| held.acls.get(name));
        match Acl::read(list) {
            Ok(acl) => {
                let same = held.filter(|held| held.is_same(&acl)).map(Arc::clone);
                acls.insert(Arc::clone(name), same.unwrap_or_else(|| Arc::new(acl)));
            }
            Err(what) => problems.push(config.problem(
                &format!("acl.{name}.file"),
                what,
                format!("expected lines with {}", verge_config::AclEntry::EXPECTED),
            )),
        }
    }
    acls
}

fn geo(config: &Config, held: Option<&Shelf>, problems: &mut Vec<Problem>) -> Arc<Geo> {
    let held = held.map(|held| &held.geo);
    match Geo::read(&config.geo, held.map(Arc::as_ref)) {
        Ok(geo) => match held.filter(|held| held.is_same(&geo)) {
            Some(held) => Arc::clone(held),
            None => Arc::new(geo),
        },
        Err(wrong) => {
            for (key, what) in wrong {
                let expected = "expected a file of the MaxMind DB format (.mmdb)";
                problems.push(config.problem(&format!("geo.{key}"), what, expected));
            }
            Arc::default()
        }
    }
}
