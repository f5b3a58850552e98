//! The thread that writes: saves, purges, eviction, and trials of a disk that
//! has failed. It alone changes files.

mod rate;
mod room;

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::folder::{Folder, FolderError, remove_all};
use super::format::{Header, table_of};
use super::health::off_for;
use super::purge_log::{LoggedPurge, PurgeLog};
use super::queue::{Job, Save};
use super::scan::scan;
use super::{Shared, first};
use crate::record;
use crate::tier::Off;
use rate::Rate;

/// Records up to this many bytes are written at once.
const AT_ONCE_BYTES: u64 = 1024 * 1024;

/// See the module.
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// `None` while the disk is off.
    folder: Option<Folder>,
    log: PurgeLog,
    /// Nothing that is on disk may be used: purges of it may be missing from the log.
    is_untrusted: bool,
    active: Option<Active>,
    next_segment: u64,
    pause: Duration,
    retry_at: Instant,
    rate: Rate,
}

/// The segment that is being written.
struct Active {
    id: u64,
    file: Arc<File>,
    len: u64,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        folder: Option<Folder>,
        log: PurgeLog,
        is_untrusted: bool,
    ) -> Self {
        let now = shared.walls.clock().now();
        let settings = &shared.settings;
        Self {
            pause: settings.retry,
            retry_at: now + settings.retry,
            rate: Rate::new(settings.write_rate, now),
            shared,
            folder,
            log,
            is_untrusted,
            active: None,
            next_segment: 1,
        }
    }

    /// Runs until the queue is closed.
    pub(super) fn run(mut self) {
        if self.folder.is_some()
            && let Err(error) = self.begin()
        {
            self.fail(&error);
        }
        loop {
            match self.shared.queue.next(self.patience()) {
                Job::Purges(purges, settled) => {
                    self.purge(purges);
                    for settled in settled {
                        let _ = settled.send(());
                    }
                }
                Job::Save(save) => self.save(&save),
                Job::Idle => self.look_after(),
                Job::End => break,
            }
        }
        let shared = Arc::clone(&self.shared);
        // The folder first: whoever waits for the end may open it again.
        drop(self);
        shared.queue.end();
    }

    fn patience(&self) -> Option<Duration> {
        let now = self.shared.walls.clock().now();
        let is_off = self.folder.is_none();
        is_off.then(|| self.retry_at.saturating_duration_since(now))
    }

    /// Brings the index up to what is on disk.
    fn begin(&mut self) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let (mut index, scanned) = scan(folder)?;
        self.next_segment = scanned.last.saturating_add(1).max(self.next_segment);
        if scanned.saved > micros(self.shared.walls.now()) {
            // The wall clock went back: nobody knows how old anything is.
            tracing::warn!("the disk cache is from the future: it begins empty");
            for id in index.segments() {
                folder.remove_segment(id)?;
            }
            index.clear();
        }
        tracing::info!(
            records = index.records(),
            bytes = index.bytes(),
            cut = scanned.cut,
            "the disk cache is on"
        );
        *self.shared.index.lock() = index;
        self.make_room(0)?;
        self.shared.health.turn_on();
        self.shared.is_ready.store(true, Ordering::Release);
        Ok(())
    }

    /// The disk said no: nothing is read or written until a trial succeeds.
    fn fail(&mut self, error: &io::Error) {
        self.turn_off(off_for(error), error);
    }

    fn turn_off(&mut self, off: Off, error: &dyn std::fmt::Display) {
        let now = self.shared.walls.clock().now();
        if self.shared.health.turn_off(off) || self.folder.is_some() {
            tracing::warn!(reason = off.label(), %error, "the disk cache is off");
        }
        self.shared.index.lock().clear();
        self.active = None;
        self.log.close();
        self.folder = None;
        self.retry_at = now + self.pause;
        self.pause = (self.pause * 2).min(self.shared.settings.retry_max);
    }

    /// Turns off what readers found to fail, and tries again what is off.
    fn look_after(&mut self) {
        if self.folder.is_some() {
            if let Some(off) = self.shared.health.off() {
                self.turn_off(off, &"reading failed");
            }
            return;
        }
        if self.shared.walls.clock().now() < self.retry_at {
            return;
        }
        match self.try_again() {
            Ok(()) => self.pause = self.shared.settings.retry,
            Err(FolderError::Io(error)) => self.fail(&error),
            Err(FolderError::InUse) => self.turn_off(Off::Failing, &"another process uses it"),
        }
    }

    fn try_again(&mut self) -> Result<(), FolderError> {
        let folder = Folder::open(&self.shared.settings.path)?;
        if self.is_untrusted {
            for id in folder.list()? {
                folder.remove_segment(id)?;
            }
            self.is_untrusted = false;
        }
        // What is known in memory is all there is to know, or the segments are not used.
        self.log.write_anew(&folder.purge_log())?;
        self.folder = Some(folder);
        Ok(self.begin()?)
    }

    /// Writes purges down; if that cannot be, what they concern has to go.
    fn purge(&mut self, logged: Vec<LoggedPurge>) {
        let path = self.folder.as_ref().map(Folder::purge_log);
        let written = match path {
            _ if logged.is_empty() => Ok(()),
            Some(path) => self.log.add(logged, &path),
            None => {
                // Written when the disk is on again; till then, nothing may be left to return
                // to after a crash.
                self.log.remember(logged);
                remove_all(&self.shared.settings.path);
                Ok(())
            }
        };
        if let Err(error) = written {
            self.fail(&error);
            remove_all(&self.shared.settings.path);
        }
    }

    fn save(&mut self, save: &Save) {
        let shared = Arc::clone(&self.shared);
        let stats = &shared.stats;
        if self.folder.is_none() {
            stats.off.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let response = &save.response;
        let head = record::encode(
            response.head(),
            response.content_length(),
            &self.shared.walls,
        );
        let Ok(head) = head else {
            stats.too_large.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let table = table_of(&response.segments);
        let header = Header {
            head_len: u32::try_from(head.len()).unwrap_or(u32::MAX),
            content_len: response.content_length(),
            digest: *save.key.digest(),
            uri: first(save.key.uri()),
            variant: record::checksum(response.head().variant_key.as_bytes()),
            segment: 0,
            saved: micros(self.shared.walls.of(self.shared.walls.clock().now())),
            table_sum: record::checksum(&table),
        };
        let (len, now) = (header.record_len(), self.shared.walls.clock().now());
        if !self.rate.allows(len, self.shared.settings.write_rate, now) {
            stats.over_rate.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let written = self.write(header, |front, active| {
            front.extend_from_slice(&head);
            front.extend_from_slice(&table);
            let mut file: &File = &active.file;
            if len <= AT_ONCE_BYTES {
                for segment in response.segments.iter() {
                    front.extend_from_slice(segment);
                }
                return file.write_all(front);
            }
            file.write_all(front)?;
            response
                .segments
                .iter()
                .try_for_each(|segment| file.write_all(segment))
        });
        match written {
            Ok(()) => {
                stats.saved.fetch_add(1, Ordering::Relaxed);
                stats.written_bytes.fetch_add(len, Ordering::Relaxed);
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Writes a record under `header`; `fill` writes what begins with the header's bytes.
    fn write(
        &mut self,
        mut header: Header,
        fill: impl FnOnce(&mut Vec<u8>, &Active) -> io::Result<()>,
    ) -> io::Result<()> {
        let len = header.record_len();
        self.make_room(len)?;
        let mut active = self.active_for(len)?;
        header.segment = active.id;
        let mut front = header.to_bytes().to_vec();
        fill(&mut front, &active)?;
        let offset = active.len;
        active.len = active.len.saturating_add(len);
        self.active = Some(active);
        // Found only once all of it stands.
        self.shared.index.lock().insert(&header, offset, len);
        Ok(())
    }

    /// The segment for a record of `len` bytes, taken out: if writing fails, it is not gone on with.
    fn active_for(&mut self, len: u64) -> io::Result<Active> {
        let segment_bytes = self.shared.settings.segment_bytes();
        if let Some(active) = self.active.take() {
            if active.len.saturating_add(len) <= segment_bytes {
                return Ok(active);
            }
            active.file.sync_data()?;
        }
        let folder = self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let id = self.next_segment;
        let file = Arc::new(folder.create_segment(id)?);
        self.next_segment = id.saturating_add(1);
        self.shared
            .index
            .lock()
            .add_segment(id, Arc::clone(&file), 0);
        Ok(Active { id, file, len: 0 })
    }
}

/// Microseconds since 1970.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}
