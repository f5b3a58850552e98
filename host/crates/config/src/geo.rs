//! `[geo]`: where addresses are, by files in the format of MaxMind.

use std::path::PathBuf;

use crate::table::Table;

/// `[geo]`: files of the MaxMind DB format, which a function with `grants.geo` can ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geo {
    /// Country, region, city, location and time zone: GeoLite2 City or Country, or alike.
    pub city: Option<PathBuf>,
    /// Autonomous systems: GeoLite2 ASN, or alike.
    pub asn: Option<PathBuf>,
}

impl Geo {
    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        Self {
            city: table.file("city"),
            asn: table.file("asn"),
        }
    }

    /// Whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.city.is_none() && self.asn.is_none()
    }
}
