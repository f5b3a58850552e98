//! Room for what is written: whole segments go, the one written first before
//! others; what was asked for of them is written anew.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;

use super::Writer;
use crate::disk::format::{HEADER_BYTES, Header};
use crate::disk::index::{Place, Victim};

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
            }
            if let Some(folder) = &self.folder {
                folder.remove_segment(victim.id)?;
            }
            self.keep_used(&victim)?;
        }
    }

    /// Writes anew what was asked for of an evicted segment, as far as a part of it goes.
    fn keep_used(&mut self, victim: &Victim) -> io::Result<()> {
        let mut left = self.shared.settings.segment_bytes() / KEPT_SHARE;
        for (digest, place) in &victim.used {
            let len = place.span.record_len();
            if len > left {
                continue;
            }
            let Some((header, rest)) = read_whole(victim, *place) else {
                continue;
            };
            let is_room =
                self.shared.index.lock().bytes().saturating_add(len) <= self.shared.settings.size;
            if header.digest != *digest || !is_room {
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

/// A record of a segment that is going: its header, and what follows it.
fn read_whole(victim: &Victim, place: Place) -> Option<(Header, Vec<u8>)> {
    let len = usize::try_from(place.span.record_len()).ok()?;
    let mut bytes = vec![0; len];
    victim.file.read_exact_at(&mut bytes, place.offset).ok()?;
    let header = Header::parse(&bytes, victim.id)?;
    let rest = bytes.split_off(HEADER_BYTES.min(len));
    Some((header, rest))
}
