//! Secrets in tests.

use super::Host;
use crate::backend::native::with;

impl Host {
    /// Grants the function a secret.
    pub fn secret(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        with(|state| {
            state
                .secrets
                .0
                .insert(name.to_owned(), value.as_ref().to_owned())
        });
        self
    }
}
