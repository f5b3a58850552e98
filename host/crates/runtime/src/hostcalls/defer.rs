//! `verge:edge/defer`.

use crate::bindings::verge::edge::defer;
use crate::capabilities::DeferError;
use crate::outcome::Trigger;
use crate::state::CallState;

impl defer::Host for CallState {
    fn later(&mut self, payload: Vec<u8>) -> wasmtime::Result<Result<(), defer::DeferError>> {
        self.hostcall()?;
        let done = if self.trigger == Trigger::Deferred {
            // Work that leaves work would never end.
            Err(DeferError::Unavailable)
        } else {
            self.scope
                .defer(&self.function.name, &self.request_id, payload)
        };
        Ok(done.map_err(|error| match error {
            DeferError::TooLarge => defer::DeferError::TooLarge,
            DeferError::TooMany => defer::DeferError::TooMany,
            DeferError::QueueFull => defer::DeferError::QueueFull,
            DeferError::Unavailable => defer::DeferError::Unavailable,
        }))
    }
}
