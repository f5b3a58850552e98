//! `verge:edge/context`.

use super::bindings::imports::verge::edge::context;

pub(crate) fn get(name: &str) -> Option<Vec<u8>> {
    context::get(name)
}

pub(crate) fn set(name: &str, value: &[u8]) -> bool {
    context::set(name, value)
}
