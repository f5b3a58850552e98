//! A function: a component with its settings, linked and checked once, ready
//! to be called for any number of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use verge_base::{Clock, Permits};
use wasmtime::component::{Component, InstancePre};
use wasmtime_wasi_http::p2::bindings::ProxyIndices;
use wasmtime_wasi_http::p3::bindings::ServiceIndices;

use crate::Digest;
use crate::bindings::exports::verge::edge;
use crate::capabilities::Capabilities;
use crate::engine::{Compiled, Engine, Shared, WASM_PAGE};
use crate::grants::Grants;
use crate::limits::Limits;
use crate::linker::{self, MissingImport};
use crate::outcome::Trigger;
use crate::quarantine::{Admission, Conclusion, Quarantine, QuarantineSettings};
use crate::record::{Recorder, Tapes};
use crate::state::Data;
use crate::stock::{Isolation, Stock};

/// How a component becomes a function.
pub struct FunctionSettings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// What one call may use.
    pub limits: Limits,
    /// Which capabilities it may import.
    pub grants: Grants,
    /// What stands behind them.
    pub capabilities: Arc<dyn Capabilities>,
    /// When it is left out after failures.
    pub quarantine: QuarantineSettings,
    /// How its instances are kept apart.
    pub isolation: Isolation,
}

/// Why a component cannot be a function.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It needs imports that it was not granted, or that do not exist.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    ImportsMissing(Vec<MissingImport>),
    /// It exports no trigger and no handler.
    #[error(
        "it exports no trigger: expected one or more of verge:edge/viewer-request@0.1.0, \
         origin-request, origin-response, viewer-response, wasi:http/incoming-handler@0.2 or \
         wasi:http/handler@0.3"
    )]
    NoTrigger,
    /// It needs more memory to start than its limit.
    #[error("it starts with {needed} bytes of memory, more than its limit of {limit}")]
    MemoryTooSmall {
        /// What it needs.
        needed: u64,
        /// Its limit.
        limit: u64,
    },
    /// Its memory limit is above what the engine's slots can hold.
    #[error("its memory limit of {limit} bytes is above the engine's {ceiling}")]
    MemoryTooLarge {
        /// Its limit.
        limit: u64,
        /// [`EngineSettings::memory`](crate::EngineSettings::memory).
        ceiling: u64,
    },
    /// It handles requests by WASI 0.3, and was to be reused.
    #[error(
        "isolation \"reused\" is for triggers and wasi:http/incoming-handler@0.2: it exports \
         wasi:http/handler@0.3, whose tasks may outlive their request"
    )]
    NotReusable,
    /// It is a middleware, and its calls were to be recorded.
    #[error(
        "calls of middleware cannot be recorded: it imports wasi:http/handler@0.3; expected no \
         `record` in its section"
    )]
    NotRecordable,
    /// It was compiled by another engine.
    #[error("it was compiled by another engine")]
    OtherEngine,
    /// Its imports or exports are not of the expected types or versions.
    #[error("it does not fit this host: {0:#}")]
    Unfit(wasmtime::Error),
}

/// A function, ready to be called; cheap to clone.
#[derive(Clone)]
pub struct Function(pub(crate) Arc<Inner>, pub(crate) Option<Arc<Stock>>);

pub(crate) struct Inner {
    pub(crate) name: Arc<str>,
    pub(crate) digest: Digest,
    pub(crate) limits: Limits,
    pub(crate) capabilities: Arc<dyn Capabilities>,
    pub(crate) engine: Arc<Shared>,
    pub(crate) instance: InstancePre<Data>,
    pub(crate) exports: Exports,
    pub(crate) gate: Gate,
    /// Its calls under way: without a limit of their own, see [`Shared::has_room_beside`].
    ///
    /// [`Shared::has_room_beside`]: crate::engine::Shared::has_room_beside
    pub(crate) calls: Permits,
    /// Whether its calls are recorded.
    pub(crate) tapes: Tapes,
}

/// Where each trigger is found in an instance.
pub(crate) struct Exports {
    pub(crate) viewer_request: Option<edge::viewer_request::GuestIndices>,
    pub(crate) origin_request: Option<edge::origin_request::GuestIndices>,
    pub(crate) origin_response: Option<edge::origin_response::GuestIndices>,
    pub(crate) viewer_response: Option<edge::viewer_response::GuestIndices>,
    pub(crate) deferred: Option<edge::deferred::GuestIndices>,
    pub(crate) handler: Option<ProxyIndices>,
    /// The handler of WASI 0.3.
    pub(crate) service: Option<ServiceIndices>,
    /// It imports a handler, too: it is a middleware.
    pub(crate) has_next: bool,
}

/// A function's quarantine; calls of a function without recent failures take no lock.
pub(crate) struct Gate {
    /// The state machine remembers failures.
    suspicious: AtomicBool,
    machine: Mutex<Quarantine>,
}

impl Engine {
    /// Links a compiled component and checks that it fits. Takes well under a millisecond, but
    /// belongs to where generations are built, not to the request path.
    ///
    /// # Errors
    /// Each says what is wrong with the component or its settings.
    pub fn load(
        &self,
        compiled: &Compiled,
        settings: FunctionSettings,
    ) -> Result<Function, LoadError> {
        self.load_taped(compiled, settings, Tapes::Off)
    }

    /// The same, with its calls recorded by `recorder`.
    ///
    /// # Errors
    /// Also that calls of such a component cannot be recorded.
    pub fn load_recorded(
        &self,
        compiled: &Compiled,
        settings: FunctionSettings,
        recorder: Arc<dyn Recorder>,
    ) -> Result<Function, LoadError> {
        self.load_taped(compiled, settings, Tapes::Record(recorder))
    }

    pub(crate) fn load_taped(
        &self,
        compiled: &Compiled,
        settings: FunctionSettings,
        tapes: Tapes,
    ) -> Result<Function, LoadError> {
        let engine = &self.0;
        let component = &compiled.component;
        let (wasm, imports) = engine.of(component).ok_or(LoadError::OtherEngine)?;
        check_memory(component, settings.limits.memory, engine.settings.memory)?;
        let missing = linker::missing_imports(wasm, component, settings.grants);
        if !missing.is_empty() {
            return Err(LoadError::ImportsMissing(missing));
        }
        let mut linker = imports.clone();
        settings
            .grants
            .add_to(&mut linker, component)
            .map_err(LoadError::Unfit)?;
        let instance = linker
            .instantiate_pre(component)
            .map_err(LoadError::Unfit)?;
        let exports = Exports::find(&instance).map_err(LoadError::Unfit)?;
        if !Trigger::ALL.iter().any(|trigger| exports.has(*trigger)) {
            return Err(LoadError::NoTrigger);
        }
        if exports.service.is_some() && matches!(settings.isolation, Isolation::Reused { .. }) {
            return Err(LoadError::NotReusable);
        }
        if exports.service.is_some() && exports.has_next && tapes.are_on() {
            return Err(LoadError::NotRecordable);
        }
        let inner = Arc::new(Inner {
            name: settings.name,
            digest: compiled.digest(),
            limits: settings.limits,
            capabilities: settings.capabilities,
            engine: Arc::clone(engine),
            instance,
            exports,
            gate: Gate::new(settings.quarantine),
            calls: Permits::new("calls", usize::MAX),
            tapes,
        });
        let stock = Stock::open(&inner, settings.isolation);
        Ok(Function(inner, stock))
    }
}

impl Function {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// The digest of its component.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// What one call may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Whether it exports this trigger.
    #[must_use]
    pub fn has(&self, trigger: Trigger) -> bool {
        self.0.exports.has(trigger)
    }

    /// The triggers that it exports.
    pub fn triggers(&self) -> impl Iterator<Item = Trigger> + '_ {
        Trigger::ALL
            .into_iter()
            .filter(|trigger| self.has(*trigger))
    }

    /// Instances that wait for calls now.
    #[must_use]
    pub fn idle_instances(&self) -> usize {
        self.1.as_ref().map_or(0, |stock| stock.len())
    }

    /// Whether it is left out after repeated failures.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.0.gate.machine.lock().is_out()
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Function")
            .field("name", &self.0.name)
            .field("digest", &self.0.digest.short())
            .finish_non_exhaustive()
    }
}

fn check_memory(component: &Component, limit: u64, ceiling: u64) -> Result<(), LoadError> {
    if limit > ceiling {
        return Err(LoadError::MemoryTooLarge { limit, ceiling });
    }
    let pages = component
        .resources_required()
        .and_then(|resources| resources.max_initial_memory_size)
        .unwrap_or(0);
    let needed = pages.saturating_mul(WASM_PAGE);
    if needed > limit {
        return Err(LoadError::MemoryTooSmall { needed, limit });
    }
    Ok(())
}

impl Exports {
    /// Finds the triggers; an error when one is there that does not have the right shape.
    fn find(instance: &InstancePre<Data>) -> wasmtime::Result<Self> {
        let component = instance.component();
        let exported = |prefix: &str| {
            component
                .component_type()
                .exports(component.engine())
                .any(|(name, _)| name.starts_with(prefix))
        };
        let has_next = component
            .component_type()
            .imports(component.engine())
            .any(|(name, _)| name.starts_with("wasi:http/handler@0.3."));
        macro_rules! trigger {
            ($interface:literal, $module:ident) => {
                if exported(concat!("verge:edge/", $interface, "@")) {
                    Some(edge::$module::GuestIndices::new(instance)?)
                } else {
                    None
                }
            };
        }
        Ok(Self {
            viewer_request: trigger!("viewer-request", viewer_request),
            origin_request: trigger!("origin-request", origin_request),
            origin_response: trigger!("origin-response", origin_response),
            viewer_response: trigger!("viewer-response", viewer_response),
            deferred: trigger!("deferred", deferred),
            handler: if exported("wasi:http/incoming-handler@0.2.") {
                Some(ProxyIndices::new(instance)?)
            } else {
                None
            },
            service: if exported("wasi:http/handler@0.3.") {
                Some(ServiceIndices::new(instance)?)
            } else {
                None
            },
            has_next,
        })
    }

    fn has(&self, trigger: Trigger) -> bool {
        match trigger {
            Trigger::ViewerRequest => self.viewer_request.is_some(),
            Trigger::OriginRequest => self.origin_request.is_some(),
            Trigger::OriginResponse => self.origin_response.is_some(),
            Trigger::ViewerResponse => self.viewer_response.is_some(),
            Trigger::Handler => {
                self.handler.is_some() || (self.service.is_some() && !self.has_next)
            }
            Trigger::ViewerMiddleware | Trigger::OriginMiddleware => {
                self.service.is_some() && self.has_next
            }
            Trigger::Deferred => self.deferred.is_some(),
        }
    }
}

impl Gate {
    fn new(settings: QuarantineSettings) -> Self {
        Self {
            suspicious: AtomicBool::new(false),
            machine: Mutex::new(Quarantine::new(settings)),
        }
    }

    pub(crate) fn admit(&self, clock: &Clock) -> Admission {
        if !self.suspicious.load(Ordering::Relaxed) {
            return Admission::Open;
        }
        self.machine.lock().admit(clock.now())
    }

    pub(crate) fn conclude(&self, admission: Admission, conclusion: Conclusion, clock: &Clock) {
        let calm = !self.suspicious.load(Ordering::Relaxed) && admission == Admission::Open;
        if calm && conclusion != Conclusion::Failure {
            return;
        }
        let mut machine = self.machine.lock();
        machine.conclude(admission, conclusion, clock.now());
        self.suspicious
            .store(!machine.is_clean(), Ordering::Relaxed);
    }
}
