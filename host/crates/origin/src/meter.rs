//! Counts what passes over a connection, so that a failure can say how far the
//! exchange had come. It changes nothing about the bytes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use verge_http::failure::Progress;

/// The counts of one connection.
#[derive(Debug)]
pub(crate) struct Meter {
    epoch: Instant,
    read: AtomicU64,
    written: AtomicU64,
    /// Microseconds since `epoch`.
    last_write: AtomicU64,
}

/// The counts at the start of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    read: u64,
    written: u64,
}

/// A connection whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Metered<IO> {
    io: IO,
    meter: Arc<Meter>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            last_write: AtomicU64::new(0),
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            read: self.read.load(Ordering::Relaxed),
            written: self.written.load(Ordering::Relaxed),
        }
    }

    /// How far the exchange that began at `mark` has come.
    pub(crate) fn progress_since(&self, mark: Mark) -> Progress {
        if self.read.load(Ordering::Relaxed) > mark.read {
            Progress::Responding
        } else if self.written.load(Ordering::Relaxed) > mark.written {
            Progress::Sent
        } else {
            Progress::Unsent
        }
    }

    /// When the origin last took bytes.
    pub(crate) fn last_write(&self) -> Instant {
        self.epoch + Duration::from_micros(self.last_write.load(Ordering::Relaxed))
    }

    fn note_write(&self, bytes: usize) {
        if bytes > 0 {
            let at = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.last_write.store(at, Ordering::Relaxed);
            self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

impl<IO> Metered<IO> {
    pub(crate) fn new(io: IO, meter: Arc<Meter>) -> Self {
        Self { io, meter }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Metered<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let bytes = buffer.filled().len().saturating_sub(before);
        self.meter.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Metered<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
        self.meter.note_write(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(context, slices))?;
        self.meter.note_write(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
