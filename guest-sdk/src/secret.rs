//! Secrets that were granted to this function.

use std::fmt;

use zeroize::Zeroizing;

use crate::backend::imp;

/// A secret. It does not print itself: `{:?}` shows no byte of it; when it is dropped, zeros are
/// written over it.
///
/// ```
/// # use verge_sdk::testing::Host;
/// # let _host = Host::new().secret("jwt-key", "correct horse");
/// let key = verge_sdk::secret::get("jwt-key").unwrap();
/// assert_eq!(key.expose(), b"correct horse");
/// assert_eq!(format!("{key:?}"), "Secret(..)");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Its bytes. Never log them, and never answer with them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The secret of that name; `None` when none was granted.
#[must_use]
pub fn get(name: &str) -> Option<Secret> {
    imp::secret::get(name).map(|bytes| Secret(Zeroizing::new(bytes)))
}
