//! The thread that writes: saves, purges, eviction, and trials of a disk that
//! has failed. It alone changes files.

mod gone;
mod rate;
mod room;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::folder::{Folder, FolderError, remove_all};
use super::format::{HEADER_BYTES, Header, Kind, LINK_BYTES, Link, table_of};
use super::health::off_for;
use super::index::Index;
use super::purge_log::{LoggedPurge, PurgeLog};
use super::queue::{Job, Save};
use super::scan::scan;
use super::{Shared, first};
use crate::record;
use crate::tier::Off;
use gone::Unsynced;
use rate::Rate;

/// Records up to this many bytes are written at once.
const AT_ONCE_BYTES: u64 = 1024 * 1024;

/// Content of at least this many bytes is not written again if it is there already: only its
/// newer head is.
const LINKED_BYTES_MIN: u64 = 16 * 1024;

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
    unsynced: Unsynced,
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
            unsynced: Unsynced::default(),
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
                Job::Purges(purges, number) => {
                    self.purge(purges);
                    self.shared.queue.settled(number);
                }
                Job::Forgotten => self.write_forgotten(),
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
            empty(folder, &mut index)?;
        }
        tracing::info!(
            records = index.records(),
            bytes = index.bytes(),
            cut = scanned.cut,
            "the disk cache is on"
        );
        {
            let mut known = self.shared.index.lock();
            if !index.forget_again(&mut known) {
                tracing::warn!("too much of the disk cache is outdated: it begins empty");
                empty(folder, &mut index)?;
            }
            *known = index;
        }
        self.shared.queue.write_forgotten();
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
        self.unsynced = Unsynced::default();
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
            self.outdate(save);
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
            self.outdate(save);
            return;
        };
        let table = table_of(&response.segments);
        let header = Header {
            kind: Kind::Whole,
            head_len: u32::try_from(head.len()).unwrap_or(u32::MAX),
            content_len: response.content_length(),
            digest: *save.key.digest(),
            uri: first(save.key.uri()),
            variant: record::checksum(response.head().variant_key.as_bytes()),
            segment: 0,
            saved: micros(self.shared.walls.of(self.shared.walls.clock().now())),
            table_sum: record::checksum(&table),
        };
        let written = match self.linked(&header) {
            Ok(Some((newer, link))) => self.write(newer, &head, &link.to_bytes(), &[], Some(link)),
            Ok(None) => self.write(header, &head, &table, &response.segments, None),
            Err(error) => Err(error),
        };
        match written {
            Ok(Some(len)) => {
                stats.saved.fetch_add(1, Ordering::Relaxed);
                stats.written_bytes.fetch_add(len, Ordering::Relaxed);
            }
            Ok(None) => {
                stats.over_rate.fetch_add(1, Ordering::Relaxed);
                self.outdate(save);
            }
            Err(error) => {
                self.outdate(save);
                self.fail(&error);
            }
        }
    }

    /// What is there of a key is older than what could not be written.
    fn outdate(&self, save: &Save) {
        let (digest, uri) = (save.key.digest(), first(save.key.uri()));
        self.shared.index.lock().forget(digest, uri);
        self.shared.queue.write_forgotten();
    }

    /// The header of a newer head, if the very content that `header` stands for is there.
    fn linked(&mut self, header: &Header) -> io::Result<Option<(Header, Link)>> {
        if header.content_len < LINKED_BYTES_MIN {
            return Ok(None);
        }
        // First: what is evicted for it cannot be linked to.
        let room = (HEADER_BYTES as u64).saturating_add(u64::from(header.head_len));
        self.make_room(room.saturating_add(LINK_BYTES as u64))?;
        let index = self.shared.index.lock();
        let found = index.content_of(&header.digest, header.variant, header.content_len);
        drop(index);
        let Some((link, file)) = found else {
            return Ok(None);
        };
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, link.offset)?;
        let is_same = Header::parse(&bytes, link.segment).is_some_and(|held| {
            held.kind == Kind::Whole
                && held.digest == header.digest
                && held.content_len == header.content_len
                && held.table_sum == header.table_sum
        });
        let newer = Header {
            kind: Kind::Head,
            table_sum: record::checksum(&link.to_bytes()),
            ..*header
        };
        Ok(is_same.then_some((newer, link)))
    }

    /// Writes a record, and says how long it is; `None` if that is over the rate.
    fn write(
        &mut self,
        mut header: Header,
        head: &[u8],
        table: &[u8],
        content: &[Bytes],
        link: Option<Link>,
    ) -> io::Result<Option<u64>> {
        let (len, now) = (header.record_len(), self.shared.walls.clock().now());
        if !self.rate.allows(len, self.shared.settings.write_rate, now) {
            return Ok(None);
        }
        self.make_room(len)?;
        let mut active = self.active_for(len)?;
        header.segment = active.id;
        let mut front = [&header.to_bytes()[..], head, table].concat();
        let mut file: &File = &active.file;
        if len <= AT_ONCE_BYTES {
            for segment in content {
                front.extend_from_slice(segment);
            }
            file.write_all(&front)?;
        } else {
            file.write_all(&front)?;
            content
                .iter()
                .try_for_each(|segment| file.write_all(segment))?;
        }
        let offset = active.len;
        active.len = active.len.saturating_add(len);
        self.active = Some(active);
        // Found only once all of it stands.
        let mut index = self.shared.index.lock();
        match link {
            None => index.insert(&header, offset, len),
            Some(link) => index.insert_head(&header, link, offset, len),
        }
        Ok(Some(len))
    }

    /// The segment for a record of `len` bytes, taken out: if writing fails, it is not gone on with.
    fn active_for(&mut self, len: u64) -> io::Result<Active> {
        let segment_bytes = self.shared.settings.segment_bytes();
        if let Some(active) = self.active.take() {
            if active.len.saturating_add(len) <= segment_bytes {
                return Ok(active);
            }
            active.file.sync_data()?;
            self.release_synced();
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

/// Removes all segments.
fn empty(folder: &Folder, index: &mut Index) -> io::Result<()> {
    for id in index.segments() {
        folder.remove_segment(id)?;
    }
    index.clear();
    Ok(())
}

/// Microseconds since 1970.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}
