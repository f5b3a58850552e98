//! The limits of the disk tier, by name.

use std::path::PathBuf;
use std::time::Duration;

/// Limits of a disk tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// The folder; it belongs to one node alone.
    pub path: PathBuf,
    /// Bytes that segments may take; the purge log comes on top.
    pub size: u64,
    /// Bytes of content of the largest response that is kept; at most a quarter of `size`.
    pub max_object: u64,
    /// Bytes of content that may wait to be written.
    pub queue: u64,
    /// How long a read may take; what takes longer is a miss.
    pub read_timeout: Duration,
    /// Bytes that may be written in a second, on average; 0 is any.
    pub write_rate: u64,
    /// Threads that read.
    pub readers: usize,
    /// Reads that may wait for a thread.
    pub reads: usize,
    /// Responses that may be read at once.
    pub streams: usize,
    /// Responses that are kept at most, whatever their size: each takes about 230 bytes of memory.
    pub records: u64,
    /// First pause after the disk has failed; doubled with each trial that fails.
    pub retry: Duration,
    /// Longest such pause.
    pub retry_max: Duration,
    /// Purges that are remembered one by one; with more, what is older than the oldest counts
    /// as purged.
    pub purges: usize,
}

impl DiskSettings {
    /// The defaults for a folder and a size.
    #[must_use]
    pub fn new(path: PathBuf, size: u64) -> Self {
        Self {
            path,
            size,
            max_object: 64 * 1024 * 1024,
            queue: 32 * 1024 * 1024,
            read_timeout: Duration::from_millis(500),
            write_rate: 0,
            readers: 4,
            reads: 256,
            streams: 128,
            records: 2_000_000,
            retry: Duration::from_secs(1),
            retry_max: Duration::from_secs(300),
            purges: 65_536,
        }
    }

    /// Bytes after which a segment is closed: so that some 64 fit.
    pub(super) fn segment_bytes(&self) -> u64 {
        (self.size / 64).clamp(256 * 1024, 256 * 1024 * 1024)
    }

    /// The largest content in force.
    pub(super) fn largest(&self) -> u64 {
        self.max_object.min(self.size / 4)
    }
}
