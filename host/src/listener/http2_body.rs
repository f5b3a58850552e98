//! The content of an HTTP/2 request as it comes from the library: data, then
//! trailers. Room is given back to the client as soon as a piece is read.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, header};
use http_body::{Body, Frame, SizeHint};

/// The content of one request.
pub(super) struct Http2Content {
    stream: RecvStream,
    /// What is left of the length that the client told.
    left: Option<u64>,
    is_data_done: bool,
}

impl Http2Content {
    /// The content on `stream` of a request with these fields.
    pub(super) fn new(stream: RecvStream, fields: &HeaderMap) -> Self {
        Self {
            left: told_length(fields),
            stream,
            is_data_done: false,
        }
    }
}

/// The library has refused lengths that are malformed or differ (RFC 9113 8.1.1), and holds
/// the content to the one that is told.
fn told_length(fields: &HeaderMap) -> Option<u64> {
    fields
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

impl Body for Http2Content {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.is_data_done {
            match ready!(self.stream.poll_data(context)) {
                Some(Ok(data)) => {
                    let count = data.len();
                    // It fails only for more than was taken.
                    let _ = self.stream.flow_control().release_capacity(count);
                    self.left = self.left.map(|left| left.saturating_sub(count as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // NO_ERROR, too: a request is complete by END_STREAM only (RFC 9113 8.1).
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_data_done = true,
            }
        }
        Poll::Ready(match ready!(self.stream.poll_trailers(context)) {
            Ok(trailers) => trailers.map(|fields| Ok(Frame::trailers(fields))),
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
