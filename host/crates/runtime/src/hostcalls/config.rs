//! `verge:edge/config`.

use crate::bindings::verge::edge::config;
use crate::state::CallState;

impl config::Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.hostcall()?;
        Ok(self.function.capabilities.config(&name))
    }
}
