//! `[function.NAME.record]`: which of a function's calls are kept on disk, to be made again by
//! `verge replay`, and how much of them.

use std::path::PathBuf;

use crate::deploy::Percent;
use crate::kinds::{Count, FIELD_NAME, Flag, Size};
use crate::section::section;
use crate::table::Table;

section! {
    /// How much is recorded.
    pub struct RecordLimits {
        /// Whether calls that fail are recorded; default true.
        pub failures: bool = true, Flag;
        /// Bytes of one recording; 32KiB to 64MiB, default 256KiB. What is over it is cut off.
        pub max_bytes: u64 = 256 << 10, Size(32 << 10..=64 << 20);
        /// Memory for recordings of calls that run and for those that wait to be written; 1MiB to
        /// 4GiB, default 16MiB. Calls over it are recorded in part.
        pub memory: u64 = 16 << 20, Size(1 << 20..=4 << 30);
        /// Recordings that are kept; the oldest make room for new ones. 1 to 10000, default 100.
        pub kept: usize = 100, Count(1..=10_000);
        /// Recordings in one second; more are left out. 1 to 1000, default 1.
        pub per_second: u32 = 1, Count(1..=1000);
        /// Recordings that wait to be written; more are left out. 1 to 1000, default 16.
        pub queue: usize = 16, Count(1..=1000);
    }
}

/// `[function.NAME.record]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The folder of the recordings; it is made if it is missing. Without it nothing is recorded.
    pub folder: Option<PathBuf>,
    /// Part of the calls that do not fail which is recorded, in hundredths of a per cent; default
    /// none.
    pub share: Option<u16>,
    /// Fields whose values are left out, besides Authorization, Proxy-Authorization, Cookie and
    /// Set-Cookie; default none.
    pub redact: Vec<String>,
    /// Its bounds.
    pub limits: RecordLimits,
}

impl Record {
    /// Fields whose values are always left out.
    pub const REDACTED: [&str; 4] = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
    ];

    pub(crate) fn read(table: &Table<'_, '_>) -> Self {
        let record = Self {
            folder: table.output("folder"),
            share: table.maybe("share", Percent),
            redact: table.list("redact", "names of fields", true, &FIELD_NAME),
            limits: RecordLimits::read(table),
        };
        if table.is_given() && table.item("folder").is_none() {
            table.missing("folder", "a folder for the recordings");
        }
        record
    }
}
