//! Bodies that are parts of other bodies: one part of what arrives, and
//! several parts, framed, of what is held or arrives.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use verge_http::failure::OriginFault;
use verge_http::multipart::Multipart;
use verge_http::range::ByteRange;
use verge_http::{Body, Failure, StoredBody};

/// A part of a body that is still arriving. What lies before it is let go as it comes.
pub(super) struct PartBody {
    body: Body,
    /// Came with the last piece and is not looked at yet.
    rest: Bytes,
    skip: u64,
    left: u64,
}

impl PartBody {
    /// `part` of `body`, of which nothing was read.
    pub(super) fn new(body: Body, part: ByteRange) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            skip: part.first,
            left: part.len(),
        }
    }

    /// The next bytes of the part; `None` at its end.
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        while self.left > 0 {
            let mut data = if self.rest.is_empty() {
                match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                    Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                    Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
                    None => {
                        let failure = Failure::responding(OriginFault::ResponseIncomplete);
                        return Poll::Ready(Some(Err(failure)));
                    }
                }
            } else {
                std::mem::take(&mut self.rest)
            };
            let skipped = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(data.remaining());
            data.advance(skipped);
            self.skip -= skipped as u64;
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
            self.rest = data.split_off(wanted.min(data.len()));
            self.left -= data.len() as u64;
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
        Poll::Ready(None)
    }
}

impl http_body::Body for PartBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let data = ready!(self.poll_data(context));
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A part and what stands before it.
struct Framed {
    delimiter: Bytes,
    part: ByteRange,
}

/// Framed parts that are still to be sent, and what stands behind the last.
struct Framing {
    parts: VecDeque<Framed>,
    end: Option<Bytes>,
    left: u64,
}

impl Framing {
    fn new(framing: &Multipart, parts: &[ByteRange]) -> Self {
        let framed = framing.delimiters().iter().zip(parts);
        Self {
            parts: framed
                .map(|(delimiter, part)| Framed {
                    delimiter: delimiter.clone(),
                    part: *part,
                })
                .collect(),
            end: Some(framing.end().clone()),
            left: framing.length(),
        }
    }

    fn frame(&mut self, data: Bytes) -> Frame<Bytes> {
        self.left = self.left.saturating_sub(data.len() as u64);
        Frame::data(data)
    }
}

/// Several parts of content that is held, in any order.
pub(super) struct HeldParts {
    framing: Framing,
    whole: StoredBody,
    current: Option<StoredBody>,
}

impl HeldParts {
    /// `parts` of `whole`, of which nothing was read.
    pub(super) fn new(framing: Multipart, parts: &[ByteRange], whole: StoredBody) -> Self {
        Self {
            framing: Framing::new(&framing, parts),
            whole,
            current: None,
        }
    }
}

impl http_body::Body for HeldParts {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let data = if let Some(data) = this.current.as_mut().and_then(Iterator::next) {
            data
        } else if let Some(Framed { delimiter, part }) = this.framing.parts.pop_front() {
            this.current = Some(this.whole.clone().narrow(part.first, part.len()));
            delimiter
        } else {
            this.current = None;
            match this.framing.end.take() {
                Some(end) => end,
                None => return Poll::Ready(None),
            }
        };
        Poll::Ready(Some(Ok(this.framing.frame(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.framing.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.framing.left)
    }
}

/// Several parts of content that arrives, in the order in which it arrives.
pub(super) struct ArrivingParts {
    framing: Framing,
    current: PartBody,
    /// Where the part before ended.
    position: u64,
}

impl ArrivingParts {
    /// `parts`, none before another's end, of `body`, of which nothing was read.
    pub(super) fn new(framing: Multipart, parts: &[ByteRange], body: Body) -> Self {
        Self {
            framing: Framing::new(&framing, parts),
            current: PartBody {
                body,
                rest: Bytes::new(),
                skip: 0,
                left: 0,
            },
            position: 0,
        }
    }
}

impl http_body::Body for ArrivingParts {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let data = match ready!(this.current.poll_data(context)) {
            Some(Ok(data)) => data,
            Some(Err(failure)) => return Poll::Ready(Some(Err(failure))),
            None => match (this.framing.parts.pop_front(), this.framing.end.take()) {
                (Some(Framed { delimiter, part }), end) => {
                    this.framing.end = end;
                    this.current.skip = part.first.saturating_sub(this.position);
                    this.current.left = part.len();
                    this.position = part.last.saturating_add(1);
                    delimiter
                }
                (None, Some(end)) => end,
                (None, None) => return Poll::Ready(None),
            },
        };
        Poll::Ready(Some(Ok(this.framing.frame(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.framing.end.is_none() && self.current.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.framing.left)
    }
}

/// Bodies of known lengths, one after the other.
pub(super) struct ChainBody {
    bodies: VecDeque<Body>,
    left: u64,
}

impl ChainBody {
    /// All of `bodies`, in order.
    pub(super) fn new(bodies: Vec<Body>) -> Self {
        Self {
            left: bodies.iter().filter_map(Body::exact_len).sum(),
            bodies: bodies.into(),
        }
    }
}

impl http_body::Body for ChainBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        while let Some(body) = self.bodies.front_mut() {
            let Some(frame) = ready!(Pin::new(body).poll_frame(context)) else {
                self.bodies.pop_front();
                continue;
            };
            // Trailers of a part are not those of the whole.
            let data = match frame {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(failure) => return Poll::Ready(Some(Err(failure))),
            };
            if !data.is_empty() {
                self.left = self.left.saturating_sub(data.len() as u64);
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;

    fn cut(content: &[u8], piece: usize) -> Arc<[Bytes]> {
        content.chunks(piece).map(Bytes::copy_from_slice).collect()
    }

    fn read<B>(body: B) -> Vec<u8>
    where
        B: http_body::Body<Data = Bytes, Error = Failure>,
    {
        let promised = body.size_hint().exact().expect("a length");
        let collected = body.collect().now_or_never().expect("nothing is awaited");
        let content = collected.expect("no failure").to_bytes().to_vec();
        assert_eq!(content.len() as u64, promised);
        content
    }

    proptest! {
        /// However the content is cut, and however it is held.
        #[test]
        fn parts_are_those_of_the_content(
            gaps in proptest::collection::vec((0_u64..40, 1_u64..40), 2..8),
            piece in 1_usize..50,
        ) {
            let mut parts = Vec::new();
            let mut at = 0;
            for (gap, len) in gaps {
                let first = at + gap;
                at = first + len;
                parts.push(ByteRange { first, last: at - 1 });
            }
            let total = at + 5;
            let content: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
            let framing = Multipart::new(&parts, total, None, 1);
            let mut expected = Vec::new();
            for (delimiter, part) in framing.delimiters().iter().zip(&parts) {
                expected.extend_from_slice(delimiter);
                let range = part.first as usize..=part.last as usize;
                expected.extend_from_slice(content.get(range).expect("within"));
            }
            expected.extend_from_slice(framing.end());
            let held = StoredBody::new(cut(&content, piece));
            let arriving = Body::stream(Body::Stored(held.clone()));
            for part in &parts {
                let range = part.first as usize..=part.last as usize;
                let whole = Body::stream(Body::Stored(held.clone()));
                prop_assert_eq!(
                    read(PartBody::new(whole, *part)),
                    content.get(range).expect("within")
                );
            }
            prop_assert_eq!(read(HeldParts::new(framing.clone(), &parts, held)), expected.clone());
            prop_assert_eq!(read(ArrivingParts::new(framing, &parts, arriving)), expected);
        }
    }
}
