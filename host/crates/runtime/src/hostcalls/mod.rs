//! The host's side of each import of `verge:edge`.
//!
//! Each hostcall is counted first. An `Err` of the outer result ends the
//! guest; what the WIT calls an error goes back to it.

mod capabilities;
mod content;
mod fields;
mod request;
mod response;

use crate::bindings::verge::edge::types;
use crate::state::CallState;

impl types::Host for CallState {}
