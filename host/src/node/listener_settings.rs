//! The configuration's limits in the words of the listeners.

use verge_config::Config;
use verge_http::chunk_scan::ChunkLimits;
use verge_http::head_scan::HeadLimits;

use crate::listener::{FrameLimits, Http2Settings, InterimLimits, ListenerSettings, RateFloor};

/// What the listeners allow their clients under `config`.
pub(super) fn listener_settings(config: &Config) -> ListenerSettings {
    let limits = &config.limits;
    let default = ListenerSettings::default();
    ListenerSettings {
        connections_per_client: match limits.connections_per_client {
            0 => usize::MAX,
            count => count,
        },
        uncounted_clients: config.listen.trusted_proxies.clone(),
        handshake_time: limits.tls_handshake,
        head: HeadLimits {
            target_bytes: limits.target_bytes,
            head_bytes: limits.head_bytes,
            fields: limits.fields,
        },
        chunks: ChunkLimits::default(),
        head_time: limits.head,
        idle_time: limits.idle,
        receive_floor: RateFloor {
            bytes_per_second: limits.body_rate,
            grace: limits.body_rate_grace,
        },
        send_floor: RateFloor {
            bytes_per_second: limits.body_rate,
            grace: limits.response_stall,
        },
        unread_body_bytes: limits.drain_body,
        interim: InterimLimits {
            responses: limits.interim_responses,
            bytes: limits.interim_bytes,
        },
        requests_per_connection: limits.requests_per_connection,
        drain_idle_time: config.stop.linger,
        http2: Http2Settings {
            concurrent_streams: limits.h2_streams,
            stream_window: limits.h2_stream_window,
            connection_window: limits.h2_connection_window,
            frame_bytes: limits.h2_frame,
            frames: FrameLimits {
                window: limits.h2_window,
                resets: limits.h2_resets,
                provoked_resets: limits.h2_local_resets,
                control_frames: limits.h2_control_frames,
                ..FrameLimits::default()
            },
            ..Http2Settings::default()
        },
        ..default
    }
}
