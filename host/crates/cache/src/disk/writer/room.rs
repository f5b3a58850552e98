//! Room for what is written: whole segments go, the one written first before
//! others; what was asked for of them is written anew.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::atomic::Ordering;

use super::Writer;
use crate::disk::format::{Header, Kind, Link};
use crate::disk::index::{Base, Found, Victim};
use crate::disk::read::{read_at, read_front};

/// What part of a segment's bytes is kept when it is evicted, if it was asked for.
const KEPT_SHARE: u64 = 4;

impl Writer {
    /// Evicts until `len` more bytes fit.
    pub(super) fn make_room(&mut self, len: u64) -> io::Result<()> {
        loop {
            let settings = &self.shared.settings;
            let (size, records) = (settings.size, settings.records);
            let mut index = self.shared.index.lock();
            let is_room = index.bytes().saturating_add(len) <= size && index.records() < records;
            if is_room {
                return Ok(());
            }
            let active = self.active.as_ref().map(|active| active.id);
            let victim = index.evict(active).or_else(|| index.evict(None));
            drop(index);
            let Some(victim) = victim else {
                return Ok(());
            };
            self.shared.stats.evicted.fetch_add(1, Ordering::Relaxed);
            if active == Some(victim.id) {
                self.active = None;
                // What was written down there as gone had gone before.
                self.release_synced();
            }
            if let Some(folder) = &self.folder {
                folder.remove_segment(victim.id)?;
            }
            self.keep_used(&victim)?;
            let mut index = self.shared.index.lock();
            for uri in victim.uris {
                index.release(uri, 1);
            }
        }
    }

    /// Writes anew what was asked for of an evicted segment, as far as a part of it goes.
    fn keep_used(&mut self, victim: &Victim) -> io::Result<()> {
        let mut left = self.shared.settings.segment_bytes() / KEPT_SHARE;
        for (digest, found) in &victim.used {
            if found.place.span.record_len() > left {
                continue;
            }
            let Some((header, rest)) = read_whole(found) else {
                continue;
            };
            let len = header.record_len();
            let is_room =
                self.shared.index.lock().bytes().saturating_add(len) <= self.shared.settings.size;
            if header.digest != *digest || !is_room || len > left {
                continue;
            }
            left -= len;
            let mut active = self.active_for(len)?;
            let header = Header {
                segment: active.id,
                ..header
            };
            let mut bytes = header.to_bytes().to_vec();
            bytes.extend_from_slice(&rest);
            let mut file: &File = &active.file;
            file.write_all(&bytes)?;
            self.shared.index.lock().insert(&header, active.len, len);
            active.len = active.len.saturating_add(len);
            self.active = Some(active);
        }
        Ok(())
    }
}

/// A record of a segment that is going: its header, and what follows it. A newer head and its
/// content become one record again.
fn read_whole(found: &Found) -> Option<(Header, Vec<u8>)> {
    let place = found.place;
    let own = Base {
        link: Link {
            segment: place.segment,
            offset: place.offset,
        },
        front: place.span.front,
    };
    let front = read_front(&found.file, own).ok()??;
    let base = place.base.unwrap_or(own);
    let held = match place.base {
        None => None,
        Some(base) => Some(read_front(&found.base, base).ok()??),
    };
    let (header, table) = match held {
        None => (front.header, front.table),
        Some(held) => {
            let header = Header {
                kind: Kind::Whole,
                table_sum: held.header.table_sum,
                ..front.header
            };
            let is_it = (held.header.digest, held.header.content_len)
                == (header.digest, header.content_len);
            (header, is_it.then_some(held.table)?)
        }
    };
    let start = base.link.offset.checked_add(u64::from(base.front))?;
    let content = read_at(&found.base, start, header.content_len).ok()??;
    Some((header, [front.head, table, content].concat()))
}
