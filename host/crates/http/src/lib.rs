//! The rules of HTTP that a shared cache and proxy lives by, as pure functions:
//! no I/O, no clock, no configuration. What depends on time takes it as an
//! argument.

#![warn(clippy::indexing_slicing)]

pub mod age;
pub mod authority;
pub mod body;
pub mod cache_control;
pub mod cache_status;
pub mod chunk_scan;
pub mod client_hints;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod failure;
pub mod fields;
pub mod forwarded;
pub mod framing;
pub mod head_scan;
pub mod interim;
pub mod multipart;
pub mod path;
pub mod proxy_status;
pub mod range;
pub mod status;
mod structured;
pub mod surrogate;
pub mod syntax;
pub mod targeted;
#[cfg(test)]
mod testing;
pub mod vary;
pub mod via;

pub use authority::{Authority, Scheme};
pub use body::{Body, BodyStream, StoredBody};
pub use failure::Failure;
