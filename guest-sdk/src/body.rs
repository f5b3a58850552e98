//! Content that arrives or leaves over time. Nothing is buffered here beyond one piece.

use std::fmt;
use std::io;

use crate::backend::imp::{RawReader, RawWriter};

/// How much one read asks for when the caller does not say: 64 KiB.
const PIECE: u32 = 64 * 1024;

/// Why content could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It was taken before.
    #[error("the content was taken before")]
    Taken,
    /// It is larger than the function's body limit, or than the limit of the call.
    #[error("the content is larger than its limit")]
    TooLarge,
    /// The sender ended it early or too slowly.
    #[error("the content ended early")]
    Incomplete,
    /// The receiver went away.
    #[error("the receiver of the content went away")]
    Closed,
    /// The message cannot have content (RFC 9110 6.4).
    #[error("the message cannot have content")]
    Forbidden,
}

impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::Taken | BodyError::Forbidden => io::ErrorKind::InvalidInput,
            BodyError::TooLarge => io::ErrorKind::FileTooLarge,
            BodyError::Incomplete => io::ErrorKind::UnexpectedEof,
            BodyError::Closed => io::ErrorKind::BrokenPipe,
        };
        Self::new(kind, error)
    }
}

/// Content that arrives over time. It is also a [`std::io::Read`].
pub struct BodyReader {
    raw: RawReader,
    /// What the host gave beyond what an `io::Read` caller had room for.
    rest: Vec<u8>,
    taken: usize,
}

impl BodyReader {
    pub(crate) fn from_raw(raw: RawReader) -> Self {
        let (rest, taken) = (Vec::new(), 0);
        Self { raw, rest, taken }
    }

    /// The host's reader; `None` when a part of what it gave waits here.
    pub(crate) fn into_raw(self) -> Option<RawReader> {
        (self.taken >= self.rest.len()).then_some(self.raw)
    }

    /// The next piece, of at most `max` bytes and never empty; `None` at the end. Waits for the
    /// sender.
    ///
    /// # Errors
    /// The content is over the function's limit, or its sender ended it early.
    pub fn next_piece(&mut self, max: u32) -> Result<Option<Vec<u8>>, BodyError> {
        if let Some(rest) = self.rest.get(self.taken..).filter(|rest| !rest.is_empty()) {
            let length = rest.len().min(max as usize);
            let piece = rest.get(..length).unwrap_or(rest).to_vec();
            self.taken = self.taken.saturating_add(length);
            return Ok(Some(piece));
        }
        loop {
            match self.raw.read(max.max(1))? {
                Some(piece) if piece.is_empty() => {}
                piece => return Ok(piece),
            }
        }
    }

    /// All that is left, at most `limit` bytes.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] when there is more, or what reading returns.
    pub fn read_all(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let mut content = Vec::new();
        while let Some(piece) = self.next_piece(PIECE)? {
            if content.len().saturating_add(piece.len()) > limit {
                return Err(BodyError::TooLarge);
            }
            if content.is_empty() {
                content = piece;
            } else {
                content.extend_from_slice(&piece);
            }
        }
        Ok(content)
    }
}

impl io::Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.taken >= self.rest.len() {
            match self.next_piece(PIECE)? {
                None => return Ok(0),
                Some(piece) => (self.rest, self.taken) = (piece, 0),
            }
        }
        let mut left = self.rest.get(self.taken..).unwrap_or_default();
        let length = io::Read::read(&mut left, buffer)?;
        self.taken = self.taken.saturating_add(length);
        Ok(length)
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyReader")
    }
}

/// Content that leaves over time. It is also a [`std::io::Write`].
///
/// Only [`finish`](Self::finish) completes it: a writer that is dropped leaves the message
/// incomplete, which its receiver can tell.
#[must_use = "content is complete only after `finish`"]
pub struct BodyWriter(RawWriter);

impl BodyWriter {
    pub(crate) fn from_raw(raw: RawWriter) -> Self {
        Self(raw)
    }

    /// Writes a piece; waits until the host has room for it. The first piece commits the head:
    /// fields edited afterwards no longer reach the receiver.
    ///
    /// # Errors
    /// The receiver went away, or the content is over the function's limit.
    pub fn write_piece(&mut self, piece: impl AsRef<[u8]>) -> Result<(), BodyError> {
        self.0.write(piece.as_ref())
    }

    /// Ends the content.
    ///
    /// # Errors
    /// The receiver went away.
    pub fn finish(self) -> Result<(), BodyError> {
        self.0.finish()
    }
}

impl io::Write for BodyWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_piece(buffer)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyWriter")
    }
}
