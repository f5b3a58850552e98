//! Where addresses are, by files of the MaxMind DB format.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use maxminddb::{Reader, geoip2};
use verge_runtime::capabilities::GeoPlace;

use crate::files;

/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The files of a generation. A file that is saved anew makes another value.
#[derive(Default)]
pub(crate) struct Geo {
    city: Option<Arc<Database>>,
    asn: Option<Arc<Database>>,
}

/// One file, in memory.
struct Database {
    reader: Reader<Vec<u8>>,
    file: FileId,
}

/// What tells that a file is still the same.
#[derive(PartialEq, Eq)]
struct FileId {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    /// A file that was renamed over another one is another.
    inode: u64,
}

impl Geo {
    /// Reads the files of the configuration; what did not change comes from `held`. For each
    /// that cannot be used, its key and what is wrong with it.
    pub(crate) fn read(
        config: &verge_config::Geo,
        held: Option<&Self>,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        let mut read = |key, path: &Option<PathBuf>, held: Option<&Arc<Database>>| {
            let database = path.as_deref().map(|path| Database::read(path, held));
            database.transpose().unwrap_or_else(|what| {
                wrong.push((key, what));
                None
            })
        };
        let held =
            |of: fn(&Self) -> &Option<Arc<Database>>| held.and_then(|held| of(held).as_ref());
        let geo = Self {
            city: read("city", &config.city, held(|held| &held.city)),
            asn: read("asn", &config.asn, held(|held| &held.asn)),
        };
        if wrong.is_empty() {
            Ok(geo)
        } else {
            Err(wrong)
        }
    }

    /// Whether it has the same files as `other`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = |one: &Option<Arc<Database>>, other: &Option<Arc<Database>>| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        };
        same(&self.city, &other.city) && same(&self.asn, &other.asn)
    }

    /// What is known of an address. A record that cannot be read says nothing: the file was
    /// verified when it was loaded.
    pub(crate) fn lookup(&self, address: IpAddr) -> Option<GeoPlace> {
        let address = address.to_canonical();
        let city = self.city.as_ref();
        let city = city.and_then(|city| city.find::<geoip2::City<'_>>(address));
        let asn = self.asn.as_ref();
        let asn = asn.and_then(|asn| asn.find::<geoip2::Asn<'_>>(address));
        if city.is_none() && asn.is_none() {
            return None;
        }
        let city = city.unwrap_or_default();
        let own = |text: Option<&str>| text.map(str::to_owned);
        Some(GeoPlace {
            country: own(city.country.iso_code),
            continent: own(city.continent.code),
            region: own(city.subdivisions.first().and_then(|first| first.iso_code)),
            city: own(city.city.names.english),
            postal_code: own(city.postal.code),
            latitude: city.location.latitude,
            longitude: city.location.longitude,
            accuracy_radius: city.location.accuracy_radius,
            time_zone: own(city.location.time_zone),
            asn: asn.as_ref().and_then(|asn| asn.autonomous_system_number),
            organisation: own(asn.and_then(|asn| asn.autonomous_system_organization)),
        })
    }
}

impl Database {
    fn read(path: &Path, held: Option<&Arc<Self>>) -> Result<Arc<Self>, String> {
        let file = FileId::of(path)?;
        if let Some(held) = held.filter(|held| held.file == file) {
            return Ok(Arc::clone(held));
        }
        let content = files::read_bounded(path, FILE_BYTES_MAX)?;
        let invalid = |error| format!("`{}` is no MaxMind database: {error}", path.display());
        let reader = Reader::from_source(content).map_err(invalid)?;
        // A file that was cut or damaged is found now, not by the request that meets the place.
        reader.verify().map_err(invalid)?;
        Ok(Arc::new(Self { reader, file }))
    }

    fn find<'a, T: serde::Deserialize<'a>>(&'a self, address: IpAddr) -> Option<T> {
        self.reader.lookup(address).ok()?.decode().ok()?
    }
}

impl FileId {
    fn of(path: &Path) -> Result<Self, String> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = std::fs::metadata(path)
            .map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
            inode: metadata.ino(),
        })
    }
}
