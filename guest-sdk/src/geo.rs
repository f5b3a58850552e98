//! Where addresses are, by the files that the operator keeps (`[geo]`, in the format of MaxMind).
//!
//! ```
//! # use verge_sdk::testing::Host;
//! use verge_sdk::geo::{self, Place};
//! # let mut amsterdam = Place::default();
//! # amsterdam.country = Some("NL".into());
//! # amsterdam.asn = Some(64_496);
//! # let _host = Host::new().geo("192.0.2.7", amsterdam);
//!
//! let place = geo::lookup("192.0.2.7".parse().unwrap()).unwrap_or_default();
//! assert_eq!(place.country.as_deref(), Some("NL"));
//! assert_eq!(place.asn, Some(64_496));
//! assert_eq!(geo::lookup("198.51.100.1".parse().unwrap()), None);
//! ```
//!
//! A file that is saved anew counts from the next request on. What a response depends on must be
//! a part of the key: the country, say, by `Request::add_key_part`.

use std::net::IpAddr;

use crate::backend::imp;

/// What is known of an address; each file knows less of some.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Place {
    /// Two letters (ISO 3166-1), such as `NL`.
    pub country: Option<String>,
    /// Two letters, such as `EU`.
    pub continent: Option<String>,
    /// The largest subdivision, without its country (ISO 3166-2), such as `NH`.
    pub region: Option<String>,
    /// In English.
    pub city: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// Degrees north.
    pub latitude: Option<f64>,
    /// Degrees east.
    pub longitude: Option<f64>,
    /// In kilometres.
    pub accuracy_radius: Option<u16>,
    /// By the IANA's database, such as `Europe/Amsterdam`.
    pub time_zone: Option<String>,
    /// The number of the autonomous system.
    pub asn: Option<u32>,
    /// The autonomous system's organisation.
    pub organisation: Option<String>,
}

/// What is known of an address; `None` if nothing is.
#[must_use]
pub fn lookup(address: IpAddr) -> Option<Place> {
    imp::geo::lookup(address)
}
