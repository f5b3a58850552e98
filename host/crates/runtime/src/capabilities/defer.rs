//! Work that a function leaves for after the response.

use serde::{Deserialize, Serialize};

/// Most bytes of one payload.
pub const DEFER_PAYLOAD_BYTES: usize = 64 << 10;
/// Most payloads that one request may leave.
pub const DEFER_PAYLOADS: usize = 16;

/// Why nothing was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeferError {
    /// The payload is too large.
    TooLarge,
    /// The request has left too many.
    TooMany,
    /// The node has no room for more.
    QueueFull,
    /// The function cannot be called so.
    Unavailable,
}

impl DeferError {
    /// The word for metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::TooMany => "too-many",
            Self::QueueFull => "queue-full",
            Self::Unavailable => "unavailable",
        }
    }
}
