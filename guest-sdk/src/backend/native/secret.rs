//! Secrets of a test's function.

use std::collections::HashMap;

use super::with;

#[derive(Default)]
pub(crate) struct Secrets(pub(crate) HashMap<String, Vec<u8>>);

pub(crate) fn get(name: &str) -> Option<Vec<u8>> {
    with(|state| state.secrets.0.get(name).cloned())
}
