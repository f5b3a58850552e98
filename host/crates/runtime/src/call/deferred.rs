//! Calls after the response, with what the function left.

use std::sync::Arc;

use super::{Finished, Input};
use crate::function::Function;
use crate::message::{Call, DeferredCall};
use crate::outcome::Trigger;

impl Function {
    /// Runs the function's `deferred` trigger. `id` is the id of the request that left `payload`.
    pub async fn deferred(&self, call: Call, id: Arc<str>, payload: Vec<u8>) -> DeferredCall {
        let input = Input {
            scope: call.scope,
            request_id: id,
            request: None,
            response: None,
            incoming: None,
            payload,
        };
        let Finished {
            result, receipt, ..
        } = self.finish(Trigger::Deferred, input).await;
        DeferredCall {
            result: result.map(|_| ()),
            receipt,
        }
    }
}
