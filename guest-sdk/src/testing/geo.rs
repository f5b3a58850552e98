//! Places in tests.

use std::net::IpAddr;

use super::Host;
use crate::backend::native::with;
use crate::geo::Place;

impl Host {
    /// Says where an address is; nothing is known of others.
    ///
    /// # Panics
    /// It is no address.
    pub fn geo(self, address: &str, place: Place) -> Self {
        let Ok(address) = address.parse::<IpAddr>() else {
            unreachable!("`{address}` is no address");
        };
        with(|state| state.places.0.insert(address.to_canonical(), place));
        self
    }
}
