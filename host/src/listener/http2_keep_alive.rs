//! Asks a silent HTTP/2 client whether it is still there (RFC 9113 6.7).

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::time::{Instant as TimerInstant, Sleep};

use super::http2_state::Http2State;
use super::settings::Http2Settings;

/// The PINGs of one connection. Polled by the connection's task alone.
///
/// It reads no clock while bytes come: a timer looks once in each interval whether any came, so
/// a client is asked after one interval of silence, and before the end of a second one.
pub(super) struct KeepAlive {
    pings: PingPong,
    sleep: Pin<Box<Sleep>>,
    /// Whether the timer knows the task, whose waker stays the same for its life.
    is_armed: bool,
    is_asked: bool,
    interval: Duration,
    /// How long the answer may take.
    time: Duration,
}

impl KeepAlive {
    pub(super) fn new(pings: PingPong, settings: &Http2Settings) -> Self {
        Self {
            pings,
            sleep: Box::pin(tokio::time::sleep(settings.ping_interval)),
            is_armed: false,
            is_asked: false,
            interval: settings.ping_interval,
            time: settings.ping_time,
        }
    }

    /// Ready when the client did not answer in time.
    pub(super) fn poll_silent(
        &mut self,
        state: &Http2State,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            if self.is_asked && self.pings.poll_pong(context).is_ready() {
                self.is_asked = false;
                self.arm(self.interval);
            }
            if self.is_armed && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.is_armed = true;
            ready!(pin!(tokio::task::coop::unconstrained(self.sleep.as_mut())).poll(context));
            if self.is_asked {
                return Poll::Ready(());
            }
            // A connection that is going down takes no PING; its own deadlines end it.
            if !state.take_heard() && self.pings.send_ping(Ping::opaque()).is_ok() {
                self.is_asked = true;
                self.arm(self.time);
            } else {
                self.arm(self.interval);
            }
        }
    }

    fn arm(&mut self, time: Duration) {
        self.is_armed = false;
        self.sleep.as_mut().reset(TimerInstant::now() + time);
    }
}
