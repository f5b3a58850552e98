//! Functions: component files to functions ready to be called.
//!
//! Compiling takes long, so it happens here, never on the request path, and
//! what did not change is carried over.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_config::{Config, Problem};
use verge_runtime::{
    Capabilities, Digest, FetchLimits, FunctionSettings, Limits, LoadError, QuarantineSettings,
    Trigger,
};

use super::capabilities::{self, Shelf};
use super::{Foundation, Generation};
use crate::files;
use crate::route::FunctionEntry;

/// Most bytes of a component file.
const COMPONENT_BYTES_MAX: u64 = 32 << 20;

/// How WebAssembly begins: as a binary, and as text.
const BEGINNINGS: [&[u8]; 2] = [b"\0asm", b"("];

/// All functions; adds to `problems` for those that cannot be.
pub(super) fn build(
    config: &Config,
    foundation: &Foundation,
    shelf: &Shelf,
    previous: Option<&Generation>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<Arc<str>, Arc<FunctionEntry>> {
    let mut functions = BTreeMap::new();
    for (name, settings) in &config.functions {
        let held = previous.and_then(|generation| generation.functions.get(name));
        match build_one(config, foundation, settings, shelf, held) {
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

type FunctionError = (&'static str, String, &'static str);

fn build_one(
    config: &Config,
    foundation: &Foundation,
    settings: &verge_config::Function,
    shelf: &Shelf,
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
    let granted = shelf.granted(settings);
    if let Some(entry) = held
        && entry.function.digest() == digest
        && entry.settings == *settings
        && *entry.function.limits() == limits(config, settings)
        && entry.capabilities.granted.is_same(&granted)
    {
        return Ok(Arc::clone(entry));
    }
    // A change of what it was granted compiles nothing.
    let compiled = match held.filter(|entry| entry.function.digest() == digest) {
        Some(entry) => entry.compiled.clone(),
        None => foundation
            .engine
            .compile(&bytes)
            .map_err(|error| ("component", error.to_string(), ""))?,
    };
    let capabilities = capabilities::build(foundation, settings, granted, held);
    let load = |limits| {
        foundation.engine.load(
            &compiled,
            FunctionSettings {
                name: Arc::clone(&settings.name),
                limits,
                grants: capabilities::grants(settings),
                capabilities: Arc::clone(&capabilities) as Arc<dyn Capabilities>,
                quarantine: QuarantineSettings::default(),
            },
        )
    };
    let unfit = |error: LoadError| ("component", error.to_string(), "");
    let function = load(limits(config, settings)).map_err(unfit)?;
    let deferred = match function.has(Trigger::Deferred) {
        true => Some(load(deferred_limits(config, settings)).map_err(unfit)?),
        false => None,
    };
    tracing::info!(
        function = &*settings.name,
        digest = %digest.short(),
        code = ?compiled.origin(),
        "function loaded"
    );
    Ok(Arc::new(FunctionEntry {
        name: Arc::clone(&settings.name),
        function,
        deferred,
        settings: settings.clone(),
        metrics: Arc::clone(&capabilities.metrics),
        capabilities,
        compiled,
    }))
}

/// The limits of calls after the response.
fn deferred_limits(config: &Config, settings: &verge_config::Function) -> Limits {
    Limits {
        cpu: settings.deferred_cpu,
        deadline: settings.deferred_deadline,
        ..limits(config, settings)
    }
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
        fetch: FetchLimits {
            requests: settings.fetch.requests,
            concurrent: settings.fetch.concurrent,
            bytes: settings.fetch.bytes,
        },
    }
}
