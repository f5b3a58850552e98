//! A look at the beginning of content whose length nobody knows: what turns
//! out to be small is not worth a coder.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use verge_http::{Body, Failure};

/// How long the beginning may take: less than what anybody notices.
const PEEK: Duration = Duration::from_millis(5);

/// The same body; of known length if it has less than `small` bytes and they come soon.
pub(super) async fn peek(mut body: Body, small: u64) -> Body {
    let mut read = Beginning::default();
    // What is cut short is nothing but the look itself: frames that came are kept.
    let looked = timeout(PEEK, read.look(&mut body, small)).await;
    match looked {
        Ok(Looked::All) => Body::from(read.content()),
        Ok(Looked::Enough) | Err(_) if read.frames.is_empty() => body,
        Ok(Looked::Enough) | Err(_) => Body::stream(Prefixed {
            frames: read.frames,
            rest: body,
        }),
    }
}

enum Looked {
    /// There is no more, and all of it is data.
    All,
    Enough,
}

#[derive(Default)]
struct Beginning {
    frames: VecDeque<Result<Frame<Bytes>, Failure>>,
    bytes: u64,
}

impl Beginning {
    async fn look(&mut self, body: &mut Body, small: u64) -> Looked {
        while self.bytes < small {
            let Some(frame) = body.frame().await else {
                return Looked::All;
            };
            let data = frame
                .as_ref()
                .ok()
                .and_then(Frame::data_ref)
                .map(Bytes::len);
            self.frames.push_back(frame);
            match data {
                Some(len) => self.bytes = self.bytes.saturating_add(len as u64),
                // Trailers or a failure go on as they came.
                None => return Looked::Enough,
            }
        }
        Looked::Enough
    }

    fn content(self) -> Bytes {
        let mut content = BytesMut::new();
        for frame in self.frames.into_iter().flatten() {
            if let Ok(data) = frame.into_data() {
                content.extend_from_slice(&data);
            }
        }
        content.freeze()
    }
}

/// What was looked at, and the rest.
struct Prefixed {
    frames: VecDeque<Result<Frame<Bytes>, Failure>>,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}
