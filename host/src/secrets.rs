//! Secrets as values that cannot be printed by accident, and that leave no copy behind.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

use verge_config::SecretSource;
use zeroize::{Zeroize as _, Zeroizing};

/// Most bytes of a secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret; it shows nothing of itself. When the last of its clones goes, zeros are written
/// over it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretText(Arc<Bytes>);

/// The bytes, which calls of functions share for as long as they copy them into the guest. Such
/// a call holds the function and so the `SecretText`: here nobody else has them any more.
#[derive(PartialEq, Eq)]
struct Bytes(Arc<[u8]>);

impl Drop for Bytes {
    fn drop(&mut self) {
        if let Some(bytes) = Arc::get_mut(&mut self.0) {
            bytes.zeroize();
        }
    }
}

impl SecretText {
    /// The secret itself, for whoever was granted it.
    #[must_use]
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0.0
    }

    /// The same, for a guest's memory. It is not to be kept.
    #[must_use]
    pub(crate) fn share(&self) -> Arc<[u8]> {
        Arc::clone(&self.0.0)
    }

    /// Reads a secret from where the configuration says.
    ///
    /// # Errors
    /// A text that names the source and what would be right, never the secret.
    pub(crate) fn read(source: &SecretSource) -> Result<Self, String> {
        let mut text = match source {
            SecretSource::File(path) => {
                // Room for all of it at once: a buffer that grows leaves its old bytes behind.
                let room = usize::try_from(SECRET_BYTES_MAX + 1).unwrap_or(usize::MAX);
                let mut text = Zeroizing::new(Vec::with_capacity(room));
                std::fs::File::open(path)
                    .and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut text))
                    .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
                if text.len() as u64 > SECRET_BYTES_MAX {
                    return Err(format!("`{}` is larger than 64KiB", path.display()));
                }
                // A text editor's line end is no part of the secret.
                if text.ends_with(b"\n") {
                    text.pop();
                    if text.ends_with(b"\r") {
                        text.pop();
                    }
                }
                text
            }
            SecretSource::Variable(name) => Zeroizing::new(
                std::env::var_os(name)
                    .ok_or_else(|| format!("the environment variable `{name}` is not set"))?
                    .into_encoded_bytes(),
            ),
        };
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        let bytes = Bytes(Arc::from(text.as_slice()));
        text.zeroize();
        Ok(Self(Arc::new(bytes)))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> SecretText {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        SecretText::read(&SecretSource::File(path)).unwrap()
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let secret = read(b"correct horse\r\n");
        assert_eq!(secret.expose(), b"correct horse");
        assert_eq!(format!("{secret:?}"), "SecretText(..)");
        assert_eq!(secret, read(b"correct horse"));
    }

    /// What is left after the last clone cannot be looked at without unsafe code; that the owner
    /// finds itself alone then, and so writes its zeros, can.
    #[test]
    fn the_last_owner_is_alone_with_the_bytes() {
        let secret = read(b"sesame");
        let clone = secret.clone();
        drop(secret.share());
        drop(secret);
        let SecretText(bytes) = clone;
        let mut bytes = Arc::into_inner(bytes).expect("it is the last one");
        let alone = Arc::get_mut(&mut bytes.0).expect("no call holds it");
        alone.zeroize();
        assert_eq!(&*bytes.0, [0; 6]);
    }
}
