//! Rebuilding the index from the segments, at the start and after the disk
//! has failed. Only headers are read; what follows them is checked when it is
//! asked for. A segment ends where its records end: a torn end is cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::folder::Folder;
use super::format::{HEADER_BYTES, Header, Kind, LINK_BYTES, Link};
use super::index::Index;

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scanned {
    /// The highest number of a segment.
    pub(super) last: u64,
    /// When the last record was written, in microseconds since 1970.
    pub(super) saved: u64,
    /// Bytes that were cut.
    pub(super) cut: u64,
}

/// Reads all segments of `folder` into a new index.
pub(super) fn scan(folder: &Folder) -> io::Result<(Index, Scanned)> {
    let mut index = Index::default();
    let mut scanned = Scanned::default();
    for id in folder.list()? {
        let file = Arc::new(folder.open_segment(id)?);
        let end = file.metadata()?.len();
        let headers = headers(&file, id, end)?;
        let kept = headers.last().map_or(0, |(header, offset)| {
            offset.saturating_add(header.record_len())
        });
        if kept == 0 {
            scanned.cut = scanned.cut.saturating_add(end);
            folder.remove_segment(id)?;
            continue;
        }
        // What is no segment of ours has no say in their numbers.
        scanned.last = scanned.last.max(id);
        if kept < end {
            scanned.cut = scanned.cut.saturating_add(end - kept);
            file.set_len(kept)?;
        }
        index.add_segment(id, Arc::clone(&file), kept);
        for (header, offset) in headers {
            scanned.saved = scanned.saved.max(header.saved);
            match header.kind {
                Kind::Whole => index.insert(&header, offset, 0),
                Kind::Head => {
                    match link(&file, &header, offset)? {
                        Some(link) => index.insert_head(&header, link, offset, 0),
                        // Whatever it linked to stands there under an older head, which may
                        // have been meant to last longer.
                        None => {
                            index.remove(&header.digest);
                        }
                    }
                }
                Kind::Gone => {
                    index.remove(&header.digest);
                }
            }
        }
    }
    Ok((index, scanned))
}

/// The headers of a segment with `end` bytes, as far as they can be followed.
fn headers(file: &File, id: u64, end: u64) -> io::Result<Vec<(Header, u64)>> {
    let mut headers = Vec::new();
    let mut offset = 0_u64;
    let mut bytes = [0; HEADER_BYTES];
    while offset.saturating_add(HEADER_BYTES as u64) <= end {
        file.read_exact_at(&mut bytes, offset)?;
        let Some(header) = Header::parse(&bytes, id) else {
            break;
        };
        let next = offset.saturating_add(header.record_len());
        if next > end {
            break;
        }
        headers.push((header, offset));
        offset = next;
    }
    Ok(headers)
}

/// The link behind a newer head; `None` if it is damaged.
fn link(file: &File, header: &Header, offset: u64) -> io::Result<Option<Link>> {
    let mut bytes = [0; LINK_BYTES];
    let end = offset.saturating_add(header.record_len());
    file.read_exact_at(&mut bytes, end.saturating_sub(LINK_BYTES as u64))?;
    Ok(Link::parse(&bytes, header.table_sum))
}
