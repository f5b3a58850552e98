//! Settings of a test's function.

use std::collections::HashMap;

use super::with;

#[derive(Default)]
pub(crate) struct Settings(pub(crate) HashMap<String, String>);

pub(crate) fn get(name: &str) -> Option<String> {
    with(|state| state.config.0.get(name).cloned())
}
