//! Address lists of a test's function.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use super::with;
use crate::acl::{AclError, Action, Entry};

/// Lists by name; each entry with the bits of its range and their number.
#[derive(Default)]
pub(crate) struct Acls(pub(crate) HashMap<String, Vec<(u128, u32, Entry)>>);

pub(crate) fn lookup(name: &str, address: IpAddr) -> Result<Option<Entry>, AclError> {
    with(|state| {
        let Some(entries) = state.acls.0.get(name) else {
            return Err(AclError(name.to_owned()));
        };
        let address = bits(address);
        let inside = |(range, length, _): &&(u128, u32, Entry)| {
            (range ^ address).checked_shr(128 - length).unwrap_or(0) == 0
        };
        let entry = entries.iter().filter(inside).max_by_key(|entry| entry.1);
        Ok(entry.map(|(_, _, entry)| entry.clone()))
    })
}

/// One entry as an operator writes it; `None` if it is not valid.
pub(crate) fn parse(text: &str) -> Option<(u128, u32, Entry)> {
    let mut words = text.split_whitespace();
    let range = words.next()?;
    let (address, length) = match range.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (range, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(most);
    let mut label = words.next();
    let action = match label {
        Some("deny") => Action::Deny,
        _ => Action::Allow,
    };
    if matches!(label, Some("allow" | "deny")) {
        label = words.next();
    }
    if length > most || words.next().is_some() {
        return None;
    }
    let prefix = format!("{address}/{length}");
    let entry = Entry::new(prefix, action, label.map(str::to_owned));
    Some((bits(address), 128 - most + length, entry))
}

/// IPv4 stands in IPv6, so that one number does for both.
fn bits(address: IpAddr) -> u128 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    Ipv6Addr::to_bits(address)
}
