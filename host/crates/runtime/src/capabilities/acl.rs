//! Whether an address is in a list of ranges.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What an entry says of the addresses in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AclAction {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

/// The entry that an address falls under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntry {
    /// Its range, such as `10.0.0.0/8`.
    pub prefix: String,
    /// What it says.
    pub action: AclAction,
    /// The operator's word for it.
    pub label: Option<Arc<str>>,
}

/// No list of that name was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownAcl;
