//! Capabilities: what stands behind the imports of each function, built from
//! what the configuration grants.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_config::{Config, Function, Problem};
use verge_runtime::Grants;
use verge_runtime::capabilities::RateCounters;

use super::Foundation;
use crate::capabilities::FunctionCapabilities;
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
        log: grants.log,
        rate_limit: grants.rate_limit,
        secret: !grants.secrets.is_empty(),
    }
}

/// What stands behind it; state that outlives a reload comes from `held`.
pub(super) fn build(
    foundation: &Foundation,
    settings: &Function,
    secrets: Vec<(Arc<str>, SecretText)>,
    held: Option<&Arc<FunctionEntry>>,
) -> Arc<FunctionCapabilities> {
    // Counters go by the function's name: a new version goes on counting.
    let counters = held.map_or_else(
        || Arc::new(RateCounters::new(RATE_COUNTERS_MAX, foundation.clock.now())),
        |entry| Arc::clone(&entry.capabilities.counters),
    );
    Arc::new(FunctionCapabilities {
        name: Arc::clone(&settings.name),
        config: settings.config.clone(),
        secrets,
        counters,
        clock: foundation.clock.clone(),
        metrics: foundation.metrics.function(&settings.name),
    })
}

/// The secrets of `secrets` that a function was granted.
pub(super) fn granted(settings: &Function, secrets: &Secrets) -> Vec<(Arc<str>, SecretText)> {
    let names = settings.grants.secrets.iter();
    names
        .filter_map(|name| Some((Arc::clone(name), secrets.get(name)?.clone())))
        .collect()
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
