//! `[cache]`: what is remembered about what is stored, and how much of it.

use std::time::Duration;

use crate::kinds::{Count, Size, time};
use crate::section::section;

section! {
    /// `[cache]`: what is remembered of purges, refusals and parts. Not reloadable but for
    /// `purge_sweep`, `range_ahead` and `gaps_apart`.
    pub struct CacheLimits {
        /// Purges that are remembered one by one; what was asked for before one that is
        /// forgotten counts as purged. 1000 to 10000000, default 65536.
        pub purge_records: usize = 65_536, Count(1_000..=10_000_000);
        /// How often it is looked whether purged responses are still in memory; 10ms to 1h,
        /// default 500ms.
        pub purge_sweep: Duration = Duration::from_millis(500), time("10ms", "1h");
        /// By how much the clocks of nodes may differ: what the disk has and was asked for up to
        /// so long after another node's purge counts as purged; 0s to 1h, default 1s.
        pub purge_skew: Duration = Duration::from_secs(1), time("0s", "1h");
        /// URLs of which it is remembered why their response was not stored, for `verge
        /// explain`; 0 to 1000000, default 4096.
        pub refusals: usize = 4_096, Count(0..=1_000_000);
        /// Separate pieces that are kept of one response; one more takes the place of the
        /// others. 1 to 1024, default 64.
        pub pieces: usize = 64, Count(1..=1_024);
        /// How far behind what has arrived of a response a range may begin and still wait for
        /// it; what begins further is asked for by itself. 0B to 1GiB, default 1MiB.
        pub range_ahead: u64 = 1 << 20, Size(0..=1 << 30);
        /// Gaps in stored pieces with fewer stored bytes than this between them are asked for
        /// together. 0B to 1GiB, default 64KiB.
        pub gaps_apart: u64 = 64 << 10, Size(0..=1 << 30);
    }
}
