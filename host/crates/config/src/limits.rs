//! `[limits]`: what one client, one connection and one message may take. Every
//! default is safe at the edge of a network.

use std::time::Duration;

use crate::kinds::{Count, Rate, Size, time};
use crate::section::section;

section! {
    /// `[limits]`: bounds on what clients can take of the node.
    pub struct Limits {
        /// Connections that are open at once; 1 to 1000000, default 10000. One more is
        /// closed before TLS. Each one takes a file descriptor, and the one to an origin
        /// another, so the process needs about twice as many open files.
        pub connections: usize = 10_000, Count(1..=1_000_000);
        /// Connections of one client that are open at once: of one IPv4 address or one
        /// IPv6 /64; 0 (no limit) to 1000000, default 1000. Trusted proxies are not counted.
        pub connections_per_client: usize = 1_000, Count(0..=1_000_000);
        /// Requests that are in flight at once; 1 to 1000000, default 10000. One more is
        /// answered with 503 and Retry-After.
        pub requests: usize = 10_000, Count(1..=1_000_000);
        /// Calls of functions after responses that wait and run; 1 to 1000000, default 1024.
        /// What is left beyond them is refused.
        pub deferred: usize = 1_024, Count(1..=1_000_000);
        /// Of them, those that run at once; 1 to 10000, default 16. It is read at the start.
        pub deferred_running: usize = 16, Count(1..=10_000);
        /// Fetches that go on when their client has left, because others wait for them or the
        /// cache is being filled; 1 to 1000000, default 10000. One more ends with its client.
        pub detached_fetches: usize = 10_000, Count(1..=1_000_000);
        /// Stored responses that are validated in the background at once; 0 (none) to
        /// 100000, default 256. One more is validated when it is asked for the next time.
        pub background_validations: usize = 256, Count(0..=100_000);
        /// Requests that find out at once which slices of a response are kept in tiers; 0 (none)
        /// to 10000, default 32. One more is answered as if they were not.
        pub slice_lookups: usize = 32, Count(0..=10_000);
        /// Interim responses (RFC 8297) of one exchange that an origin may send to the client; 0
        /// (none) to 100, default 8. More are dropped.
        pub interim_responses: usize = 8, Count(0..=100);
        /// Bytes of those; 0B to 1MiB, default 16KiB.
        pub interim_bytes: usize = 16 << 10, Size(0..=1 << 20);
        /// Scopes of one request to purge; 1 to 100000, default 1000. A request with more is
        /// refused as a whole.
        pub purge_batch: usize = 1_000, Count(1..=100_000);
        /// Requests on one HTTP/1.1 connection, and streams in all on one of HTTP/2;
        /// 1 to 1000000000, default 10000. Then the connection is closed in good order.
        pub requests_per_connection: u64 = 10_000, Count(1..=1_000_000_000);
        /// Time for a TLS handshake; 100ms to 5m, default 10s.
        pub tls_handshake: Duration = Duration::from_secs(10), time("100ms", "5m");
        /// Time from a head's first byte to its last; 100ms to 5m, default 10s.
        pub head: Duration = Duration::from_secs(10), time("100ms", "5m");
        /// Bytes of a request's head, in HTTP/2 after decoding; 1KiB to 1MiB, default 64KiB.
        /// Over it: 431.
        pub head_bytes: usize = 64 << 10, Size(1 << 10..=1 << 20);
        /// Bytes of a request's target; 256B to 64KiB, default 8KiB. Over it: 414.
        pub target_bytes: usize = 8 << 10, Size(256..=64 << 10);
        /// Fields of a request's head; 10 to 1000, default 100. Over it: 431.
        pub fields: usize = 100, Count(10..=1_000);
        /// Time that a connection may be idle between requests; 1s to 1h, default 60s.
        pub idle: Duration = Duration::from_secs(60), time("1s", "1h");
        /// Slowest average rate at which content may come from a client or be taken by it
        /// while the node waits, in bytes for each second; 0B/s (any) to 1GiB/s, default
        /// 1KiB/s. Below it: 408, or the connection or stream is cut.
        pub body_rate: u64 = 1 << 10, Rate(0..=1 << 30);
        /// Time that a request's content may lag behind `body_rate`, or not come at all;
        /// 100ms to 5m, default 10s.
        pub body_rate_grace: Duration = Duration::from_secs(10), time("100ms", "5m");
        /// Time that a response may lag behind `body_rate`, or not be taken at all; 1s to 1h,
        /// default 30s. Then the connection or stream is cut.
        pub response_stall: Duration = Duration::from_secs(30), time("1s", "1h");
        /// Bytes of a request's content; 0B to 1TiB, default 100MiB. Over it: 413.
        pub request_body: u64 = 100 << 20, Size(0..=1 << 40);
        /// Bytes of an unread request body that are read and thrown away so that the
        /// connection can be used again; 0B to 16MiB, default 64KiB. Over it: it is closed.
        pub drain_body: u64 = 64 << 10, Size(0..=16 << 20);
        /// HTTP/2: streams of one connection at once; 1 to 10000, default 100.
        pub h2_streams: u32 = 100, Count(1..=10_000);
        /// HTTP/2: flow-control window of one stream; 64KiB to 16MiB, default 64KiB.
        pub h2_stream_window: u32 = 64 << 10, Size(64 << 10..=16 << 20);
        /// HTTP/2: flow-control window of one connection; 64KiB to 64MiB, default 1MiB.
        pub h2_connection_window: u32 = 1 << 20, Size(64 << 10..=64 << 20);
        /// HTTP/2: largest frame that is accepted; 16KiB to 1MiB, default 16KiB
        /// (RFC 9113 4.2).
        pub h2_frame: u32 = 16 << 10, Size(16 << 10..=1 << 20);
        /// HTTP/2: the window in which resets and control frames are counted; 1s to 10m,
        /// default 10s.
        pub h2_window: Duration = Duration::from_secs(10), time("1s", "10m");
        /// HTTP/2: streams of one connection that the client may reset within `h2_window`;
        /// 1 to 100000, default 200. Over it: GOAWAY with ENHANCE_YOUR_CALM.
        pub h2_resets: u32 = 200, Count(1..=100_000);
        /// HTTP/2: streams of one connection that the node may have to reset for the
        /// client's errors within `h2_window`; 1 to 100000, default 50. Over it: GOAWAY.
        pub h2_local_resets: u32 = 50, Count(1..=100_000);
        /// HTTP/2: frames of one connection within `h2_window` that bring no request (SETTINGS,
        /// PING, PRIORITY, unknown ones); 10 to 1000000, default 500. Over it: GOAWAY with
        /// ENHANCE_YOUR_CALM.
        pub h2_control_frames: u32 = 500, Count(10..=1_000_000);
    }
}
