//! The context in tests.

use super::Host;
use crate::backend::native::with;

impl Host {
    /// Puts a value into the context, as an earlier trigger would have.
    pub fn context(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        with(|state| {
            state
                .context
                .0
                .insert(name.to_owned(), value.as_ref().to_owned())
        });
        self
    }
}
