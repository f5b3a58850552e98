//! The wasmtime engine of the node: its settings, its pool of instance slots,
//! its epoch thread, and compilation, which never happens on the request path.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use verge_base::{Clock, Permit, Permits};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::Digest;
use crate::code_cache::CodeCache;
use crate::concurrent::{self, Concurrent};
use crate::limits::TABLE_ELEMENTS;
use crate::linker;
use crate::state::Data;
use crate::stock::Keeper;
use crate::ticker::Ticker;

/// Bytes of a slot that stay resident between two instances, for linear memory and for tables:
/// fewer page faults for less idle memory.
const KEEP_RESIDENT: usize = 128 << 10;
/// Inaccessible bytes after each linear memory, for accesses with a constant offset.
const GUARD: u64 = 2 << 20;
/// Core instances, memories and tables of one component: a main module, the shims that the
/// component tools add, perhaps an adapter.
const CORE_INSTANCES: u32 = 16;
const MEMORIES: u32 = 2;
const TABLES: u32 = 4;
/// Instances that have ended and are not taken down yet, at most; they have room of their own.
const ENDED: u32 = 64;
/// Bytes of a stack beyond the guest's own, for hostcalls.
const HOST_STACK: usize = 3 << 19;
/// The unit in which linear memory grows.
pub(crate) const WASM_PAGE: u64 = 64 << 10;

/// What is fixed when the node starts; a reload cannot change it.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// Instances that may exist at once, of all functions together; at least 1.
    pub instances: u32,
    /// The most linear memory that any function's limit may allow, in bytes; each slot reserves
    /// address space for it.
    pub memory: u64,
    /// The largest component that is compiled, in bytes.
    pub component: usize,
    /// Where compiled code is kept; `None` compiles at every start.
    pub code_cache: Option<PathBuf>,
    /// Bytes of stack that a guest's code may use.
    pub stack: usize,
    /// How often a running guest yields and its limits are checked; four times as often while
    /// one runs for long.
    pub tick: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            instances: 512,
            memory: 128 << 20,
            component: 32 << 20,
            code_cache: None,
            stack: 512 << 10,
            tick: Duration::from_millis(1),
        }
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The settings do not suit this machine.
    #[error("the function engine cannot be set up: {0:#}")]
    Setup(wasmtime::Error),
    /// The directory for compiled code cannot be used.
    #[error("the code cache {} cannot be used: {source}", .path.display())]
    CodeCache {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The epoch thread, or the one that makes instances ahead, did not start.
    #[error("a thread of the engine cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It is larger than [`EngineSettings::component`].
    #[error("the component has {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It is a core module: it was not made into a component.
    #[error("this is a core wasm module, not a component: build it for wasm32-wasip2")]
    NotAComponent,
    /// It is not a valid component.
    #[error("the component is not valid: {0:#}")]
    Invalid(wasmtime::Error),
}

/// Where compiled code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOrigin {
    /// It was compiled now.
    Compiled,
    /// It was in the code cache.
    Cached,
}

/// A component, compiled.
#[derive(Clone)]
pub struct Compiled {
    pub(crate) component: Component,
    digest: Digest,
    origin: CodeOrigin,
}

impl Compiled {
    /// The digest of the component's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Where its code came from.
    #[must_use]
    pub fn origin(&self) -> CodeOrigin {
        self.origin
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Compiled")
            .field("digest", &self.digest)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The engine that all functions run in; cheap to clone.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) wasm: wasmtime::Engine,
    pub(crate) ticker: Ticker,
    pub(crate) keeper: Keeper,
    pub(crate) slots: Permits,
    /// Instances that have ended and are not taken down yet.
    pub(crate) ended: Permits,
    pub(crate) clock: Clock,
    pub(crate) settings: EngineSettings,
    /// What every function may import; a function's own linker adds what it was granted.
    pub(crate) imports: Linker<Data>,
    code_cache: Option<CodeCache>,
    /// The engine for components of WASI 0.3, once there was one.
    concurrent: Arc<OnceLock<Concurrent>>,
    /// One compilation at a time: each uses all cores, and memory in proportion.
    compiling: Mutex<()>,
}

impl Engine {
    /// Reserves the pool and starts the epoch thread.
    ///
    /// # Errors
    /// When the machine cannot provide what the settings ask for, or the code cache's directory
    /// is not ours alone.
    pub fn new(settings: EngineSettings, clock: Clock) -> Result<Self, EngineError> {
        let wasm = wasmtime::Engine::new(&config(&settings)).map_err(EngineError::Setup)?;
        let code_cache = match &settings.code_cache {
            None => None,
            Some(path) => {
                Some(
                    CodeCache::open(path, &wasm).map_err(|source| EngineError::CodeCache {
                        path: path.clone(),
                        source,
                    })?,
                )
            }
        };
        let imports = linker::common(&wasm).map_err(EngineError::Setup)?;
        let concurrent: Arc<OnceLock<Concurrent>> = Arc::default();
        let (advanced, second) = (wasm.clone(), Arc::clone(&concurrent));
        let advance = move || {
            advanced.increment_epoch();
            if let Some(second) = second.get() {
                second.wasm.increment_epoch();
            }
        };
        let ticker = Ticker::start(settings.tick, advance).map_err(EngineError::Thread)?;
        let slots = Permits::new("instances", settings.instances.max(1) as usize);
        let keeper = Keeper::start(slots.clone(), clock.clone()).map_err(EngineError::Thread)?;
        Ok(Self(Arc::new(Shared {
            wasm,
            ticker,
            keeper,
            slots,
            ended: Permits::new("ended instances", ended(&settings) as usize),
            clock,
            settings,
            imports,
            code_cache,
            concurrent,
            compiling: Mutex::new(()),
        })))
    }

    /// Compiles a component (binary, or text), or takes its code from the cache. Blocks for as
    /// long as it takes: not for a thread that serves.
    ///
    /// # Errors
    /// When it is too large or not a valid component.
    pub fn compile(&self, bytes: &[u8]) -> Result<Compiled, CompileError> {
        let limit = self.0.settings.component;
        if bytes.len() > limit {
            return Err(CompileError::TooLarge {
                bytes: bytes.len(),
                limit,
            });
        }
        let digest = Digest::of(bytes);
        let (wasm, cache) = if concurrent::is_needed(bytes) {
            let second = self.0.concurrent().map_err(CompileError::Invalid)?;
            (&second.wasm, second.code_cache.as_ref())
        } else {
            (&self.0.wasm, self.0.code_cache.as_ref())
        };
        if let Some(component) = cache.and_then(|cache| cache.load(wasm, digest)) {
            return Ok(Compiled {
                component,
                digest,
                origin: CodeOrigin::Cached,
            });
        }
        // Version 1 without a layer is a core module, layer 1 a component.
        if bytes.starts_with(b"\0asm\x01\0\0\0") {
            return Err(CompileError::NotAComponent);
        }
        let component = {
            let _one_at_a_time = self.0.compiling.lock();
            Component::new(wasm, bytes).map_err(CompileError::Invalid)?
        };
        if let Some(cache) = cache {
            cache.store(digest, &component);
        }
        Ok(Compiled {
            component,
            digest,
            origin: CodeOrigin::Compiled,
        })
    }

    /// The instance slots: how many there are, are taken, and were refused.
    #[must_use]
    pub fn slots(&self) -> &Permits {
        &self.0.slots
    }

    /// Epoch ticks since the start; they stand still while no guest runs.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.0.ticker.ticks()
    }
}

/// For each slot that is free, one function may have so many calls under way. One that takes all it
/// can get, as when clients send their content slowly, leaves a fifth of the slots to others.
const SHARE: usize = 4;

impl Shared {
    /// Whether a function with so many calls under way may have one more; counts a refusal if not.
    pub(crate) fn has_room_beside(&self, calls: usize) -> bool {
        let free = self.slots.limit().saturating_sub(self.slots.in_use());
        let allows = |free: usize| calls < free.saturating_mul(SHARE);
        // Instances that wait give their slots to whoever needs them; counting them takes locks.
        let has_room = allows(free) || allows(free + self.keeper.waiting());
        if !has_room {
            self.slots.note_refusal();
        }
        has_room
    }

    /// A slot for a call: a free one, or that of an instance that waits.
    pub(crate) fn slot(&self) -> Option<Permit> {
        if self.slots.in_use() >= self.slots.limit()
            && let Some(slot) = self.keeper.reclaim()
        {
            return Some(slot);
        }
        self.slots.try_acquire()
    }

    /// The engine for components of WASI 0.3, made if need be.
    fn concurrent(&self) -> wasmtime::Result<&Concurrent> {
        if let Some(made) = self.concurrent.get() {
            return Ok(made);
        }
        let _one_at_a_time = self.compiling.lock();
        if let Some(made) = self.concurrent.get() {
            return Ok(made);
        }
        let made = Concurrent::new(&self.settings)?;
        Ok(self.concurrent.get_or_init(|| made))
    }

    /// The engine that a component was compiled for, with what may be imported there; `None` when
    /// it is none of these.
    pub(crate) fn of(&self, component: &Component) -> Option<(&wasmtime::Engine, &Linker<Data>)> {
        let is = |wasm| wasmtime::Engine::same(component.engine(), wasm);
        if is(&self.wasm) {
            return Some((&self.wasm, &self.imports));
        }
        let second = self.concurrent.get().filter(|second| is(&second.wasm));
        second.map(|second| (&second.wasm, &second.imports))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}

fn config(settings: &EngineSettings) -> Config {
    let mut config = Config::new();
    pooled(&mut config, settings, 1);
    // Triggers and wasi:http 0.2 need no component-model concurrency, and it costs every call.
    config.concurrency_support(false);
    config
}

/// What both engines have in common: a pool of slots, each with so many stacks.
pub(crate) fn pooled(config: &mut Config, settings: &EngineSettings, stacks: u32) {
    let memory = settings.memory.max(WASM_PAGE).next_multiple_of(WASM_PAGE);
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(settings.stack)
        .async_stack_size(settings.stack.saturating_add(HOST_STACK))
        .memory_init_cow(true)
        // A slot reserves what a function may use at most, and never moves.
        .memory_reservation(memory)
        .memory_may_move(false)
        .memory_guard_size(GUARD)
        .parallel_compilation(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(
            settings, memory, stacks,
        )));
}

/// How many ended instances may be there beside those in slots.
fn ended(settings: &EngineSettings) -> u32 {
    settings.instances.clamp(1, ENDED)
}

fn pool(settings: &EngineSettings, memory: u64, stacks: u32) -> PoolingAllocationConfig {
    let instances = settings.instances.max(1).saturating_add(ended(settings));
    let mut pool = PoolingAllocationConfig::new();
    // Stacks stay resident as they are: no guest can see another's native stack, so they are not
    // zeroed (`async_stack_zeroing` is off).
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .total_memories(instances.saturating_mul(MEMORIES))
        .total_tables(instances.saturating_mul(TABLES))
        .total_stacks(instances.saturating_mul(stacks))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .max_memories_per_module(MEMORIES)
        .max_memory_size(usize::try_from(memory).unwrap_or(usize::MAX))
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        // Linux 6.7 and later can tell which pages were written; elsewhere this does nothing.
        .pagemap_scan(Enabled::Auto);
    pool
}
