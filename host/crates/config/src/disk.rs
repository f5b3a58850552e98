//! `[cache.disk]`: stored responses on a disk, so that a restarted node is warm.

use std::path::PathBuf;
use std::time::Duration;

use crate::kinds::{Count, FilePath, Rate, Size, time};
use crate::table::Table;

/// `[cache.disk]`. Not reloadable: a change needs a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disk {
    /// The folder, for this node alone; it is made if it is missing.
    pub path: PathBuf,
    /// Bytes that stored responses may take there; 16MiB to 1PiB.
    pub size: u64,
    /// Largest content that is kept; 1KiB to 1TiB, at most a quarter of `size` and
    /// `cache.max_object`, default 64MiB.
    pub max_object: u64,
    /// Content that may wait to be written; what comes then is not written. 1MiB to 1GiB,
    /// default 32MiB.
    pub queue: u64,
    /// Time that a read may take; what takes longer is a miss. 1ms to 1m, default 500ms.
    pub read_timeout: Duration,
    /// Bytes that may be written in a second, on average; what is over is not written.
    /// Default 0B/s, any.
    pub write_rate: u64,
    /// Responses that are kept at most, 1000 to 100000000; each takes about 200 bytes of
    /// memory. Default 2000000.
    pub records: u64,
}

impl Disk {
    /// Reads the section, if it is there.
    pub(crate) fn read(table: &Table<'_, '_>) -> Option<Self> {
        let sizes = Size(16 << 20..=1 << 50);
        let (path, size) = if table.is_given() {
            let path = table.required("path", &FilePath);
            (path, table.required("size", &sizes))
        } else {
            // Noted for the list of keys.
            (table.maybe("path", FilePath), table.maybe("size", sizes))
        };
        let max_object = table.or("max_object", &Size(1 << 10..=1 << 40), 64 << 20);
        let queue = table.or("queue", &Size(1 << 20..=1 << 30), 32 << 20);
        let read_timeout = table.or(
            "read_timeout",
            &time("1ms", "1m"),
            Duration::from_millis(500),
        );
        let write_rate = table.or("write_rate", &Rate(0..=1 << 40), 0);
        let records = table.or("records", &Count(1000..=100_000_000), 2_000_000);
        Some(Self {
            path: table.resolve(&path?),
            size: size?,
            max_object,
            queue,
            read_timeout,
            write_rate,
            records,
        })
    }
}
