//! `verge:edge/config`.

use super::bindings::imports::verge::edge::config;

pub(crate) fn get(name: &str) -> Option<String> {
    config::get(name)
}
