//! What a client may be sent before its final response (RFC 9110 15.2), in either protocol.

/// What one exchange may send before its final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterimLimits {
    /// Interim responses.
    pub responses: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Default for InterimLimits {
    fn default() -> Self {
        Self {
            responses: 8,
            bytes: 16 * 1024,
        }
    }
}
