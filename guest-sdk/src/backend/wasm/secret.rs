//! `verge:edge/secret`.

use super::bindings::imports::verge::edge::secret;

pub(crate) fn get(name: &str) -> Option<Vec<u8>> {
    secret::get(name)
}
