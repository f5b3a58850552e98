//! `verge:edge/geo`.

use std::net::IpAddr;

use crate::bindings::verge::edge::geo;
use crate::state::CallState;

impl geo::Host for CallState {
    fn lookup(
        &mut self,
        address: String,
    ) -> wasmtime::Result<Result<Option<geo::Place>, geo::GeoError>> {
        self.hostcall()?;
        let Ok(address) = address.parse::<IpAddr>() else {
            return Ok(Err(geo::GeoError::AddressInvalid));
        };
        let place = self.capabilities().geo(address);
        Ok(Ok(place.map(|place| geo::Place {
            country: place.country,
            continent: place.continent,
            region: place.region,
            city: place.city,
            postal_code: place.postal_code,
            latitude: place.latitude,
            longitude: place.longitude,
            accuracy_radius: place.accuracy_radius,
            time_zone: place.time_zone,
            asn: place.asn,
            organisation: place.organisation,
        })))
    }
}
