//! The host's side of each import of `verge:edge`.
//!
//! Each hostcall is counted first. An `Err` of the outer result ends the
//! guest; what the WIT calls an error goes back to it.

mod config;
mod content;
mod fetch;
mod fields;
pub(crate) mod keyvalue;
mod kv;
mod log;
mod rate_limit;
mod request;
mod response;
mod secret;

pub(crate) use self::fetch::Exchanges;
use crate::bindings::verge::edge::types;
use crate::state::CallState;

impl types::Host for CallState {}
