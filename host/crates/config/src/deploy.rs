//! `[deploy]`: where versions of functions are kept, and how many.

use std::path::PathBuf;

use toml::de::DeValue;

use crate::kinds::{Count, Kind, Size, quoted, text_of};
use crate::table::Table;

/// `[deploy]`: versions of functions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deploy {
    /// The folder with the versions and what is known of them, for this node alone; it is made if
    /// it is missing. Without it functions are what the configuration says, and nothing can be
    /// deployed to the node. Not reloadable.
    pub folder: Option<PathBuf>,
    /// Versions of a function that are kept, compiled and on disk; 2 to 20, default 5.
    pub kept: usize,
    /// Bytes of a component that is deployed; 1KiB to 32MiB, default 32MiB.
    pub component: usize,
    /// Public keys of minisign. Components of functions without keys of their own run only if one
    /// of these signed them. Default: none, and nothing need be signed.
    pub keys: Vec<String>,
}

/// A public key of minisign.
pub(crate) struct SigningKey;

/// Characters of such a key.
const KEY_LENGTH: usize = 56;

impl Kind for SigningKey {
    type Value = String;

    fn expected(&self) -> String {
        "a public key of minisign, the line that begins with RW".to_owned()
    }

    fn read(&self, value: &DeValue<'_>) -> Result<String, String> {
        let text = text_of(value)?;
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if text.len() == KEY_LENGTH && text.starts_with("RW") && text.bytes().all(is_base64) {
            Ok(text.to_owned())
        } else {
            Err(format!("{} is no such key", quoted(text)))
        }
    }

    fn show(&self, value: &String) -> String {
        quoted(value)
    }
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            folder: None,
            kept: 5,
            component: 32 << 20,
            keys: Vec::new(),
        }
    }
}

impl Deploy {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            folder: table.output("folder"),
            kept: table.or("kept", &Count(2..=20), default.kept),
            component: table.or("component", &Size(1 << 10..=32 << 20), default.component),
            keys: table.list("keys", "public keys of minisign", true, &SigningKey),
        }
    }
}
