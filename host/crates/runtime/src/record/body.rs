//! Content behind a roll: noted as it is read, or as it was.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use verge_http::{Body, Failure};

use super::blob::Blob;
use super::input::field_list;
use super::roll::Roll;

/// See the file's head.
pub(super) struct TapedBody {
    /// What is real; `None` where there is a recording.
    inner: Option<Body>,
    number: usize,
    roll: Arc<Roll>,
    place: usize,
}

impl TapedBody {
    /// What is real, recorded as the content of this number.
    pub(super) fn of(body: Body, number: usize, roll: Arc<Roll>) -> Self {
        Self {
            inner: Some(body),
            number,
            roll,
            place: 0,
        }
    }

    /// The content of this number in a recording.
    pub(super) fn played(roll: &Arc<Roll>, number: usize) -> Body {
        let Roll::Play(script) = &**roll else {
            return Body::Empty;
        };
        match script.content(number) {
            Some(content) if !content.is_empty => Body::stream(Self {
                inner: None,
                number,
                roll: Arc::clone(roll),
                place: 0,
            }),
            _ => Body::Empty,
        }
    }
}

impl Roll {
    /// Notes what came of a content.
    pub(crate) fn note_frame(&self, number: usize, frame: Option<Result<&Frame<Bytes>, Failure>>) {
        match frame {
            None => self.note_content(number, "complete", |content, end| {
                content.end = Some(end.to_owned());
            }),
            Some(Err(failure)) => self.note_content(number, failure.label(), |content, end| {
                content.end = Some(end.to_owned());
            }),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.note_content(number, Blob(data.to_vec()), |content, piece| {
                        content.pieces.push(piece);
                    });
                } else if let Some(trailers) = frame.trailers_ref() {
                    self.note_content(number, field_list(trailers), |content, trailers| {
                        content.trailers = trailers;
                        content.end = Some("complete".to_owned());
                    });
                }
            }
        }
    }
}

impl http_body::Body for TapedBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let Some(body) = &mut this.inner else {
            let Roll::Play(script) = &*this.roll else {
                return Poll::Ready(None);
            };
            let frame = script.frame(this.number, this.place);
            this.place += 1;
            return Poll::Ready(frame);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        let noted = match &frame {
            None => None,
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(failure)) => Some(Err(*failure)),
        };
        this.roll.note_frame(this.number, noted);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner
            .as_ref()
            .is_some_and(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.inner, &*self.roll) {
            (Some(body), _) => body.size_hint(),
            (None, Roll::Play(script)) => match script.content(self.number) {
                Some(content) => content
                    .length
                    .map_or_else(SizeHint::default, SizeHint::with_exact),
                None => SizeHint::default(),
            },
            (None, Roll::Record(_)) => SizeHint::default(),
        }
    }
}
