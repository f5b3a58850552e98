//! Reading a record: what it says is checked before any of it is used. Blocks.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use smallvec::SmallVec;

use super::format::{CHUNK_BYTES, HEADER_BYTES, Header, is_chunk};
use super::index::Place;
use crate::record::{self, ReadAt, RecordError, Recorded};

/// Bytes of content that are read at once; whole chunks.
pub(super) const WINDOW_BYTES: u64 = 4 * CHUNK_BYTES;

/// Content up to here is checked before the answer begins; what lies behind is checked as it
/// is sent, and ends the answer if it is damaged.
const CHECKED_AHEAD_BYTES: u64 = 8 * 1024 * 1024;

/// Content that can be read piece by piece.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) file: Arc<File>,
    /// Where it begins in its file.
    start: u64,
    pub(super) len: u64,
    table: Arc<[u8]>,
}

/// What reading came to.
pub(super) enum Loaded {
    /// A response, and the beginning of its content.
    Hit(Box<Recorded>, Content, Bytes),
    /// None that the request selects.
    Variant,
    /// What was there is not usable.
    Refused(RecordError),
    /// The disk failed.
    Failed(io::Error),
}

/// Records that turned out to be unusable.
pub(super) type Unusable = SmallVec<[(u64, u64); 1]>;

/// What to look for.
pub(super) struct Wanted {
    pub(super) digest: [u8; 32],
    pub(super) places: SmallVec<[(Place, Arc<File>); 1]>,
    pub(super) request: HeaderMap,
    pub(super) at: ReadAt,
}

/// The record that the request selects, the one with the latest Date if there are several
/// (RFC 9111 4.1).
pub(super) fn load(wanted: &Wanted) -> (Loaded, Unusable) {
    let mut unusable = Unusable::new();
    let mut refused = None;
    let mut best: Option<(Recorded, Content, Place)> = None;
    for (place, file) in &wanted.places {
        match front(wanted, *place, file) {
            Ok(Ok((recorded, content))) => {
                let is_later = best
                    .as_ref()
                    .is_none_or(|(best, ..)| recorded.head.date() > best.head.date());
                if is_later && recorded.head.is_selected_by(&wanted.request) {
                    best = Some((recorded, content, *place));
                }
            }
            Ok(Err(error)) => {
                refused = Some(error);
                unusable.push((place.segment, place.offset));
            }
            Err(error) => return (Loaded::Failed(error), unusable),
        }
    }
    let Some((recorded, content, place)) = best else {
        let loaded = refused.map_or(Loaded::Variant, Loaded::Refused);
        return (loaded, unusable);
    };
    match content.check_ahead() {
        Ok(Some(first)) => (Loaded::Hit(Box::new(recorded), content, first), unusable),
        Ok(None) => {
            unusable.push((place.segment, place.offset));
            (Loaded::Refused(RecordError::Checksum), unusable)
        }
        Err(error) => (Loaded::Failed(error), unusable),
    }
}

/// The heads of all records that can be read.
pub(super) fn heads(wanted: &Wanted) -> io::Result<Vec<Recorded>> {
    let mut heads = Vec::new();
    for (place, file) in &wanted.places {
        if let Ok((recorded, _)) = front(wanted, *place, file)? {
            heads.push(recorded);
        }
    }
    Ok(heads)
}

type Front = Result<(Recorded, Content), RecordError>;

/// Header, head and table of a record.
fn front(wanted: &Wanted, place: Place, file: &Arc<File>) -> io::Result<Front> {
    let Some(bytes) = read_at(file, place.offset, u64::from(place.span.front))? else {
        return Ok(Err(RecordError::Malformed));
    };
    let parsed = Header::parse(&bytes, place.segment).filter(|header| {
        header.digest == wanted.digest
            && header.content_start() == u64::from(place.span.front)
            && header.content_len == place.span.content
    });
    let Some(header) = parsed else {
        return Ok(Err(RecordError::Checksum));
    };
    let rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let Some((head, table)) = rest.split_at_checked(header.head_len as usize) else {
        return Ok(Err(RecordError::Malformed));
    };
    if record::checksum(table) != header.table_sum {
        return Ok(Err(RecordError::Checksum));
    }
    let recorded = match record::decode(head, wanted.at) {
        Ok(recorded) if recorded.content_length == header.content_len => recorded,
        Ok(_) => return Ok(Err(RecordError::Malformed)),
        Err(error) => return Ok(Err(error)),
    };
    let content = Content {
        file: Arc::clone(file),
        start: place.offset.saturating_add(header.content_start()),
        len: header.content_len,
        table: table.into(),
    };
    Ok(Ok((recorded, content)))
}

impl Content {
    /// The piece that begins at `from`, at a whole number of windows; `None` if it is damaged.
    pub(super) fn read(&self, from: u64) -> io::Result<Option<Bytes>> {
        let len = self.len.saturating_sub(from).min(WINDOW_BYTES);
        let Some(window) = read_at(&self.file, self.start.saturating_add(from), len)? else {
            return Ok(None);
        };
        let chunks = window.chunks(usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX));
        let is_right = (from / CHUNK_BYTES..)
            .zip(chunks)
            .all(|(index, chunk)| is_chunk(&self.table, index, chunk));
        Ok(is_right.then(|| Bytes::from(window)))
    }

    /// Checks the beginning of the content, and returns its first piece; `None` if any of it is
    /// damaged.
    fn check_ahead(&self) -> io::Result<Option<Bytes>> {
        let Some(first) = self.read(0)? else {
            return Ok(None);
        };
        let mut checked = WINDOW_BYTES;
        while checked < self.len.min(CHECKED_AHEAD_BYTES) {
            if self.read(checked)?.is_none() {
                return Ok(None);
            }
            checked = checked.saturating_add(WINDOW_BYTES);
        }
        Ok(Some(first))
    }
}

/// `len` bytes from `offset`; `None` if the file ends before.
fn read_at(file: &File, offset: u64, len: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
