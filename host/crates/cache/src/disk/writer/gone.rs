//! Keys of which nothing counts any more are written down as gone, so that
//! rebuilding the index does not find them.

use std::fs::File;
use std::io::{self, Write as _};

use super::{Writer, empty, micros};
use crate::disk::forgotten::Gone;
use crate::disk::format::{HEADER_BYTES, Header};

/// Keys that may be written down as gone before the segment has to reach the disk.
const UNSYNCED_MAX: usize = 4096;

/// The URIs of keys that are written down as gone, but that a crash of the machine could bring
/// back, and how often each counts as known.
pub(super) type Unsynced = Vec<(u64, u32)>;

impl Writer {
    /// Writes down what was forgotten; what cannot be stays forgotten in memory.
    pub(super) fn write_forgotten(&mut self) {
        if self.folder.is_none() {
            // It is written when the disk is on again.
            return;
        }
        let taken = self.shared.index.lock().take_forgotten();
        let Some(gone) = taken else {
            if let Err(error) = self.forget_everything() {
                self.fail(&error);
            }
            return;
        };
        let mut gone = gone.into_iter();
        while let Some(next) = gone.next() {
            if !next.is_written {
                continue;
            }
            if let Err(error) = self.write_gone(&next) {
                let mut index = self.shared.index.lock();
                for left in std::iter::once(next).chain(gone) {
                    index.forget(&left.digest, left.uri);
                }
                drop(index);
                self.fail(&error);
                return;
            }
        }
    }

    fn write_gone(&mut self, gone: &Gone) -> io::Result<()> {
        let len = HEADER_BYTES as u64;
        self.make_room(len)?;
        let mut active = self.active_for(len)?;
        let saved = micros(self.shared.walls.of(self.shared.walls.clock().now()));
        let header = Header::gone(gone.digest, gone.uri, active.id, saved);
        let mut file: &File = &active.file;
        file.write_all(&header.to_bytes())?;
        active.len = active.len.saturating_add(len);
        self.shared.index.lock().add_bytes(active.id, len);
        self.unsynced.push((gone.uri, gone.held));
        let is_due = self.unsynced.len() >= UNSYNCED_MAX;
        if is_due {
            active.file.sync_data()?;
        }
        self.active = Some(active);
        if is_due {
            self.release_synced();
        }
        Ok(())
    }

    /// What was written down as gone cannot come back.
    pub(super) fn release_synced(&mut self) {
        let mut index = self.shared.index.lock();
        for (uri, held) in self.unsynced.drain(..) {
            index.release(uri, held);
        }
    }

    /// More was forgotten than can be told: all that is there goes.
    fn forget_everything(&mut self) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        tracing::warn!("too much of the disk cache is outdated: it is emptied");
        self.active = None;
        self.unsynced.clear();
        empty(folder, &mut self.shared.index.lock())
    }
}
