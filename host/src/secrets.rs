//! Secrets as values that cannot be printed by accident.

use std::fmt;
use std::io::Read as _;

use verge_config::SecretSource;

/// Most bytes of a secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret; it shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretText(Vec<u8>);

impl SecretText {
    /// The secret itself, for whoever was granted it.
    #[must_use]
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Reads a secret from where the configuration says.
    ///
    /// # Errors
    /// A text that names the source and what would be right, never the secret.
    pub(crate) fn read(source: &SecretSource) -> Result<Self, String> {
        let text = match source {
            SecretSource::File(path) => {
                let mut text = Vec::new();
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
            SecretSource::Variable(name) => std::env::var_os(name)
                .ok_or_else(|| format!("the environment variable `{name}` is not set"))?
                .into_encoded_bytes(),
        };
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(Self(text))
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(..)")
    }
}
