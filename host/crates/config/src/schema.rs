//! What keys there are: collected while a configuration is read, so that the
//! list cannot differ from what is read.

/// One key of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// The key with names and positions left out: `origin.NAME.timeouts.connect`,
    /// `site[].route[].path`.
    pub path: String,
    /// What it takes, with its unit and range.
    pub expected: String,
    /// Its default as it would be written; none when the key must be given.
    pub default: Option<String>,
    /// What the file that was read says, if it says anything.
    pub given: Option<String>,
}
