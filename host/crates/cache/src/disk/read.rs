//! Reading a record: what it says is checked before any of it is used. Blocks.

use std::cmp::Reverse;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use smallvec::SmallVec;

use super::format::{CHUNK_BYTES, HEADER_BYTES, Header, Kind, Link, is_chunk};
use super::index::{Base, Found};
use crate::record::{self, ReadAt, RecordError, Recorded};
use crate::tier::Want;

/// Bytes of content that are read at once; whole chunks.
pub(super) const WINDOW_BYTES: u64 = 4 * CHUNK_BYTES;

/// Content up to here is checked before the answer begins; what lies behind is checked as it
/// is sent, and ends the answer if it is damaged.
const CHECKED_AHEAD_BYTES: u64 = 8 * 1024 * 1024;

/// Content that can be read piece by piece.
#[derive(Clone)]
pub(super) struct Content {
    pub(super) file: Arc<File>,
    pub(super) digest: [u8; 32],
    /// The record in which it stands.
    pub(super) link: Link,
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
    pub(super) places: SmallVec<[Found; 1]>,
    pub(super) request: HeaderMap,
    pub(super) want: Want,
    pub(super) at: ReadAt,
}

/// The record that the request selects, the one with the latest Date if there are several
/// (RFC 9111 4.1).
pub(super) fn load(wanted: &Wanted) -> (Loaded, Unusable) {
    let mut unusable = Unusable::new();
    let mut refused = None;
    let mut best: Option<(Recorded, Content, (u64, u64))> = None;
    for found in &wanted.places {
        let at = (found.place.segment, found.place.offset);
        match front(wanted, found) {
            Ok(Ok((recorded, content))) => {
                let is_later = best
                    .as_ref()
                    .is_none_or(|(best, ..)| recorded.head.date() > best.head.date());
                if is_later && recorded.head.is_selected_by(&wanted.request) {
                    best = Some((recorded, content, at));
                }
            }
            Ok(Err(error)) => {
                refused = Some(error);
                unusable.push(at);
            }
            Err(error) => return (Loaded::Failed(error), unusable),
        }
    }
    let Some((recorded, content, at)) = best else {
        let loaded = refused.map_or(Loaded::Variant, Loaded::Refused);
        return (loaded, unusable);
    };
    if wanted.want == Want::Head {
        return (
            Loaded::Hit(Box::new(recorded), content, Bytes::new()),
            unusable,
        );
    }
    match content.check_ahead() {
        Ok(Some(first)) => (Loaded::Hit(Box::new(recorded), content, first), unusable),
        Ok(None) => {
            unusable.push(at);
            (Loaded::Refused(RecordError::Checksum), unusable)
        }
        Err(error) => (Loaded::Failed(error), unusable),
    }
}

/// The heads of all records that can be read, in the order in which [`load`] prefers them.
pub(super) fn heads(wanted: &Wanted) -> io::Result<Vec<Recorded>> {
    let mut heads = Vec::new();
    for found in &wanted.places {
        if let Ok((recorded, _)) = front(wanted, found)? {
            heads.push(recorded);
        }
    }
    heads.sort_by_key(|recorded| Reverse(recorded.head.date()));
    Ok(heads)
}

type Front = Result<(Recorded, Content), RecordError>;

/// The head of a record, and its content's table.
fn front(wanted: &Wanted, found: &Found) -> io::Result<Front> {
    let place = found.place;
    let own = Base {
        link: Link {
            segment: place.segment,
            offset: place.offset,
        },
        front: place.span.front,
    };
    let Some(front) = read_front(&found.file, own)? else {
        return Ok(Err(RecordError::Checksum));
    };
    let is_it = |front: &FrontParts| {
        front.header.digest == wanted.digest && front.header.content_len == place.span.content
    };
    let recorded = match record::decode(&front.head, wanted.at) {
        Ok(recorded) if is_it(&front) && recorded.content_length == place.span.content => recorded,
        Ok(_) => return Ok(Err(RecordError::Malformed)),
        Err(error) => return Ok(Err(error)),
    };
    let (content, base) = match place.base {
        None => (front, own),
        Some(base) => {
            let sum = front.header.table_sum;
            if Link::parse(&front.table, sum) != Some(base.link) {
                return Ok(Err(RecordError::Malformed));
            }
            match read_front(&found.base, base)?.filter(is_it) {
                Some(content) => (content, base),
                None => return Ok(Err(RecordError::Checksum)),
            }
        }
    };
    if content.header.kind != Kind::Whole {
        return Ok(Err(RecordError::Malformed));
    }
    let content = Content {
        file: Arc::clone(&found.base),
        digest: wanted.digest,
        link: base.link,
        start: base.link.offset.saturating_add(u64::from(base.front)),
        len: content.header.content_len,
        table: content.table.into(),
    };
    Ok(Ok((recorded, content)))
}

/// What stands before the content of a record.
pub(super) struct FrontParts {
    pub(super) header: Header,
    pub(super) head: Vec<u8>,
    /// Or the link.
    pub(super) table: Vec<u8>,
}

/// What stands before the content of the record at `base`; `None` if it is damaged.
pub(super) fn read_front(file: &File, base: Base) -> io::Result<Option<FrontParts>> {
    let Some(mut head) = read_at(file, base.link.offset, u64::from(base.front))? else {
        return Ok(None);
    };
    let header = Header::parse(&head, base.link.segment)
        .filter(|header| header.content_start() == u64::from(base.front));
    let Some(header) = header else {
        return Ok(None);
    };
    let table_at = HEADER_BYTES.saturating_add(header.head_len as usize);
    let table = head.split_off(table_at.min(head.len()));
    head.drain(..HEADER_BYTES.min(head.len()));
    let is_right = record::checksum(&table) == header.table_sum;
    Ok(is_right.then_some(FrontParts {
        header,
        head,
        table,
    }))
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
pub(super) fn read_at(file: &File, offset: u64, len: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
