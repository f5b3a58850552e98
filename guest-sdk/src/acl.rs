//! Lists of address ranges that the operator keeps, and granted to this function.
//!
//! ```
//! # use verge_sdk::testing::Host;
//! # let _host = Host::new().acl("office", &["192.0.2.0/24", "192.0.2.66 deny lost-laptop"]);
//! use verge_sdk::acl;
//!
//! let client = "192.0.2.66".parse().unwrap();
//! assert!(!acl::is_allowed("office", client)?);
//! let entry = acl::lookup("office", client)?.unwrap();
//! assert_eq!(entry.label.as_deref(), Some("lost-laptop"));
//! # Ok::<(), acl::AclError>(())
//! ```
//!
//! An operator writes them as `[acl.NAME]`, with `entries` and a `file` of one entry a line:
//! a range, perhaps `allow` or `deny`, perhaps a label. A list that is saved anew counts from the
//! next request on.

use std::net::IpAddr;

use crate::backend::imp;

/// What an entry says of the addresses in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They may: what an entry says that does not say otherwise.
    Allow,
    /// They may not.
    Deny,
}

/// The entry with the longest prefix that an address is in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its range, such as `10.0.0.0/8`.
    pub prefix: String,
    /// What it says.
    pub action: Action,
    /// The operator's word for it.
    pub label: Option<String>,
}

impl Entry {
    pub(crate) fn new(prefix: String, action: Action, label: Option<String>) -> Self {
        Self {
            prefix,
            action,
            label,
        }
    }
}

/// There is no list of that name, or it was not granted to this function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no list `{0}` was granted")]
pub struct AclError(pub(crate) String);

/// The entry of the list `name` that `address` falls under; `None` if it is in none.
///
/// # Errors
/// There is no such list, or it was not granted.
pub fn lookup(name: &str, address: IpAddr) -> Result<Option<Entry>, AclError> {
    imp::acl::lookup(name, address)
}

/// Whether `address` is in the list `name`, under an entry that allows it.
///
/// # Errors
/// There is no such list, or it was not granted.
pub fn is_allowed(name: &str, address: IpAddr) -> Result<bool, AclError> {
    let entry = lookup(name, address)?;
    Ok(entry.is_some_and(|entry| entry.action == Action::Allow))
}
