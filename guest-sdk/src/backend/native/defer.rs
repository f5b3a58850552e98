//! What a test's function left for after the response.

use super::with;
use crate::defer::DeferError;

/// Limits, as `wit/defer.wit` states them.
const PAYLOAD_BYTES: usize = 64 << 10;
const PAYLOADS: usize = 16;

#[derive(Default)]
pub(crate) struct Left(pub(crate) Vec<Vec<u8>>);

pub(crate) fn later(payload: &[u8]) -> Result<(), DeferError> {
    with(|state| {
        if payload.len() > PAYLOAD_BYTES {
            return Err(DeferError::TooLarge);
        }
        if state.left.0.len() >= PAYLOADS {
            return Err(DeferError::TooMany);
        }
        state.left.0.push(payload.to_vec());
        Ok(())
    })
}
