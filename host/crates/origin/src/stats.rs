//! What can be counted about an origin, for metrics and the admin listener.

use std::net::SocketAddr;

/// The state of an origin's pool. Counters only grow, while the address exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginStats {
    /// Each address in use.
    pub addresses: Vec<AddressStats>,
    /// Requests that wait for a connection now.
    pub waiting: usize,
    /// Requests refused since the queue was full.
    pub queue_refused: u64,
    /// Requests that waited in the queue for too long.
    pub queue_timed_out: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Exchanges that failed for good.
    pub failed: u64,
}

/// The state of the connections to one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressStats {
    /// The address.
    pub address: SocketAddr,
    /// Connections that exist or are being made.
    pub open: usize,
    /// Those of them that are unused.
    pub idle: usize,
    /// Those of them that serve an exchange, or are being made or closed.
    pub in_use: usize,
    /// The last connection attempt failed a short while ago.
    pub penalised: bool,
    /// Connections made since the start.
    pub opened: u64,
    /// Exchanges that found an unused connection.
    pub reused: u64,
    /// Connections that could not be made.
    pub connect_failed: u64,
}

impl AddressStats {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            open: 0,
            idle: 0,
            in_use: 0,
            penalised: false,
            opened: 0,
            reused: 0,
            connect_failed: 0,
        }
    }
}
