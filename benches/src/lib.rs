//! What the benches share: servers as child processes on cores of their own,
//! closed-loop clients, and tables of medians with their spread.
//!
//! Contenders are measured in interleaved rounds, so that what changes on the
//! machine meanwhile changes for all of them. Everything stays on loopback and
//! is bounded in time.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures time and prints what it found"
)]

pub mod clients;
pub mod load;
pub mod machine;
pub mod nginx;
pub mod node;
pub mod origin;
pub mod peers;
pub mod process;
pub mod rounds;
pub mod shop;
pub mod tls;
pub mod wrk;

pub use load::{Load, Sample};
pub use node::{Node, NodeConfig};
pub use origin::Origin;
pub use rounds::{Rounds, Spread, interleave};
