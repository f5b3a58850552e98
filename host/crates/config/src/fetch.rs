//! `[function.NAME.fetch]`: how a function's own requests are sent. Whom they
//! may be for stands in its grants.

use crate::kinds::{Count, Flag, Size};
use crate::section::section;

section! {
    /// `[function.NAME.fetch]`: requests that a function sends.
    pub struct Fetch {
        /// Whether requests to origins go through the cache, by the policy of `[cache]`;
        /// default false.
        pub cache: bool = false, Flag;
        /// Requests that one call may send; 0 to 10000, default 32.
        pub requests: u32 = 32, Count(0..=10_000);
        /// Requests of one call whose responses have not ended, at once; 1 to 1000, default
        /// 8. More are refused.
        pub concurrent: u32 = 8, Count(1..=1000);
        /// Bytes of content of all requests and responses of one call together; 0B to 4GiB,
        /// default 16MiB.
        pub bytes: u64 = 16 << 20, Size(0..=4 << 30);
        /// Functions that one request may run inside one another by fetching routes; 0 to 16,
        /// default 3.
        pub depth: u8 = 3, Count(0..=16);
    }
}
