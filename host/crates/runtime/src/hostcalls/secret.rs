//! `verge:edge/secret`.

use crate::bindings::verge::edge::secret;
use crate::state::CallState;

impl secret::Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.hostcall()?;
        Ok(self.function.capabilities.secret(&name))
    }
}
