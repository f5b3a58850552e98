//! The one body type: from origin to store to clients to guests.
//!
//! What a cache hit sends ([`Body::Full`], [`Body::Stored`]) is held by value,
//! so a hit allocates nothing for its body. What streams is boxed once.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::failure::Failure;

/// A stream of content that ends in trailers, in a [`Failure`], or plainly.
pub type BodyStream = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Failure> + Send>>;

/// The content of a request or response.
#[derive(Default)]
pub enum Body {
    /// No content.
    #[default]
    Empty,
    /// All of the content in one piece.
    Full(Bytes),
    /// A part of a stored response's content.
    Stored(StoredBody),
    /// Content that arrives over time.
    Stream(BodyStream),
}

/// A window over content that is held in segments.
#[derive(Clone)]
pub struct StoredBody {
    segments: Arc<[Bytes]>,
    /// The next segment to send.
    next: usize,
    /// Bytes to skip at the start of the next segment.
    skip: u64,
    remaining: u64,
}

impl Body {
    /// A body that arrives over time.
    #[must_use]
    pub fn stream<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = Failure> + Send + 'static,
    {
        Self::Stream(Box::pin(body))
    }

    /// The number of bytes still to come, where that is known.
    #[must_use]
    pub fn exact_len(&self) -> Option<u64> {
        http_body::Body::size_hint(self).exact()
    }
}

impl StoredBody {
    /// All of `segments`.
    #[must_use]
    pub fn new(segments: Arc<[Bytes]>) -> Self {
        let remaining = segments.iter().map(|s| s.len() as u64).sum();
        Self {
            segments,
            next: 0,
            skip: 0,
            remaining,
        }
    }

    /// The `length` bytes from `start`; what lies beyond the content is left out.
    #[must_use]
    pub fn slice(segments: Arc<[Bytes]>, start: u64, length: u64) -> Self {
        let total: u64 = segments.iter().map(|s| s.len() as u64).sum();
        let mut skip = start.min(total);
        let remaining = length.min(total - skip);
        let mut next = 0;
        while let Some(segment) = segments.get(next) {
            let len = segment.len() as u64;
            if skip < len {
                break;
            }
            skip -= len;
            next += 1;
        }
        Self {
            segments,
            next,
            skip,
            remaining,
        }
    }

    /// The `length` bytes from `start` of what is still to be sent.
    #[must_use]
    pub fn narrow(self, start: u64, length: u64) -> Self {
        let sent = self
            .segments
            .iter()
            .take(self.next)
            .map(|s| s.len() as u64)
            .sum::<u64>()
            .saturating_add(self.skip);
        let length = length.min(self.remaining.saturating_sub(start));
        Self::slice(self.segments, sent.saturating_add(start), length)
    }

    /// Bytes still to be sent.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.remaining
    }
}

impl Iterator for StoredBody {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while self.remaining > 0 {
            let segment = self.segments.get(self.next)?;
            self.next += 1;
            let start = usize::try_from(self.skip).ok()?.min(segment.len());
            self.skip = 0;
            let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
            let end = start.saturating_add(wanted).min(segment.len());
            if start < end {
                self.remaining -= (end - start) as u64;
                return Some(segment.slice(start..end));
            }
        }
        None
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Stored(stored) => Poll::Ready(stored.next().map(|b| Ok(Frame::data(b)))),
            Self::Stream(stream) => stream.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stored(stored) => stored.remaining == 0,
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stored(stored) => SizeHint::with_exact(stored.remaining),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Empty => "Empty",
            Self::Full(_) => "Full",
            Self::Stored(_) => "Stored",
            Self::Stream(_) => "Stream",
        };
        write!(formatter, "Body::{name}({:?})", self.exact_len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Arc<[Bytes]> {
        ["abc", "", "defg", "h"]
            .map(|s| Bytes::from_static(s.as_bytes()))
            .into_iter()
            .collect()
    }

    fn text(body: StoredBody) -> String {
        body.map(|b| String::from_utf8(b.to_vec()).expect("ASCII"))
            .collect()
    }

    #[test]
    fn whole_content_comes_in_order() {
        assert_eq!(text(StoredBody::new(segments())), "abcdefgh");
    }

    #[test]
    fn slices_cross_segments_and_stop_at_the_end() {
        for start in 0..10_u64 {
            for length in 0..10_u64 {
                let expected: String = "abcdefgh"
                    .chars()
                    .skip(start as usize)
                    .take(length as usize)
                    .collect();
                let slice = StoredBody::slice(segments(), start, length);
                assert_eq!(slice.remaining(), expected.len() as u64);
                assert_eq!(text(slice), expected, "{start}+{length}");
                let narrowed = StoredBody::new(segments()).narrow(start, length);
                assert_eq!(text(narrowed), expected, "{start}+{length}");
            }
        }
    }
}
