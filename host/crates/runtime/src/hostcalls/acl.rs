//! `verge:edge/acl`.

use std::net::IpAddr;

use crate::bindings::verge::edge::acl;
use crate::capabilities::{AclAction, UnknownAcl};
use crate::state::CallState;

impl acl::Host for CallState {
    fn lookup(
        &mut self,
        name: String,
        address: String,
    ) -> wasmtime::Result<Result<Option<acl::Entry>, acl::AclError>> {
        self.hostcall()?;
        let Ok(address) = address.parse::<IpAddr>() else {
            return Ok(Err(acl::AclError::AddressInvalid));
        };
        Ok(match self.capabilities().acl(&name, address) {
            Err(UnknownAcl) => Err(acl::AclError::UnknownList),
            Ok(entry) => Ok(entry.map(|entry| acl::Entry {
                prefix: entry.prefix,
                action: match entry.action {
                    AclAction::Allow => acl::Action::Allow,
                    AclAction::Deny => acl::Action::Deny,
                },
                label: entry.label.map(|label| label.as_ref().to_owned()),
            })),
        })
    }
}
