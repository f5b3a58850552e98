//! Content in memory, with the same ends as the host's: taken, complete, incomplete.

use std::cell::RefCell;
use std::rc::Rc;

use crate::body::BodyError;

/// The content of a message, shared with its writer.
#[derive(Clone, Default)]
pub(crate) struct Content(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    bytes: Vec<u8>,
    taken: bool,
    incomplete: bool,
}

impl Content {
    pub(crate) fn new(bytes: Vec<u8>, incomplete: bool) -> Self {
        let taken = false;
        Self(Rc::new(RefCell::new(Inner {
            bytes,
            taken,
            incomplete,
        })))
    }

    pub(super) fn take(&self) -> Result<RawReader, BodyError> {
        let mut inner = self.0.borrow_mut();
        if std::mem::replace(&mut inner.taken, true) {
            return Err(BodyError::Taken);
        }
        let rest = std::mem::take(&mut inner.bytes);
        let incomplete = inner.incomplete;
        Ok(RawReader(RefCell::new((rest, incomplete))))
    }

    pub(super) fn replace(&self, bytes: &[u8]) {
        *self.0.borrow_mut() = Inner {
            bytes: bytes.to_vec(),
            ..Inner::default()
        };
    }

    /// A writer of new content, incomplete until it finishes.
    pub(super) fn stream(&self) -> RawWriter {
        let incomplete = true;
        *self.0.borrow_mut() = Inner {
            incomplete,
            ..Inner::default()
        };
        RawWriter(self.clone())
    }
}

/// What is left to read, and whether its end is a true end.
pub(crate) struct RawReader(RefCell<(Vec<u8>, bool)>);

impl RawReader {
    pub(crate) fn read(&self, max: u32) -> Result<Option<Vec<u8>>, BodyError> {
        let (rest, incomplete) = &mut *self.0.borrow_mut();
        if rest.is_empty() {
            return if *incomplete {
                Err(BodyError::Incomplete)
            } else {
                Ok(None)
            };
        }
        let length = rest.len().min(max as usize);
        let left = rest.split_off(length);
        Ok(Some(std::mem::replace(rest, left)))
    }
}

pub(crate) struct RawWriter(Content);

impl RawWriter {
    pub(crate) fn write(&self, piece: &[u8]) -> Result<(), BodyError> {
        self.0.0.borrow_mut().bytes.extend_from_slice(piece);
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), BodyError> {
        self.0.0.borrow_mut().incomplete = false;
        Ok(())
    }
}
