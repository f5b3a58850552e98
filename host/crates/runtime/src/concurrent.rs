//! The engine for components of WASI 0.3, with the component model's
//! concurrency. That costs every call, so triggers and `wasi:http` 0.2 run in
//! the engine without it, and this one is made when the first component needs
//! it. Both share slots, ticks and limits.

use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use crate::code_cache::CodeCache;
use crate::engine::{EngineSettings, pooled};
use crate::linker;
use crate::state::Data;

/// Stacks for each slot: a guest's tasks, and hostcalls that wait, have one each.
const STACKS: u32 = 4;

/// What is exported by a component that needs this engine. The name of an interface stands as it
/// is in a component's bytes; one that only mentions it runs here all the same.
const HANDLER: &[u8] = b"wasi:http/handler@0.3.";

/// See the file's head.
pub(crate) struct Concurrent {
    pub(crate) wasm: Engine,
    /// What every function may import; see [`crate::engine::Shared::imports`].
    pub(crate) imports: Linker<Data>,
    pub(crate) code_cache: Option<CodeCache>,
}

impl Concurrent {
    pub(crate) fn new(settings: &EngineSettings) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        pooled(&mut config, settings, STACKS);
        config
            .concurrency_support(true)
            .wasm_component_model_async(true);
        let wasm = Engine::new(&config)?;
        let code_cache = match &settings.code_cache {
            None => None,
            Some(path) => Some(CodeCache::open(path, &wasm)?),
        };
        let imports = linker::concurrent(&wasm)?;
        Ok(Self {
            wasm,
            imports,
            code_cache,
        })
    }
}

/// Whether a component has to run here.
pub(crate) fn is_needed(component: &[u8]) -> bool {
    component
        .windows(HANDLER.len())
        .any(|window| window == HANDLER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_0_3_are_known_by_their_export() {
        assert!(is_needed(b"\0asm...wasi:http/handler@0.3.2..."));
        assert!(!is_needed(b"\0asm...wasi:http/incoming-handler@0.2.12..."));
        assert!(!is_needed(b""));
    }
}
