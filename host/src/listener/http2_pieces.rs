//! The pieces of a response's content as they leave on HTTP/2: small ones that
//! are there at once leave together. Each frame costs both sides its handling,
//! and libraries of clients cut a connection that has too many small ones.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use verge_http::Failure;

use super::exchange::EventSink;
use super::response_body::{PolledFrame, ResponseBody, poll_caught};

/// Pieces under so many bytes are small.
const SMALL: usize = 2 * 1024;

/// Small pieces are gathered up to so many bytes: what every client takes as one frame
/// (RFC 9113 4.2).
const GATHERED_MAX: usize = 16 * 1024;

/// A response's content, in pieces that are worth a frame if there is enough of it.
pub(super) struct Pieces<B> {
    body: B,
    /// What came behind a gathered piece and is no part of it.
    ahead: Option<Option<Result<Frame<Bytes>, Failure>>>,
}

impl<B: ResponseBody> Pieces<B> {
    pub(super) fn new(body: B) -> Self {
        Self { body, ahead: None }
    }

    /// Whether there is nothing left, as far as is known without asking.
    pub(super) fn is_end(&self) -> bool {
        match &self.ahead {
            None => self.body.is_end_stream(),
            Some(ahead) => ahead.is_none(),
        }
    }

    /// The next piece, or what is not data.
    pub(super) fn poll(
        &mut self,
        events: &dyn EventSink,
        context: &mut Context<'_>,
    ) -> PolledFrame {
        let next = match self.ahead.take() {
            Some(ahead) => ahead,
            None => ready!(poll_caught(&mut self.body, events, context)),
        };
        let is_small = |frame: &Frame<Bytes>| {
            let data = frame.data_ref();
            data.is_some_and(|data| data.len() < SMALL)
        };
        Poll::Ready(match next {
            Some(Ok(frame)) if is_small(&frame) && !self.is_end() => {
                Some(Ok(self.gather(frame, events, context)))
            }
            other => other,
        })
    }

    /// `first` together with the small pieces behind it that are there already.
    fn gather(
        &mut self,
        first: Frame<Bytes>,
        events: &dyn EventSink,
        context: &mut Context<'_>,
    ) -> Frame<Bytes> {
        let mut first = Some(first);
        let mut gathered = BytesMut::new();
        while let Poll::Ready(next) = poll_caught(&mut self.body, events, context) {
            let next = match next {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.len() < SMALL => {
                        let begun = first.take().and_then(|frame| frame.into_data().ok());
                        gathered.extend_from_slice(&begun.unwrap_or_default());
                        gathered.extend_from_slice(&data);
                        if gathered.len() + SMALL > GATHERED_MAX || self.body.is_end_stream() {
                            break;
                        }
                        continue;
                    }
                    Ok(data) => Some(Ok(Frame::data(data))),
                    Err(frame) => Some(Ok(frame)),
                },
                other => other,
            };
            self.ahead = Some(next);
            break;
        }
        first.unwrap_or_else(|| Frame::data(gathered.freeze()))
    }
}
