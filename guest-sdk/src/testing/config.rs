//! Settings in tests.

use super::Host;
use crate::backend::native::with;

impl Host {
    /// Gives the function a setting.
    pub fn config(self, name: &str, value: &str) -> Self {
        with(|state| state.config.0.insert(name.to_owned(), value.to_owned()));
        self
    }
}
