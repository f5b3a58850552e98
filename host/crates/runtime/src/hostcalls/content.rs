//! Readers and writers of content: the only hostcalls that wait.

use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http_body::{Body as _, Frame};
use verge_http::Failure;
use wasmtime::component::Resource;

use crate::bindings::verge::edge::types::{BodyError, HostBodyReader, HostBodyWriter};
use crate::call::{Committed, Shared};
use crate::handles::{ReaderHandle, WriterHandle};
use crate::outcome::Trigger;
use crate::record;
use crate::state::{CallState, GIVEN_RESPONSE, MessageRef, Reader};

/// The longest piece that a guest is given at once.
const PIECE_BYTES: usize = 64 << 10;

impl CallState {
    /// Opens a message's content for reading.
    pub(super) fn open_reader(
        &mut self,
        of: MessageRef,
    ) -> wasmtime::Result<Result<Resource<ReaderHandle>, BodyError>> {
        let Some(body) = self.content_of(of).and_then(|content| content.take_given()) else {
            return Ok(Err(BodyError::Taken));
        };
        let number = self.readers.add(Reader {
            of,
            body,
            rest: Bytes::new(),
            read: 0,
        })?;
        Ok(Ok(Resource::new_own(number)))
    }
}

impl HostBodyReader for CallState {
    async fn read(
        &mut self,
        reader: Resource<ReaderHandle>,
        max: u32,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, BodyError>> {
        self.hostcall()?;
        let limit = self.limits().body;
        let reader = self.readers.at(reader.rep())?;
        if reader.rest.is_empty() {
            match next_piece(reader, &self.shared).await {
                Err(error) => return Ok(Err(error)),
                Ok(None) => return Ok(Ok(None)),
                Ok(Some(piece)) => reader.rest = piece,
            }
        }
        let max = usize::try_from(max).unwrap_or(PIECE_BYTES);
        let length = reader.rest.len().min(max.clamp(1, PIECE_BYTES));
        reader.read = reader.read.saturating_add(length as u64);
        if reader.read > limit {
            if reader.of != MessageRef::Fetched {
                self.shared.note_given_less();
            }
            return Ok(Err(BodyError::TooLarge));
        }
        Ok(Ok(Some(reader.rest.split_to(length).to_vec())))
    }

    fn drop(&mut self, reader: Resource<ReaderHandle>) -> wasmtime::Result<()> {
        if let Some(reader) = self.readers.remove(reader.rep()) {
            self.give_back(reader);
        }
        Ok(())
    }
}

/// The next piece that is not empty; trailers are not shown to guests.
async fn next_piece(reader: &mut Reader, shared: &Shared) -> Result<Option<Bytes>, BodyError> {
    std::future::poll_fn(|context| {
        loop {
            let Poll::Ready(frame) = Pin::new(&mut reader.body).poll_frame(context) else {
                // Whom it fetches from is the function's own choice, and takes of its time.
                if reader.of != MessageRef::Fetched {
                    shared.meter.begin_wait();
                }
                return Poll::Pending;
            };
            note_frame(shared, reader.of, &frame);
            match frame {
                None => return Poll::Ready(Ok(None)),
                Some(Err(_)) => {
                    // Something of it may have been read by the sender's side: it is not whole.
                    reader.read = reader.read.max(1);
                    if reader.of != MessageRef::Fetched {
                        shared.note_given_less();
                    }
                    return Poll::Ready(Err(BodyError::Incomplete));
                }
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data()
                        && !piece.is_empty()
                    {
                        return Poll::Ready(Ok(Some(piece)));
                    }
                }
            }
        }
    })
    .await
}

/// What was fetched is noted where it comes in.
fn note_frame(shared: &Shared, of: MessageRef, frame: &Option<Result<Frame<Bytes>, Failure>>) {
    let Some(tape) = &shared.tape else { return };
    let number = match of {
        MessageRef::Request => record::REQUEST,
        MessageRef::Response(_) => record::RESPONSE,
        MessageRef::Fetched => return,
    };
    let noted = frame
        .as_ref()
        .map(|frame| frame.as_ref().map_err(|failure| *failure));
    tape.roll.note_frame(number, noted);
}

impl HostBodyWriter for CallState {
    async fn write(
        &mut self,
        writer: Resource<WriterHandle>,
        piece: Vec<u8>,
    ) -> wasmtime::Result<Result<(), BodyError>> {
        self.hostcall()?;
        let limit = self.limits().body;
        let writer = self.writers.at(writer.rep())?;
        writer.written = writer.written.saturating_add(piece.len() as u64);
        if writer.written > limit {
            return Ok(Err(BodyError::TooLarge));
        }
        if piece.is_empty() {
            return Ok(Ok(()));
        }
        let response = writer.response;
        if !self.commit(response)? {
            return Ok(Err(BodyError::Closed));
        }
        let mut piece = Some(Bytes::from(piece));
        let shared = &self.shared;
        std::future::poll_fn(|_| {
            // The reader of the queue polls this guest: nobody needs to be woken.
            let mut output = shared.output.lock();
            if piece
                .as_ref()
                .is_some_and(|piece| !output.has_room(piece.len()))
            {
                return Poll::Pending;
            }
            if let Some(piece) = piece.take() {
                output.push(piece);
            }
            Poll::Ready(())
        })
        .await;
        Ok(Ok(()))
    }

    fn finish(
        &mut self,
        writer: Resource<WriterHandle>,
    ) -> wasmtime::Result<Result<(), BodyError>> {
        self.hostcall()?;
        let Some(writer) = self.writers.remove(writer.rep()) else {
            return Ok(Err(BodyError::Closed));
        };
        let response = self.responses.at(writer.response)?;
        response.content.finished = true;
        if response.sealed {
            self.shared.output.lock().finish();
        }
        Ok(Ok(()))
    }

    fn drop(&mut self, writer: Resource<WriterHandle>) -> wasmtime::Result<()> {
        self.writers.remove(writer.rep());
        Ok(())
    }
}

impl CallState {
    /// Commits the head of a response, unless it was; false when another one was committed.
    fn commit(&mut self, response: u32) -> wasmtime::Result<bool> {
        if self.responses.at(response)?.sealed {
            return Ok(true);
        }
        // In a response trigger there is one response to write: the given one, whose fields stay as
        // they are where the function may not change them.
        let is_response_trigger = matches!(
            self.trigger,
            Trigger::OriginResponse | Trigger::ViewerResponse
        );
        if self.shared.output.lock().is_started()
            || (is_response_trigger && response != GIVEN_RESPONSE)
        {
            return Ok(false);
        }
        let messages = self.hand_over(response);
        self.shared
            .output
            .lock()
            .commit(Committed::Trigger(Box::new(messages)));
        Ok(true)
    }
}
