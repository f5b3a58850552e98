//! `verge:edge/geo`.

use std::net::IpAddr;

use super::bindings::imports::verge::edge::geo;
use crate::geo::Place;

pub(crate) fn lookup(address: IpAddr) -> Option<Place> {
    // An address of this type is always valid.
    let place = geo::lookup(&address.to_string()).ok()??;
    Some(Place {
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
    })
}
