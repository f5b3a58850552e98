//! Origins and the way to them: pooled HTTP/1.1 connections over TCP and TLS,
//! balancing, timeouts, and one more attempt where that is safe.
//!
//! [`Origin::send`] is the way in. Decisions ([`retry`], `balance`, `timeouts`,
//! `head`) are pure; `pool`, `connect` and `exchange` act on them. Nothing here
//! knows of routes, caches or functions.

mod balance;
mod connect;
mod connection;
mod error;
mod exchange;
mod head;
mod meter;
mod origin;
mod pool;
mod request_body;
mod resolve;
mod response_body;
pub mod retry;
pub mod settings;
pub mod stats;
mod timeouts;
mod tls;

#[cfg(test)]
mod tests;

pub use error::{AddressError, OriginError};
pub use origin::{Origin, OriginFailure, OriginResponse, OriginTiming};
pub use settings::{Address, Limits, OriginSettings, Roots, Timeouts, TlsSettings};
pub use stats::{AddressStats, OriginStats};
