//! Watches whether the client takes what is written to it, and publishes the
//! deadline for it.

use std::io;
use std::task::Poll;

use super::deadlines::Deadlines;
use super::patience::{Patience, RateFloor};

/// The client's patience account for one connection's writes.
pub(super) struct SendWatch(Patience);

impl SendWatch {
    pub(super) fn new(floor: RateFloor) -> Self {
        Self(Patience::new(floor))
    }

    /// Takes note of how a write went.
    pub(super) fn wrote(&mut self, deadlines: &Deadlines, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Ready(Ok(bytes)) => self.moved(deadlines, *bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.blocked(deadlines),
        }
    }

    /// Takes note of how a flush went. TLS accepts bytes into a buffer, so
    /// that often the flush is what waits for the client.
    pub(super) fn flushed(&mut self, deadlines: &Deadlines, outcome: &Poll<io::Result<()>>) {
        match outcome {
            Poll::Ready(Ok(())) => self.moved(deadlines, 0),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.blocked(deadlines),
        }
    }

    fn moved(&mut self, deadlines: &Deadlines, bytes: usize) {
        if self.0.moved(bytes, || deadlines.now()) {
            deadlines.send_freely();
        }
    }

    fn blocked(&mut self, deadlines: &Deadlines) {
        let end = self.0.blocked(|| deadlines.now());
        deadlines.send_before(end);
    }
}
