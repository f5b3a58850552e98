//! Places of a test's addresses.

use std::collections::HashMap;
use std::net::IpAddr;

use super::with;
use crate::geo::Place;

#[derive(Default)]
pub(crate) struct Places(pub(crate) HashMap<IpAddr, Place>);

pub(crate) fn lookup(address: IpAddr) -> Option<Place> {
    with(|state| state.places.0.get(&address.to_canonical()).cloned())
}
