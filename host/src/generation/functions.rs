//! Functions: component files to functions ready to be called.
//!
//! Compiling takes long, so it happens here, never on the request path, and
//! what did not change is carried over.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_config::{Config, Problem};
use verge_runtime::capabilities::RateCounters;
use verge_runtime::{Digest, FunctionSettings, Grants, Limits, QuarantineSettings};

use super::{Foundation, Generation};
use crate::capabilities::FunctionCapabilities;
use crate::files;
use crate::route::FunctionEntry;
use crate::secrets::SecretText;

/// Most bytes of a component file.
const COMPONENT_BYTES_MAX: u64 = 32 << 20;

/// How WebAssembly begins: as a binary, and as text.
const BEGINNINGS: [&[u8]; 2] = [b"\0asm", b"("];

/// Rate counters that one function may have.
const RATE_COUNTERS_MAX: usize = 65_536;

/// All functions; adds to `problems` for those that cannot be.
pub(super) fn build(
    config: &Config,
    foundation: &Foundation,
    previous: Option<&Generation>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Arc<str>, Arc<FunctionEntry>> {
    let secrets = secrets(config, problems);
    let mut functions = BTreeMap::new();
    for (name, settings) in &config.functions {
        let held = previous.and_then(|generation| generation.functions.get(name));
        match build_one(config, foundation, settings, &secrets, held) {
            Ok(entry) => {
                functions.insert(Arc::clone(name), entry);
            }
            Err((key, what, expected)) => {
                problems.push(config.problem(&format!("function.{name}.{key}"), what, expected))
            }
        }
    }
    functions
}

type Secrets = BTreeMap<Arc<str>, SecretText>;
type FunctionError = (&'static str, String, &'static str);

fn secrets(config: &Config, problems: &mut Vec<Problem>) -> Secrets {
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

fn build_one(
    config: &Config,
    foundation: &Foundation,
    settings: &verge_config::Function,
    secrets: &Secrets,
    held: Option<&Arc<FunctionEntry>>,
) -> Result<Arc<FunctionEntry>, FunctionError> {
    let bytes = files::read_bounded(&settings.component, COMPONENT_BYTES_MAX)
        .and_then(|bytes| {
            if BEGINNINGS.iter().any(|begin| bytes.starts_with(begin)) {
                return Ok(bytes);
            }
            // The compiler would take it for text, and explain why it is none.
            let file = settings.component.display();
            Err(format!(
                "the component is not valid: `{file}` is not WebAssembly"
            ))
        })
        .map_err(|what| {
            (
                "component",
                what,
                "expected a component built for wasm32-wasip2",
            )
        })?;
    let digest = Digest::of(&bytes);
    let granted: Vec<(Arc<str>, SecretText)> = settings
        .grants
        .secrets
        .iter()
        .filter_map(|name| Some((Arc::clone(name), secrets.get(name)?.clone())))
        .collect();
    if let Some(entry) = held
        && entry.function.digest() == digest
        && entry.settings == *settings
        && *entry.function.limits() == limits(config, settings)
        && entry.secrets == granted
    {
        return Ok(Arc::clone(entry));
    }
    let compiled = foundation
        .engine
        .compile(&bytes)
        .map_err(|error| ("component", error.to_string(), ""))?;
    // Counters go by the function's name: a new version goes on counting.
    let counters = held.map_or_else(
        || Arc::new(RateCounters::new(RATE_COUNTERS_MAX, foundation.clock.now())),
        |entry| Arc::clone(&entry.counters),
    );
    let metrics = foundation.metrics.function(&settings.name);
    let capabilities = FunctionCapabilities {
        name: Arc::clone(&settings.name),
        config: settings.config.clone(),
        secrets: granted.clone(),
        counters: Arc::clone(&counters),
        clock: foundation.clock.clone(),
        metrics: Arc::clone(&metrics),
    };
    let function = foundation
        .engine
        .load(
            &compiled,
            FunctionSettings {
                name: Arc::clone(&settings.name),
                limits: limits(config, settings),
                grants: Grants {
                    config: settings.grants.config,
                    secret: !settings.grants.secrets.is_empty(),
                    rate_limit: settings.grants.rate_limit,
                    log: settings.grants.log,
                },
                capabilities: Arc::new(capabilities),
                quarantine: QuarantineSettings::default(),
            },
        )
        .map_err(|error| ("component", error.to_string(), ""))?;
    tracing::info!(
        function = &*settings.name,
        digest = %digest.short(),
        code = ?compiled.origin(),
        "function loaded"
    );
    Ok(Arc::new(FunctionEntry {
        name: Arc::clone(&settings.name),
        function,
        settings: settings.clone(),
        secrets: granted,
        counters,
        metrics,
    }))
}

fn limits(config: &Config, settings: &verge_config::Function) -> Limits {
    Limits {
        memory: settings.memory,
        cpu: settings.cpu,
        deadline: settings.deadline,
        hostcalls: settings.hostcalls,
        body: settings.body,
        fields: config.limits.fields,
        field_bytes: config.limits.head_bytes,
        log_bytes: u64::from(settings.log_bytes),
    }
}
