//! The purge log: what was purged, so that a restart does not bring it back.
//!
//! A purge is on disk before it is confirmed. Each start takes a range of
//! sequence numbers of its own, above all earlier ones, so that the numbers of
//! records and purges can be compared across restarts. The log is bounded:
//! what it forgets raises its floor, and what is older than that counts as
//! purged. A log that is damaged is no log; the caller drops what it guards.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::record::checksum;

/// Most bytes of one purge.
pub(super) const PURGE_BYTES_MAX: usize = crate::purge::PURGE_WIRE_MAX;

/// Numbers of one start.
const NUMBERS_BITS: u32 = 32;

/// Bytes before an entry's purge: kind, length, number, time, and their checksum: without it, a
/// length that was damaged would look like an end that is torn.
const FRONT_BYTES: usize = 1 + 4 + 8 + 8 + SUM_BYTES;

/// Bytes of an entry's checksum.
const SUM_BYTES: usize = 8;

const KIND_START: u8 = 1;
const KIND_FLOOR: u8 = 2;
const KIND_PURGE: u8 = 3;

/// One purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedPurge {
    /// Its number in the purge sequence.
    pub number: u64,
    /// When it was, in microseconds since 1970.
    pub wall: u64,
    /// [`crate::Purge::encode`]; empty for all there was.
    pub purge: Arc<[u8]>,
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) purges: VecDeque<LoggedPurge>,
    /// What was sent for before this number counts as purged.
    pub(super) floor: u64,
    /// The first number of the last start.
    pub(super) base: u64,
}

/// The log is not what was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

impl Content {
    /// Out of a log's bytes. An end that was not written to its end is left out: what it stood
    /// for was never confirmed.
    pub(super) fn parse(mut rest: &[u8]) -> Result<Self, Damaged> {
        let mut content = Self::default();
        while !rest.is_empty() {
            let Some((entry, tail)) = Entry::split(rest)? else {
                break;
            };
            rest = tail;
            match entry.kind {
                KIND_START => content.base = content.base.max(entry.number),
                KIND_FLOOR => content.floor = content.floor.max(entry.number),
                KIND_PURGE => content.purges.push_back(LoggedPurge {
                    number: entry.number,
                    wall: entry.wall,
                    purge: entry.purge.into(),
                }),
                _ => return Err(Damaged),
            }
        }
        if content.base == 0 {
            Err(Damaged)
        } else {
            Ok(content)
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        push(&mut bytes, KIND_START, self.base, 0, &[]);
        push(&mut bytes, KIND_FLOOR, self.floor, 0, &[]);
        for purge in &self.purges {
            push(
                &mut bytes,
                KIND_PURGE,
                purge.number,
                purge.wall,
                &purge.purge,
            );
        }
        bytes
    }

    /// A new start.
    fn begin(&mut self) {
        let starts = (self.base >> NUMBERS_BITS).saturating_add(1);
        self.base = starts << NUMBERS_BITS;
    }

    fn add(&mut self, purge: LoggedPurge, purges_max: usize) -> bool {
        self.purges.push_back(purge);
        let is_over = self.purges.len() > purges_max;
        if is_over {
            // Half of them, so that the log is not written anew with each purge.
            let keep = purges_max / 2;
            while self.purges.len() > keep {
                let Some(oldest) = self.purges.pop_front() else {
                    break;
                };
                self.floor = self.floor.max(oldest.number);
            }
        }
        is_over
    }
}

struct Entry<'a> {
    kind: u8,
    number: u64,
    wall: u64,
    purge: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The first entry and what follows it; `None` if it ends early.
    fn split(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, Damaged> {
        let Some((front, rest)) = bytes.split_first_chunk::<FRONT_BYTES>() else {
            return Ok(None);
        };
        let (fields, sum) = front.split_last_chunk::<SUM_BYTES>().ok_or(Damaged)?;
        if checksum(fields) != u64::from_le_bytes(*sum) {
            return Err(Damaged);
        }
        let (kind, front) = fields.split_first().ok_or(Damaged)?;
        let (len, front) = front.split_first_chunk::<4>().ok_or(Damaged)?;
        let (number, front) = front.split_first_chunk::<8>().ok_or(Damaged)?;
        let wall = front.first_chunk::<8>().ok_or(Damaged)?;
        let len = u32::from_le_bytes(*len) as usize;
        if len > PURGE_BYTES_MAX {
            return Err(Damaged);
        }
        let Some((purge, rest)) = rest.split_at_checked(len) else {
            return Ok(None);
        };
        let Some((sum, rest)) = rest.split_first_chunk::<SUM_BYTES>() else {
            return Ok(None);
        };
        let body = bytes.get(..FRONT_BYTES + len).ok_or(Damaged)?;
        if checksum(body) != u64::from_le_bytes(*sum) {
            return Err(Damaged);
        }
        let entry = Self {
            kind: *kind,
            number: u64::from_le_bytes(*number),
            wall: u64::from_le_bytes(*wall),
            purge,
        };
        Ok(Some((entry, rest)))
    }
}

fn push(bytes: &mut Vec<u8>, kind: u8, number: u64, wall: u64, purge: &[u8]) {
    let start = bytes.len();
    bytes.push(kind);
    let len = u32::try_from(purge.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&wall.to_le_bytes());
    let sum = checksum(bytes.get(start..).unwrap_or_default());
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(purge);
    let sum = checksum(bytes.get(start..).unwrap_or_default());
    bytes.extend_from_slice(&sum.to_le_bytes());
}

/// The log as a file, and what it holds. What could not be written is still known in memory,
/// and written when the log is opened again.
pub(super) struct PurgeLog {
    pub(super) content: Content,
    file: Option<File>,
    purges_max: usize,
}

impl PurgeLog {
    /// A log that is not on disk, of the first start there is.
    pub(super) fn new(purges_max: usize) -> Self {
        let mut content = Content::default();
        content.begin();
        Self {
            content,
            file: None,
            purges_max,
        }
    }

    /// A new start after what `content` holds; it is not on disk yet.
    pub(super) fn after(content: Content, purges_max: usize) -> Self {
        let mut log = Self::new(purges_max);
        log.content = content;
        log.content.begin();
        log
    }

    /// What is in the log at `path`; `None` if it is missing or damaged.
    pub(super) fn read(path: &Path) -> io::Result<Option<Content>> {
        match fs::read(path) {
            Ok(bytes) => Ok(Content::parse(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes all that is known, in place of what is there.
    pub(super) fn write_anew(&mut self, path: &Path) -> io::Result<()> {
        self.file = None;
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&self.content.to_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.file = Some(OpenOptions::new().append(true).open(path)?);
        Ok(())
    }

    /// Adds purges in memory alone; they are on disk when the log is written anew.
    pub(super) fn remember(&mut self, purges: Vec<LoggedPurge>) {
        for purge in purges {
            self.content.add(purge, self.purges_max);
        }
    }

    /// Adds purges, which are on disk when this returns without an error.
    pub(super) fn add(&mut self, purges: Vec<LoggedPurge>, path: &Path) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut is_over = false;
        for purge in purges {
            push(
                &mut bytes,
                KIND_PURGE,
                purge.number,
                purge.wall,
                &purge.purge,
            );
            is_over |= self.content.add(purge, self.purges_max);
        }
        if is_over {
            return self.write_anew(path);
        }
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            // Its end may be damaged: it is written anew before it is used again.
            self.file = None;
        }
        written
    }

    pub(super) fn close(&mut self) {
        self.file = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn purge(number: u64) -> LoggedPurge {
        LoggedPurge {
            number,
            wall: number * 10,
            purge: format!("purge {number}").into_bytes().into(),
        }
    }

    fn path(folder: &tempfile::TempDir) -> std::path::PathBuf {
        folder.path().join("purges.log")
    }

    /// A start with what is there, as a node makes it.
    fn start(folder: &tempfile::TempDir) -> PurgeLog {
        let path = path(folder);
        let mut log = match PurgeLog::read(&path).expect("readable") {
            Some(content) => PurgeLog::after(content, 10),
            None => PurgeLog::new(10),
        };
        log.write_anew(&path).expect("written");
        log
    }

    #[test]
    fn purges_are_there_after_a_restart_under_higher_numbers() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = start(&folder);
        let first = log.content.base;
        log.add(vec![purge(first + 1), purge(first + 2)], &path(&folder))
            .expect("written");
        let log = start(&folder);
        assert_eq!(log.content.purges, [purge(first + 1), purge(first + 2)]);
        assert!(log.content.base > first + 2);
    }

    #[test]
    fn what_is_forgotten_raises_the_floor() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = start(&folder);
        for number in 1..=11 {
            log.add(vec![purge(number)], &path(&folder))
                .expect("written");
        }
        let log = start(&folder);
        assert_eq!(log.content.floor, 6);
        assert_eq!(log.content.purges.len(), 5);
    }

    #[test]
    fn a_torn_end_is_cut_and_damage_is_noticed() {
        let mut content = Content::default();
        content.begin();
        content.add(purge(1), 10);
        let whole = content.to_bytes();
        content.add(purge(2), 10);
        let longer = content.to_bytes();
        for cut in whole.len()..longer.len() {
            let parsed = Content::parse(&longer[..cut]).expect("a torn end");
            assert_eq!(parsed.purges, [purge(1)]);
        }
        for place in 0..whole.len() {
            let mut damaged = longer.clone();
            damaged[place] ^= 0x41;
            assert_eq!(Content::parse(&damaged), Err(Damaged), "{place}");
        }
        assert_eq!(Content::parse(b""), Err(Damaged));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Content::parse(&bytes);
        }
    }
}
