//! Settings of a test's function.

use std::collections::HashMap;

use super::with;
use crate::config::Value;

#[derive(Default)]
pub(crate) struct Settings(pub(crate) HashMap<String, Value>);

pub(crate) fn get(name: &str) -> Option<String> {
    value(name).map(|value| value.to_string())
}

pub(crate) fn value(name: &str) -> Option<Value> {
    with(|state| state.config.0.get(name).cloned())
}
