//! Content on its way from the disk, a window at a time. The next window is
//! read when it is asked for; a read that fails, is damaged or takes too long
//! ends the content with a failure.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use verge_http::Failure;
use verge_http::failure::NodeFault;

use super::Shared;
use super::read::{Content, WINDOW_BYTES};
use crate::tier::TierFuture;

/// What is read next, if it can be.
type Reading = TierFuture<'static, Option<Bytes>>;

/// See the module.
pub(super) struct DiskBody {
    shared: Arc<Shared>,
    content: Content,
    /// Read and not given out yet.
    ready: Option<Bytes>,
    /// Where the next window begins.
    next: u64,
    /// Bytes that were given out.
    given: u64,
    reading: Option<Reading>,
    has_failed: bool,
    #[expect(dead_code, reason = "held for as long as content is read")]
    permit: OwnedSemaphorePermit,
}

impl DiskBody {
    /// `content` from its beginning, of which `first` is read already.
    pub(super) fn new(
        shared: Arc<Shared>,
        content: Content,
        first: Bytes,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            shared,
            content,
            ready: (!first.is_empty()).then_some(first),
            next: WINDOW_BYTES,
            given: 0,
            reading: None,
            has_failed: false,
            permit,
        }
    }

    fn give(&mut self, window: Bytes) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        self.given = self.given.saturating_add(window.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(window))))
    }
}

impl Body for DiskBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(window) = self.ready.take() {
            return self.give(window);
        }
        if self.has_failed || self.given >= self.content.len {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let reading = this.reading.get_or_insert_with(|| {
            let (shared, content, from) =
                (Arc::clone(&this.shared), this.content.clone(), this.next);
            Box::pin(async move { shared.read_window(content, from).await })
        });
        let Poll::Ready(window) = reading.as_mut().poll(context) else {
            return Poll::Pending;
        };
        self.reading = None;
        self.next = self.next.saturating_add(WINDOW_BYTES);
        match window {
            Some(window) => self.give(window),
            None => {
                self.has_failed = true;
                Poll::Ready(Some(Err(NodeFault::FillAbandoned.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_none() && self.given >= self.content.len
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.len.saturating_sub(self.given))
    }
}
