//! Serving HTTP/2 on one connection: the h2 library above [`BudgetedIo`], and
//! how the connection ends.

use std::sync::Arc;

use bytes::BytesMut;
use h2::server::Builder;
use tokio::io::AsyncWriteExt;

use super::answer;
use super::budgeted_io::BudgetedIo;
use super::connection::Context;
use super::deadlines::{Deadlines, Waiting};
use super::drain::DrainPhase;
use super::event::{CloseReason, Limit};
use super::facts::ConnectionFacts;
use super::handler::Handler;
use super::http2_driver::{Driver, Finish};
use super::http2_state::Http2State;
use super::http2_stream::Shared;
use super::settings::ListenerSettings;
use super::stream::Stream;

/// The largest flow-control window (RFC 9113 6.9.1).
const WINDOW_MAX: u32 = (1 << 31) - 1;
/// The bounds of SETTINGS_MAX_FRAME_SIZE (RFC 9113 6.5.2).
const FRAME_MIN: u32 = 1 << 14;
const FRAME_MAX: u32 = (1 << 24) - 1;

/// How serving a connection came to its end.
struct End {
    finish: Finish,
    /// Why the client was told that the connection ends, if it was.
    goodbye: Option<CloseReason>,
    /// The limit on frames that was passed.
    exceeded: Option<Limit>,
    /// The error code of the last GOAWAY that was sent.
    goaway_sent: Option<u32>,
}

/// Serves HTTP/2 on `stream` until it ends; `prefix` was read from it already.
/// Returns why it ended, and how many requests were handed to the handler.
pub(super) async fn serve<H: Handler>(
    context: Context<H>,
    facts: Arc<ConnectionFacts>,
    stream: Stream,
    prefix: BytesMut,
) -> (CloseReason, u64) {
    let settings = Arc::clone(&context.settings);
    let deadlines = Deadlines::new(context.clock.clone());
    let state = Arc::new(Http2State::new(Arc::clone(&settings), deadlines));
    let mut io = BudgetedIo::new(stream, prefix, Arc::clone(&state));
    let shared = Arc::new(Shared { context, facts });
    let (finish, goodbye, requests) = {
        let handshake = library(&settings).handshake(&mut io);
        let driver = Driver::new(Arc::clone(&shared), state, handshake);
        driver.run().await
    };
    let end = End {
        finish,
        goodbye,
        exceeded: io.exceeded(),
        goaway_sent: io.goaway_sent(),
    };
    let reason = end.reason();
    if let CloseReason::Limit(limit) = reason {
        shared.limit_hit(limit);
    }
    let (mut stream, farewell) = io.into_parts();
    close(&shared, &mut stream, reason, farewell).await;
    (reason, requests)
}

/// The library with every limit that is its own to hold. CONNECT with `:protocol` (RFC 8441)
/// stays off.
fn library(settings: &ListenerSettings) -> Builder {
    let http2 = &settings.http2;
    // The library counts 32 more bytes for each field (RFC 9113 6.5.2),
    // and answers by itself beyond this.
    let head = settings.head.head_bytes.saturating_mul(2);
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(http2.concurrent_streams)
        .initial_window_size(http2.stream_window.min(WINDOW_MAX))
        .initial_connection_window_size(http2.connection_window.min(WINDOW_MAX))
        .max_frame_size(http2.frame_bytes.clamp(FRAME_MIN, FRAME_MAX))
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(http2.pending_reset_streams)
        .max_local_error_reset_streams(Some(http2.error_reset_streams))
        .max_send_buffer_size(http2.send_buffer_bytes.min(u32::MAX as usize));
    builder
}

impl End {
    /// Names the reason for the end.
    fn reason(&self) -> CloseReason {
        match (&self.finish, self.exceeded, self.goaway_sent) {
            (_, Some(limit), _) => CloseReason::Limit(limit),
            (Finish::Cut, None, _) => CloseReason::Cut,
            (Finish::Expired(Waiting::Send), None, _) => CloseReason::Limit(Limit::SendFloor),
            (Finish::Library(_), None, Some(code)) if code != 0 => CloseReason::Http2Error(code),
            // A PING went unanswered.
            (Finish::Silent, None, _) => CloseReason::Limit(Limit::IdleTime),
            (Finish::Expired(_) | Finish::Library(Ok(())), None, _) => {
                self.goodbye.unwrap_or(CloseReason::Client)
            }
            (Finish::Library(Err(_)), None, _) => CloseReason::Aborted,
        }
    }
}

async fn close<H: Handler>(
    shared: &Shared<H>,
    stream: &mut Stream,
    reason: CloseReason,
    farewell: Option<[u8; 17]>,
) {
    let context = &shared.context;
    let time = context.settings.close_time;
    if matches!(
        reason,
        CloseReason::Cut | CloseReason::Limit(Limit::SendFloor)
    ) {
        stream.reset_on_close();
        return;
    }
    let closing = async {
        if let Some(goaway) = farewell {
            let said = async {
                stream.write_all(&goaway).await?;
                stream.flush().await
            };
            // It is a courtesy; the connection is closed in any case.
            let _ = tokio::time::timeout(time, said).await;
        }
        answer::close(stream, time).await;
    };
    tokio::select! {
        () = closing => {}
        () = context.drain.reached(DrainPhase::Cut) => {}
    }
}
