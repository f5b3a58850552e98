//! `verge:edge/acl`.

use std::net::IpAddr;

use super::bindings::imports::verge::edge::acl;
use crate::acl::{AclError, Action, Entry};

pub(crate) fn lookup(name: &str, address: IpAddr) -> Result<Option<Entry>, AclError> {
    match acl::lookup(name, &address.to_string()) {
        Ok(entry) => Ok(entry.map(|entry| {
            let action = match entry.action {
                acl::Action::Allow => Action::Allow,
                acl::Action::Deny => Action::Deny,
            };
            Entry::new(entry.prefix, action, entry.label)
        })),
        // An address of this type is always valid.
        Err(acl::AclError::UnknownList | acl::AclError::AddressInvalid) => {
            Err(AclError(name.to_owned()))
        }
    }
}
