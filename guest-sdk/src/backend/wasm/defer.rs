//! `verge:edge/defer`.

use super::bindings::imports::verge::edge::defer;
use crate::defer::DeferError;

pub(crate) fn later(payload: &[u8]) -> Result<(), DeferError> {
    defer::later(payload).map_err(|error| match error {
        defer::DeferError::TooLarge => DeferError::TooLarge,
        defer::DeferError::TooMany => DeferError::TooMany,
        defer::DeferError::QueueFull => DeferError::QueueFull,
        defer::DeferError::Unavailable => DeferError::Unavailable,
    })
}
