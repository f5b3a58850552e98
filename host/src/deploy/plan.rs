//! Which versions of a function a generation runs: what the configuration names, or what was
//! deployed since.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use verge_runtime::{Digest, Engine};

use super::health::Place;
use super::signing::Keys;
use super::state::{BesideState, FunctionState, Source, Version};
use super::store::Store;
use super::{Preparing, Versions};
use crate::files::FileError;
use crate::generation::Generation;
use crate::route::FunctionEntry;
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
    /// The component of the configuration.
    fn without_versions(configured: &Configured<'_>) -> Self {
        Self {
            live: configured.digest,
            beside: None,
            state: None,
        }
    }

    /// The same while what is known of versions cannot be read: nothing of it is written over.
    pub(crate) fn for_now(name: &str, configured: &Configured<'_>, why: &str) -> Self {
        tracing::error!(
            function = name,
            "{why}; the component of the configuration runs until a reload can read it"
        );
        Self::without_versions(configured)
    }

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
            return Plan::without_versions(configured);
        };
        let known = match held {
            Some(held) => Some(FunctionState::clone(held)),
            None => match store.state(name) {
                Ok(known) => known,
                Err(FileError::Unfit(what)) => {
                    tracing::error!(
                        function = name,
                        "{what}; the component of the configuration runs"
                    );
                    None
                }
                Err(FileError::Unreadable(what)) => return Plan::for_now(name, configured, &what),
            },
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
                || store.is_some_and(|store| {
                    // What cannot be read now may be there later.
                    let found = store.component(&version.digest);
                    !matches!(found, Err(FileError::Unfit(_)))
                })
        };
        state.versions.retain(is_here);
        Plan::of(state)
    }

    /// Keeps what `generation`, which serves now, knows of versions, and watches those that are to
    /// be watched. `preparing` is over then. Only one at a time may do so.
    pub(crate) fn settle(&self, generation: &Generation, preparing: Option<Preparing<'_>>) {
        let Some(store) = self.store() else { return };
        let mut is_warm = true;
        self.hold(generation);
        {
            let mut kept = self.kept.lock();
            kept.retain(|name| generation.functions.contains_key(name));
            for entry in generation.functions.values() {
                if let Some(state) = &entry.state {
                    is_warm &= kept.settle(&entry.name, state);
                }
            }
        }
        if !is_warm {
            self.is_cold.store(true, Ordering::Relaxed);
        }
        for entry in generation.functions.values() {
            if let Some(state) = &entry.state {
                watch(entry, state);
                self.keep(store, &entry.name, state);
            }
        }
        drop(preparing);
        // Whoever prepares something now deletes what is left over when that is done.
        if let Some(_alone) = self.preparing.try_write() {
            store.sweep();
        }
    }

    /// Keeps a state on disk; tells when that fails, and when it does no more.
    fn keep(&self, store: &Store, name: &Arc<str>, state: &FunctionState) {
        let kept = match store.state(name) {
            Ok(Some(known)) if known == *state => Ok(()),
            Ok(_) => store.keep_state(name, state),
            // What this node knows is newer than what it cannot read.
            Err(FileError::Unreadable(_)) => store.keep_state(name, state),
            Err(FileError::Unfit(_)) => {
                store.set_aside(name);
                store.keep_state(name, state)
            }
        };
        let mut unkept = self.unkept.lock();
        match kept {
            Ok(()) if unkept.remove(name) => {
                tracing::info!(function = &**name, "its versions are kept again");
            }
            Ok(()) => {}
            Err(what) => {
                if unkept.insert(Arc::clone(name)) {
                    tracing::error!(
                        function = &**name,
                        "its versions are not kept, and a restart would not know them: {what}"
                    );
                }
            }
        }
    }

    /// Keeps what was compiled for a generation, also for one that is not put in place.
    pub(crate) fn hold(&self, generation: &Generation) {
        let mut kept = self.kept.lock();
        let functions = generation.functions.values();
        for entry in functions.filter(|entry| entry.state.is_some()) {
            let beside = entry.beside.iter().map(|beside| &beside.entry);
            for version in std::iter::once(entry).chain(beside) {
                kept.add(&entry.name, version.compiled.clone());
            }
        }
    }

    /// Whether the versions of a function could not be kept as they are.
    pub(crate) fn is_unkept(&self, name: &str) -> bool {
        self.unkept.lock().contains(name)
    }

    /// Whether versions that could be gone back to are not compiled; asked once, that is no longer
    /// known.
    pub(crate) fn take_cold(&self) -> bool {
        self.is_cold.swap(false, Ordering::Relaxed)
    }

    /// Compiles the versions that `generation` could go back to, those that were compiled before
    /// out of the code cache. Blocks for as long as that takes.
    pub(crate) fn warm(&self, generation: &Generation, engine: &Engine) {
        for entry in generation.functions.values() {
            let Some(state) = &entry.state else { continue };
            for version in &state.versions {
                if let Err(what) = self.make_ready(generation, entry, version, engine) {
                    tracing::warn!(
                        function = &*entry.name,
                        version = %version.digest.short(),
                        "nothing goes back to this version: {what}"
                    );
                }
            }
        }
    }

    /// Compiles a version that is kept, unless it is compiled. Blocks for as long as that takes.
    ///
    /// # Errors
    /// Why it cannot run.
    pub(crate) fn make_ready(
        &self,
        generation: &Generation,
        entry: &FunctionEntry,
        version: &Version,
        engine: &Engine,
    ) -> Result<(), String> {
        let (digest, name) = (&version.digest, &entry.name);
        let is_ready = || self.kept.lock().find(name, digest).is_some();
        let Some(store) = self.store().filter(|_| !is_ready()) else {
            return Ok(());
        };
        let keys = Keys::of(&generation.config, &entry.settings).map_err(|(_, what)| what)?;
        let bytes = store.component(digest)?;
        keys.check(&bytes, version.signature.as_deref())
            .map_err(|why| why.to_string())?;
        let compiled = engine.compile(&bytes).map_err(|error| error.to_string())?;
        self.kept.lock().add(name, compiled);
        Ok(())
    }
}

/// Watches the versions of a function that are to be watched, from when that began.
fn watch(entry: &FunctionEntry, state: &FunctionState) {
    let health = &entry.capabilities.health;
    match state.promoted() {
        Some(since) => health.watch(Place::Live { since }),
        // What the configuration names, or what was gone back to, is known.
        None => health.rest(),
    }
    if let Some(beside) = &entry.beside {
        beside.entry.capabilities.health.watch(Place::Beside);
    }
}
