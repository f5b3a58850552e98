//! Which versions of a function a generation runs: what the configuration names, or what was
//! deployed since.

use std::sync::Arc;
use std::time::SystemTime;

use verge_runtime::Digest;

use super::Versions;
use super::signing::Keys;
use super::state::{BesideState, FunctionState, Source, Version};
use crate::generation::Generation;
use crate::telemetry::Rfc3339;

/// What of a function is to run.
#[derive(Clone)]
pub(crate) struct Plan {
    /// The live version.
    pub(crate) live: Digest,
    /// The one beside it.
    pub(crate) beside: Option<BesideState>,
    /// What is known of its versions; `None` where none are kept.
    pub(crate) state: Option<Arc<FunctionState>>,
}

/// The component that the configuration names.
pub(crate) struct Configured<'a> {
    pub(crate) digest: Digest,
    pub(crate) bytes: &'a [u8],
    /// The key that signed it.
    pub(crate) signer: Option<String>,
    /// Its signature.
    pub(crate) signature: Option<String>,
}

impl Configured<'_> {
    fn version(&self, now: SystemTime) -> Version {
        Version {
            digest: self.digest,
            deployed: Rfc3339(now).to_string(),
            source: Source::Configuration,
            signer: self.signer.clone(),
            signature: self.signature.clone(),
            bytes: self.bytes.len() as u64,
            turn: None,
            withdrawn: None,
        }
    }
}

impl Plan {
    /// What `state` says.
    pub(crate) fn of(state: FunctionState) -> Self {
        Self {
            live: state.live,
            beside: state.beside.clone(),
            state: Some(Arc::new(state)),
        }
    }
}

impl Versions {
    /// What is to run of the function `name`. `held` is what was known of it while another
    /// generation served.
    pub(crate) fn plan(
        &self,
        name: &str,
        configured: &Configured<'_>,
        held: Option<&Arc<FunctionState>>,
        kept: usize,
        now: SystemTime,
    ) -> Plan {
        let Some(store) = self.store() else {
            return Plan {
                live: configured.digest,
                beside: None,
                state: None,
            };
        };
        let known = match held {
            Some(held) => Some(FunctionState::clone(held)),
            None => store.state(name).unwrap_or_else(|what| {
                tracing::error!(
                    function = name,
                    "{what}; the component of the configuration runs"
                );
                None
            }),
        };
        let state = match known {
            Some(state) if state.configured == configured.digest => {
                let signature = configured.signature.as_deref();
                state.signed(configured.signer.as_deref(), signature)
            }
            Some(state) => state.follow(configured.version(now), kept),
            None => FunctionState::begin(configured.version(now)),
        };
        if let Err(what) = store.keep_component(&configured.digest, configured.bytes) {
            tracing::error!(function = name, "its version is not kept: {what}");
        }
        Plan::of(state)
    }

    /// The same without versions that cannot be had any more: `why` is told.
    pub(crate) fn without_deployed(
        &self,
        name: &str,
        configured: &Configured<'_>,
        plan: &Plan,
        why: &str,
        now: SystemTime,
    ) -> Plan {
        let Some(state) = &plan.state else {
            return plan.clone();
        };
        tracing::error!(
            function = name,
            "a deployed version is lost: {why}; the component of the configuration runs"
        );
        let mut state = state.follow(configured.version(now), usize::MAX);
        let store = self.store();
        let is_here = |version: &Version| {
            version.digest == configured.digest
                || store.is_some_and(|store| store.component(&version.digest).is_ok())
        };
        state.versions.retain(is_here);
        Plan::of(state)
    }

    /// Keeps what `generation`, which serves now, knows of versions.
    pub(crate) fn settle(&self, generation: &Generation) {
        let Some(store) = self.store() else { return };
        let mut kept = self.kept.lock();
        kept.retain(|name| generation.functions.contains_key(name));
        for entry in generation.functions.values() {
            let Some(state) = &entry.state else { continue };
            let beside = entry.beside.iter().map(|beside| &beside.entry);
            let running = std::iter::once(entry).chain(beside);
            let compiled = running.map(|version| version.compiled.clone());
            kept.keep(&entry.name, state, compiled);
            match store.state(&entry.name) {
                Ok(Some(known)) if known == **state => continue,
                Ok(_) => {}
                Err(_) => store.set_aside(&entry.name),
            }
            if let Err(what) = store.keep_state(&entry.name, state) {
                tracing::error!(function = &*entry.name, "its versions are not kept: {what}");
            }
        }
        drop(kept);
        store.sweep();
    }

    /// Compiles the versions that `generation` could go back to, those that were compiled before
    /// out of the code cache. Blocks for as long as that takes.
    pub(crate) fn warm(&self, generation: &Generation, engine: &verge_runtime::Engine) {
        let Some(store) = self.store() else { return };
        for entry in generation.functions.values() {
            let Some(state) = &entry.state else { continue };
            let Ok(keys) = Keys::of(&generation.config, &entry.settings) else {
                continue;
            };
            for version in &state.versions {
                if self
                    .kept
                    .lock()
                    .find(&entry.name, &version.digest)
                    .is_some()
                {
                    continue;
                }
                let compiled = store.component(&version.digest).and_then(|bytes| {
                    keys.check(&bytes, version.signature.as_deref())
                        .map_err(|why| why.to_string())?;
                    engine.compile(&bytes).map_err(|error| error.to_string())
                });
                match compiled {
                    Ok(compiled) => self.kept.lock().keep(&entry.name, state, [compiled]),
                    Err(what) => tracing::warn!(
                        function = &*entry.name,
                        version = %version.digest.short(),
                        "nothing goes back to this version: {what}"
                    ),
                }
            }
        }
    }
}
