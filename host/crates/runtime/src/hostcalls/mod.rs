//! The host's side of each import of `verge:edge`.
//!
//! Each hostcall is counted first. An `Err` of the outer result ends the
//! guest; what the WIT calls an error goes back to it.

mod acl;
mod cache;
mod config;
mod content;
mod defer;
mod device;
mod fetch;
mod fields;
mod geo;
pub(crate) mod keyvalue;
mod kv;
mod log;
mod metrics;
mod rate_limit;
mod request;
mod response;
pub(crate) mod secret;

pub(crate) use self::fetch::Exchanges;
use crate::bindings::verge::edge::types;
use crate::state::CallState;

impl types::Host for CallState {}
