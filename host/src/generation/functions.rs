//! Functions: component files to functions ready to be called.
//!
//! Compiling takes long, so it happens here, never on the request path, and
//! what did not change is carried over.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_config::{Config, Problem};
use verge_runtime::record::Recorder;
use verge_runtime::{
    Capabilities, Compiled, Digest, Engine, FetchLimits, Function, FunctionSettings, Isolation,
    Limits, LoadError, QuarantineSettings, Trigger,
};

use super::capabilities::{self, Shelf};
use super::{Foundation, Generation};
use crate::capabilities::FunctionCapabilities;
use crate::deploy::ShadowReport;
use crate::deploy::plan::{Configured, Plan};
use crate::deploy::shadow::ShadowCapabilities;
use crate::deploy::signing::Keys;
use crate::deploy::state::{BesideMode, BesideState, FunctionState};
use crate::files::FileError;
use crate::recording::FunctionRecorder;
use crate::route::{Beside, FunctionEntry};

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
        let keys = match Keys::of(config, settings) {
            Ok(keys) => keys,
            Err((place, what)) => {
                problems.push(config.problem(&place, what, "expected a public key of minisign"));
                continue;
            }
        };
        let builder = Builder {
            config,
            foundation,
            settings,
            keys: &keys,
            shelf,
            held,
        };
        match builder.configured() {
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

pub(super) type FunctionError = (&'static str, String, &'static str);

/// Builds one function.
pub(super) struct Builder<'a> {
    pub(super) config: &'a Config,
    pub(super) foundation: &'a Foundation,
    pub(super) settings: &'a verge_config::Function,
    pub(super) keys: &'a Keys,
    pub(super) shelf: &'a Shelf,
    pub(super) held: Option<&'a Arc<FunctionEntry>>,
}

impl Builder<'_> {
    /// The function that the configuration, and what was deployed since, make.
    fn configured(&self) -> Result<Arc<FunctionEntry>, FunctionError> {
        let settings = self.settings;
        let (bytes, signature) = match self.component() {
            Ok(component) => component,
            Err(error) => return self.without_registry(error),
        };
        let (signer, signature) = self.signer(&bytes, signature)?;
        let configured = Configured {
            digest: Digest::of(&bytes),
            bytes: &bytes,
            signer,
            signature,
        };
        let (versions, now) = (&self.foundation.versions, self.foundation.clock.wall());
        let held = self.held.and_then(|held| held.state.as_ref());
        let kept = self.config.deploy.kept;
        let mut plan = versions.plan(&settings.name, &configured, held, kept, now);
        let own = Given::Bytes(configured.digest, configured.bytes);
        let beside = plan.beside.as_ref().map(|beside| beside.digest);
        let running = [Some(plan.live), beside].into_iter().flatten();
        let state = plan.state.as_deref();
        let mut lost = running.filter_map(|digest| self.find(&digest, own, state).err());
        if let Some(lost) = lost.next() {
            let (name, is_for_good, why) = (&settings.name, lost.is_for_good, lost.told());
            plan = match is_for_good {
                true => versions.without_deployed(name, &configured, &plan, &why, now),
                false => Plan::for_now(name, &configured, &why),
            };
        }
        self.planned(&plan, own)
            .map_err(|what| ("component", what, ""))
    }

    /// A registry that does not answer is no reason not to run what ran last.
    fn without_registry(&self, error: FunctionError) -> Result<Arc<FunctionEntry>, FunctionError> {
        let name = &self.settings.name;
        let held = self.held.and_then(|held| held.state.clone());
        let store = self.foundation.versions.store();
        let state = held.or_else(|| store?.state(name).ok().flatten().map(Arc::new));
        let (Some(state), true) = (state, self.settings.oci.is_some()) else {
            return Err(error);
        };
        let what = &error.1;
        tracing::error!(function = &**name, "{what}; what ran last runs on");
        let plan = Plan::of(FunctionState::clone(&state));
        self.planned(&plan, Given::Nothing)
            .map_err(|what| ("component", what, ""))
    }

    /// The function whose versions `plan` names. What is `given` need not be read.
    ///
    /// # Errors
    /// Which version cannot be loaded, and why.
    pub(super) fn planned(
        &self,
        plan: &Plan,
        given: Given<'_>,
    ) -> Result<Arc<FunctionEntry>, String> {
        let state = plan.state.as_deref();
        let live = self.version(plan.live, given, state, false)?;
        let beside = match &plan.beside {
            None => None,
            Some(beside) => Some(self.beside(beside, given, state)?),
        };
        if let Some(held) = self.held
            && held.is_version(&live)
            && held.beside == beside
            && held.state == plan.state
        {
            return Ok(Arc::clone(held));
        }
        Ok(Arc::new(FunctionEntry {
            beside,
            state: plan.state.clone(),
            ..live
        }))
    }

    fn beside(
        &self,
        beside: &BesideState,
        given: Given<'_>,
        state: Option<&FunctionState>,
    ) -> Result<Beside, String> {
        let is_shadow = beside.mode == BesideMode::Shadow;
        let version = self.version(beside.digest, given, state, is_shadow)?;
        let held = self.held.and_then(|held| held.beside.as_ref());
        let entry = match held.filter(|held| held.entry.is_version(&version)) {
            Some(held) => Arc::clone(&held.entry),
            None => Arc::new(version),
        };
        Ok(Beside {
            entry,
            mode: beside.mode.clone(),
        })
    }

    /// One version, alone. What is held of it is taken over if nothing that it depends on changed.
    fn version(
        &self,
        digest: Digest,
        given: Given<'_>,
        state: Option<&FunctionState>,
        is_shadow: bool,
    ) -> Result<FunctionEntry, String> {
        let granted = self.shelf.granted(self.settings);
        let held = self.held_version(&digest);
        if let Some(entry) = held
            && entry.shadow.is_some() == is_shadow
            && entry.settings == *self.settings
            && *entry.function.limits() == limits(self.config, self.settings)
            && entry.capabilities.granted.is_same(&granted)
        {
            return Ok(FunctionEntry {
                beside: None,
                state: None,
                ..FunctionEntry::clone(entry)
            });
        }
        // A change of what it was granted compiles nothing.
        let compiled = match self.find(&digest, given, state).map_err(Lost::told)? {
            Found::Compiled(compiled) => compiled,
            Found::Bytes(bytes) => self
                .foundation
                .engine
                .compile(&bytes)
                .map_err(|error| error.to_string())?,
        };
        self.load(compiled, granted, is_shadow)
    }

    fn load(
        &self,
        compiled: Compiled,
        granted: crate::capabilities::Granted,
        is_shadow: bool,
    ) -> Result<FunctionEntry, String> {
        let (config, foundation, settings) = (self.config, self.foundation, self.settings);
        let capabilities =
            capabilities::build(foundation, settings, granted, self.held, compiled.digest());
        let shadow = is_shadow.then(|| ShadowReport::new(Arc::clone(&capabilities.metrics)));
        let given: Arc<dyn Capabilities> = match is_shadow {
            true => Arc::new(ShadowCapabilities::new(Arc::clone(&capabilities))),
            false => Arc::clone(&capabilities) as Arc<dyn Capabilities>,
        };
        let recorder = match is_shadow {
            true => None,
            false => self.recorder(&compiled, &capabilities)?,
        };
        let load = |limits, isolation| {
            let settings = FunctionSettings {
                name: Arc::clone(&settings.name),
                limits,
                grants: capabilities::grants(settings),
                capabilities: Arc::clone(&given),
                quarantine: quarantine(&settings.quarantine),
                isolation,
            };
            match &recorder {
                None => foundation.engine.load(&compiled, settings),
                Some(recorder) => {
                    let recorder = Arc::clone(recorder) as Arc<dyn Recorder>;
                    foundation
                        .engine
                        .load_recorded(&compiled, settings, recorder)
                }
            }
        };
        let unfit = |error: LoadError| error.to_string();
        let function = load(limits(config, settings), isolation(settings)).map_err(unfit)?;
        let deferred = match function.has(Trigger::Deferred) {
            true => {
                let limits = deferred_limits(config, settings);
                Some(load(limits, Isolation::Fresh).map_err(unfit)?)
            }
            false => None,
        };
        tracing::info!(
            function = &*settings.name,
            digest = %compiled.digest().short(),
            code = ?compiled.origin(),
            "function loaded"
        );
        Ok(FunctionEntry {
            name: Arc::clone(&settings.name),
            function,
            deferred,
            settings: settings.clone(),
            metrics: Arc::clone(&capabilities.metrics),
            capabilities,
            compiled,
            shadow,
            beside: None,
            state: None,
        })
    }

    /// What records its calls, if it is to be recorded.
    fn recorder(
        &self,
        compiled: &Compiled,
        capabilities: &FunctionCapabilities,
    ) -> Result<Option<Arc<FunctionRecorder>>, String> {
        let (foundation, digest) = (self.foundation, compiled.digest());
        let store = foundation.versions.store();
        let kept = store.map(|store| store.component_path(&digest));
        let file = (!self.settings.component.as_os_str().is_empty())
            .then(|| self.settings.component.clone());
        let component = file.into_iter().chain(kept).collect();
        FunctionRecorder::start(
            self.settings,
            component,
            (&foundation.clock, &foundation.random),
            &foundation.recordings,
            &capabilities.metrics,
        )
        .map_err(|error| format!("no thread for its recordings: {error}"))
    }

    /// The running version with this digest.
    fn held_version(&self, digest: &Digest) -> Option<&FunctionEntry> {
        self.held?.running(digest)
    }

    /// Where a version is to be had from.
    fn find<'b>(
        &self,
        digest: &Digest,
        given: Given<'b>,
        state: Option<&FunctionState>,
    ) -> Result<Found<'b>, Lost> {
        let versions = &self.foundation.versions;
        let given = given.of(digest);
        let known = state.and_then(|state| state.version(digest));
        let signer = known.and_then(|version| version.signer.as_deref());
        // Whoever gives a component has looked at its signature.
        if matches!(given, Given::Nothing) && !self.keys.know(signer) {
            let why = "no key of the function signed it".to_owned();
            return Err(Lost::new(digest, FileError::Unfit(why)));
        }
        let compiled = self.held_version(digest);
        let compiled = compiled.map(|entry| entry.compiled.clone());
        let compiled = compiled.or_else(|| versions.kept.lock().find(&self.settings.name, digest));
        if let Some(compiled) = compiled {
            return Ok(Found::Compiled(compiled));
        }
        match given {
            Given::Compiled(compiled) => return Ok(Found::Compiled(compiled.clone())),
            Given::Bytes(_, bytes) => return Ok(Found::Bytes(bytes.into())),
            Given::Nothing => {}
        }
        let unfit = |why: &dyn std::fmt::Display| FileError::Unfit(why.to_string());
        let store = versions
            .store()
            .ok_or_else(|| Lost::new(digest, unfit(&"no versions are kept")))?;
        let bytes = store
            .component(digest)
            .map_err(|why| Lost::new(digest, why))?;
        let signature = known.and_then(|version| version.signature.as_deref());
        self.keys
            .check(&bytes, signature)
            .map_err(|why| Lost::new(digest, unfit(&why)))?;
        Ok(Found::Bytes(bytes.into()))
    }
}

/// Where a version is.
enum Found<'a> {
    Compiled(Compiled),
    Bytes(std::borrow::Cow<'a, [u8]>),
}

/// A component that need not be looked for.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    Nothing,
    Bytes(Digest, &'a [u8]),
    Compiled(&'a Compiled),
}

impl Given<'_> {
    /// What is given, if it has this digest.
    fn of(self, digest: &Digest) -> Self {
        let given = match self {
            Given::Nothing => None,
            Given::Bytes(given, _) => Some(given),
            Given::Compiled(compiled) => Some(compiled.digest()),
        };
        match given == Some(*digest) {
            true => self,
            false => Given::Nothing,
        }
    }
}

/// A version that is not to be had.
struct Lost {
    digest: Digest,
    /// Or only for now.
    is_for_good: bool,
    why: String,
}

impl Lost {
    fn new(digest: &Digest, why: FileError) -> Self {
        Self {
            digest: *digest,
            is_for_good: matches!(why, FileError::Unfit(_)),
            why: why.into(),
        }
    }

    fn told(self) -> String {
        format!("version {}: {}", self.digest.short(), self.why)
    }
}

/// A function of a generation once more, its instances kept apart in another way, and never left
/// out after failures.
///
/// # Errors
/// It cannot be so.
pub(crate) fn isolated(
    engine: &Engine,
    entry: &FunctionEntry,
    isolation: Isolation,
    capabilities: Arc<dyn Capabilities>,
) -> Result<Function, LoadError> {
    engine.load(
        &entry.compiled,
        FunctionSettings {
            name: Arc::clone(&entry.name),
            limits: *entry.function.limits(),
            grants: capabilities::grants(&entry.settings),
            capabilities,
            quarantine: QuarantineSettings {
                failures: 0,
                ..QuarantineSettings::default()
            },
            isolation,
        },
    )
}

fn quarantine(settings: &verge_config::Quarantine) -> QuarantineSettings {
    QuarantineSettings {
        failures: settings.failures,
        share_percent: settings.share,
        window: settings.window,
        backoff: settings.backoff,
        backoff_max: settings.backoff_max,
    }
}

fn isolation(settings: &verge_config::Function) -> Isolation {
    let idle = settings.idle_max;
    match settings.isolation {
        verge_config::Isolation::Fresh => Isolation::Fresh,
        verge_config::Isolation::Prepared => Isolation::Prepared { idle },
        verge_config::Isolation::Reused => Isolation::Reused {
            idle,
            requests: settings.reuse_requests,
            time: settings.reuse_time,
        },
    }
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
        table_elements: settings.table_elements,
        cpu: settings.cpu,
        deadline: settings.deadline,
        peer_wait: settings.peer_wait,
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
