//! The guest toolchain: what builds functions to components for
//! `wasm32-wasip2`. One place for the node's commands and the project's own
//! chores; it finds, installs and starts programs, and knows nothing of nodes.

#![allow(
    clippy::print_stderr,
    reason = "steps are told to whoever sits at the terminal"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "steps are timed for the reader; nothing is decided by the time"
)]

pub mod packages;
pub mod steps;
mod toolchain;

pub use toolchain::{TARGET, Toolchain};
