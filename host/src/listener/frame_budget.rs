//! HTTP/2 frames that cost work and bring no request, counted against limits.
//! Pure: no I/O, no clock.

use std::time::{Duration, Instant};

use super::event::Limit;
use super::frames::{Frame, kind};

/// END_STREAM on DATA and HEADERS.
const END_STREAM: u8 = 0x1;
/// Error codes of streams that are reset by a client's mistake (RFC 9113 7):
/// PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR,
/// REFUSED_STREAM, ENHANCE_YOUR_CALM.
const PROVOKED: [u32; 6] = [0x1, 0x3, 0x5, 0x6, 0x7, 0xb];

/// How many frames that bring no request a connection may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// The time in which the counts below hold; then they begin anew.
    pub window: Duration,
    /// Streams that the client resets.
    pub resets: u32,
    /// Streams that the client makes the node reset.
    pub provoked_resets: u32,
    /// SETTINGS, PING, PRIORITY and unknown frames.
    pub control_frames: u32,
    /// WINDOW_UPDATE frames beyond ten for each DATA frame sent.
    pub window_updates: u32,
    /// DATA frames without content that do not end their stream.
    pub empty_data: u32,
    /// CONTINUATION frames of one field section.
    pub continuations: u32,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            resets: 200,
            provoked_resets: 50,
            control_frames: 500,
            window_updates: 1000,
            empty_data: 100,
            continuations: 16,
        }
    }
}

/// WINDOW_UPDATE frames that each DATA frame sent pays for.
const UPDATES_PER_DATA: u32 = 10;

/// The counts of one connection.
#[derive(Debug)]
pub(super) struct FrameBudget {
    limits: FrameLimits,
    since: Instant,
    resets: u32,
    provoked_resets: u32,
    control_frames: u32,
    window_updates: u32,
    data_sent: u32,
    empty_data: u32,
    /// Of the field section that is under way.
    continuations: u32,
    last_stream: u32,
    goaway_sent: Option<u32>,
}

impl FrameBudget {
    pub(super) fn new(limits: FrameLimits, now: Instant) -> Self {
        Self {
            limits,
            since: now,
            resets: 0,
            provoked_resets: 0,
            control_frames: 0,
            window_updates: 0,
            data_sent: 0,
            empty_data: 0,
            continuations: 0,
            last_stream: 0,
            goaway_sent: None,
        }
    }

    /// The highest stream that the client opened.
    pub(super) fn last_stream(&self) -> u32 {
        self.last_stream
    }

    /// The error code of the last GOAWAY that was sent.
    pub(super) fn goaway_sent(&self) -> Option<u32> {
        self.goaway_sent
    }

    /// Counts a frame from the client.
    pub(super) fn received(&mut self, frame: Frame) {
        match frame.kind {
            kind::DATA => {
                if frame.length == 0 && frame.flags & END_STREAM == 0 {
                    self.empty_data += 1;
                }
            }
            kind::HEADERS => {
                self.continuations = 0;
                self.last_stream = self.last_stream.max(frame.stream);
            }
            kind::CONTINUATION => self.continuations += 1,
            kind::RST_STREAM => self.resets += 1,
            kind::WINDOW_UPDATE => self.window_updates += 1,
            // A client must not push (RFC 9113 8.4); the library ends the connection.
            kind::GOAWAY | kind::PUSH_PROMISE => {}
            _ => self.control_frames += 1,
        }
    }

    /// Counts a frame to the client.
    pub(super) fn sent(&mut self, frame: Frame) {
        match frame.kind {
            kind::DATA => self.data_sent = self.data_sent.saturating_add(1),
            kind::RST_STREAM if PROVOKED.contains(&frame.code) => self.provoked_resets += 1,
            kind::GOAWAY => self.goaway_sent = Some(frame.code),
            _ => {}
        }
    }

    /// The limit that the counts pass, if any; `now` is asked for only then.
    pub(super) fn exceeded(&mut self, now: impl FnOnce() -> Instant) -> Option<Limit> {
        let limit = self.over()?;
        let now = now();
        if limit != Limit::Http2Continuations
            && now.saturating_duration_since(self.since) >= self.limits.window
        {
            self.begin_window(now);
            return None;
        }
        Some(limit)
    }

    fn over(&self) -> Option<Limit> {
        let limits = &self.limits;
        let paid = self.data_sent.saturating_mul(UPDATES_PER_DATA);
        if self.resets > limits.resets {
            Some(Limit::Http2Resets)
        } else if self.provoked_resets > limits.provoked_resets {
            Some(Limit::Http2ProvokedResets)
        } else if self.control_frames > limits.control_frames {
            Some(Limit::Http2ControlFrames)
        } else if self.window_updates > limits.window_updates.saturating_add(paid) {
            Some(Limit::Http2WindowUpdates)
        } else if self.empty_data > limits.empty_data {
            Some(Limit::Http2EmptyData)
        } else if self.continuations > limits.continuations {
            Some(Limit::Http2Continuations)
        } else {
            None
        }
    }

    fn begin_window(&mut self, now: Instant) {
        self.since = now;
        self.resets = 0;
        self.provoked_resets = 0;
        self.control_frames = 0;
        self.window_updates = 0;
        self.data_sent = 0;
        self.empty_data = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use verge_base::Clock;

    use super::super::frames::FrameScanner;
    use super::super::frames::tests::frame;
    use super::*;

    fn budget() -> FrameBudget {
        FrameBudget::new(FrameLimits::default(), Clock::system().now())
    }

    #[test]
    fn each_kind_of_flood_passes_its_own_limit() {
        let rst = |code: u8| [0, 0, 0, code];
        let floods: [(Vec<u8>, Limit); 5] = [
            (frame(kind::RST_STREAM, 0, 1, &rst(8)), Limit::Http2Resets),
            (frame(6, 0, 0, &[0; 8]), Limit::Http2ControlFrames),
            (
                frame(kind::WINDOW_UPDATE, 0, 0, &rst(1)),
                Limit::Http2WindowUpdates,
            ),
            (frame(kind::DATA, 0, 1, &[]), Limit::Http2EmptyData),
            (
                frame(kind::CONTINUATION, 0, 1, &[0]),
                Limit::Http2Continuations,
            ),
        ];
        for (bytes, limit) in floods {
            let mut budget = budget();
            let mut scanner = FrameScanner::new(0);
            for _ in 0..2000 {
                scanner.scan(&bytes, |frame| budget.received(frame));
            }
            assert_eq!(budget.exceeded(budget_time), Some(limit));
        }
    }

    fn budget_time() -> Instant {
        Clock::system().now()
    }

    #[test]
    fn only_resets_that_the_client_provoked_count_against_it() {
        let mut budget = budget();
        let mut scanner = FrameScanner::new(0);
        for code in [0_u8, 2, 8] {
            let bytes = frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, code]);
            (0..100).for_each(|_| scanner.scan(&bytes, |frame| budget.sent(frame)));
        }
        assert_eq!(budget.exceeded(budget_time), None);
        let bytes = frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 1]);
        (0..100).for_each(|_| scanner.scan(&bytes, |frame| budget.sent(frame)));
        assert_eq!(
            budget.exceeded(budget_time),
            Some(Limit::Http2ProvokedResets)
        );
    }

    #[test]
    fn counts_begin_anew_after_the_window() {
        let (clock, time) = Clock::manual(SystemTime::UNIX_EPOCH);
        let limits = FrameLimits::default();
        let mut budget = FrameBudget::new(limits, clock.now());
        let bytes = frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
        let mut scanner = FrameScanner::new(0);
        for _ in 0..20 {
            for _ in 0..=limits.resets / 2 {
                scanner.scan(&bytes, |frame| budget.received(frame));
            }
            assert_eq!(budget.exceeded(|| clock.now()), None);
            time.advance(limits.window);
        }
    }

    #[test]
    fn window_updates_are_paid_for_by_data() {
        let mut budget = budget();
        let mut scanner = FrameScanner::new(0);
        let data = frame(kind::DATA, 0, 1, &[0; 10]);
        let update = frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
        for _ in 0..5000 {
            scanner.scan(&data, |frame| budget.sent(frame));
            scanner.scan(&update, |frame| budget.received(frame));
        }
        assert_eq!(budget.exceeded(budget_time), None);
    }
}
