//! What a listener allows its clients. Plain values with edge-safe defaults;
//! where they come from is not known here.

use std::time::Duration;

use ipnet::IpNet;
use verge_http::chunk_scan::ChunkLimits;
use verge_http::head_scan::HeadLimits;

use super::frame_budget::FrameLimits;
use super::interim::InterimLimits;
use super::patience::RateFloor;

/// The limits of a listener's connections; read once for each connection, when it is accepted.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Connections that one client may hold at once; a client is an IPv4 address or an IPv6 /64.
    pub connections_per_client: usize,
    /// Addresses that the limit per client does not count, such as load balancers in front.
    pub uncounted_clients: Vec<IpNet>,
    /// From the accepted connection to the end of the TLS handshake.
    pub handshake_time: Duration,
    /// Bytes and fields of a request head.
    pub head: HeadLimits,
    /// Bytes of a chunked body that are not content.
    pub chunks: ChunkLimits,
    /// From the first byte of an HTTP/1 request head to its last.
    pub head_time: Duration,
    /// How long a connection may stay open without a request.
    pub idle_time: Duration,
    /// How fast a request body must arrive while the node waits for it.
    pub receive_floor: RateFloor,
    /// How fast a client must take a response while the node waits for it.
    pub send_floor: RateFloor,
    /// Bytes of a request body that are read and thrown away when nobody
    /// wanted them, so that the connection can be used again.
    pub unread_body_bytes: u64,
    /// How long reading such an unwanted body may take after the response.
    pub unread_body_time: Duration,
    /// What an exchange may send before its final response.
    pub interim: InterimLimits,
    /// Requests that one connection may carry; the last response says so.
    pub requests_per_connection: u64,
    /// How long a closed connection is read on, so that no reset destroys
    /// the last answer on its way to the client.
    pub close_time: Duration,
    /// How long an idle connection stays open once the node drains. Closing
    /// it at once would race the client's next request.
    pub drain_idle_time: Duration,
    /// Whether HTTP/2 is spoken: by ALPN over TLS, by prior knowledge in plaintext.
    pub http2_enabled: bool,
    /// The limits that only HTTP/2 has.
    pub http2: Http2Settings,
}

/// The limits that only HTTP/2 has.
#[derive(Clone, Debug)]
pub struct Http2Settings {
    /// Streams that are open at once (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub concurrent_streams: u32,
    /// Bytes of a request body that a client may send ahead, for each stream; 65,535 or more.
    pub stream_window: u32,
    /// Bytes of request bodies that a client may send ahead, for the connection; 65,535 or more.
    pub connection_window: u32,
    /// Bytes of one frame, 16,384 to 16,777,215 (SETTINGS_MAX_FRAME_SIZE).
    pub frame_bytes: u32,
    /// Bytes of responses that are buffered for each stream.
    pub send_buffer_bytes: usize,
    /// How often a PING asks whether the client is still there.
    pub ping_interval: Duration,
    /// How long the answer to that PING may take.
    pub ping_time: Duration,
    /// Streams that the client reset before they were looked at.
    pub pending_reset_streams: usize,
    /// Streams that the node reset because of the client's errors, in a connection's life.
    pub error_reset_streams: usize,
    /// Frames that cost work and bring no request.
    pub frames: FrameLimits,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            connections_per_client: 512,
            uncounted_clients: Vec::new(),
            handshake_time: Duration::from_secs(10),
            head: HeadLimits {
                target_bytes: 8 * 1024,
                head_bytes: 32 * 1024,
                fields: 100,
            },
            chunks: ChunkLimits::default(),
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            receive_floor: RateFloor {
                bytes_per_second: 1024,
                grace: Duration::from_secs(10),
            },
            send_floor: RateFloor {
                bytes_per_second: 1024,
                grace: Duration::from_secs(30),
            },
            unread_body_bytes: 64 * 1024,
            unread_body_time: Duration::from_secs(5),
            interim: InterimLimits::default(),
            requests_per_connection: 10_000,
            close_time: Duration::from_secs(2),
            drain_idle_time: Duration::from_secs(5),
            http2_enabled: true,
            http2: Http2Settings::default(),
        }
    }
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self {
            concurrent_streams: 100,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            frame_bytes: 16 * 1024,
            send_buffer_bytes: 128 * 1024,
            ping_interval: Duration::from_secs(30),
            ping_time: Duration::from_secs(15),
            pending_reset_streams: 20,
            error_reset_streams: 64,
            frames: FrameLimits::default(),
        }
    }
}
