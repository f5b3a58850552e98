//! Verge: a regional edge node in one binary. It terminates TLS, serves from a
//! shared HTTP cache, runs WebAssembly functions on the request path and
//! forwards misses to origins.
//!
//! `ARCHITECTURE.md` beside this crate tells where things are and what always
//! holds. The request path is [`pipeline`].

mod acl;
pub mod admin;
mod capabilities;
pub mod cli;
mod deferred;
pub mod deploy;
mod files;
pub mod generation;
mod geo;
pub mod key_rule;
mod line_budget;
pub mod listener;
pub mod node;
pub mod pipeline;
mod recording;
pub mod reload;
pub mod route;
mod secrets;
pub mod telemetry;
