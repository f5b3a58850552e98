//! Where an address is.

use serde::{Deserialize, Serialize};

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeoPlace {
    /// Two letters (ISO 3166-1).
    pub country: Option<String>,
    /// Two letters.
    pub continent: Option<String>,
    /// The largest subdivision, without its country (ISO 3166-2).
    pub region: Option<String>,
    /// In English.
    pub city: Option<String>,
    /// The postal code.
    pub postal_code: Option<String>,
    /// Degrees north.
    #[serde(with = "crate::record::float::maybe")]
    pub latitude: Option<f64>,
    /// Degrees east.
    #[serde(with = "crate::record::float::maybe")]
    pub longitude: Option<f64>,
    /// In kilometres.
    pub accuracy_radius: Option<u16>,
    /// By the IANA's database.
    pub time_zone: Option<String>,
    /// The number of the autonomous system.
    pub asn: Option<u32>,
    /// The autonomous system's organisation.
    pub organisation: Option<String>,
}
