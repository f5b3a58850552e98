//! Settings in tests.

use super::Host;
use crate::backend::native::with;
use crate::config::Value;

impl Host {
    /// Gives the function a setting: a string, a number, true or false.
    pub fn config(self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        with(|state| state.config.0.insert(name.to_owned(), value));
        self
    }
}
