//! The folder of a disk tier: its lock, its segments, its purge log as files.
//!
//! What is in the files is not looked at here.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Bytes that a trial writes.
const PROBE_BYTES: usize = 4096;

/// A folder that this process alone uses, as long as this lives.
pub(super) struct Folder {
    root: PathBuf,
    /// Held for the lock that is on it.
    lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug)]
pub(super) enum FolderError {
    /// Another process uses it.
    InUse,
    /// The file system says no.
    Io(io::Error),
}

impl From<io::Error> for FolderError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Folder {
    /// Makes the folder if need be, locks it, and writes to it once.
    pub(super) fn open(root: &Path) -> Result<Self, FolderError> {
        fs::create_dir_all(root.join("segments"))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let folder = Self {
            root: root.to_owned(),
            lock,
        };
        folder.probe()?;
        Ok(folder)
    }

    /// Writes a little, and takes it away again.
    fn probe(&self) -> io::Result<()> {
        let path = self.root.join("probe");
        let mut file = File::create(&path)?;
        file.write_all(&[0; PROBE_BYTES])?;
        file.sync_data()?;
        fs::remove_file(&path)
    }

    fn segment_path(&self, id: u64) -> PathBuf {
        segments(&self.root).join(format!("{id:016x}.seg"))
    }

    /// A new segment, to be written and read.
    pub(super) fn create_segment(&self, id: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create_new(true);
        options.open(self.segment_path(id))
    }

    /// A segment that there is, to be read and cut.
    pub(super) fn open_segment(&self, id: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).open(self.segment_path(id))
    }

    /// Removes a segment; readers that have it open go on.
    pub(super) fn remove_segment(&self, id: u64) -> io::Result<()> {
        fs::remove_file(self.segment_path(id))
    }

    /// All segments, the one written first first.
    pub(super) fn list(&self) -> io::Result<Vec<u64>> {
        let mut ids: Vec<u64> = fs::read_dir(segments(&self.root))?
            .filter_map(|entry| segment_id(&entry.ok()?.path()))
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The purge log.
    pub(super) fn purge_log(&self) -> PathBuf {
        self.root.join("purges.log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that was forked just now has it open, too, until
        // it runs its own program, and the lock stands for as long.
        let _ = self.lock.unlock();
    }
}

fn segments(root: &Path) -> PathBuf {
    root.join("segments")
}

fn segment_id(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".seg")?;
    u64::from_str_radix(name, 16).ok()
}

/// Removes all segments of a folder that is not in use, as far as that goes; says whether
/// none is left.
pub(super) fn remove_all(root: &Path) -> bool {
    let entries = match fs::read_dir(segments(root)) {
        Ok(entries) => entries,
        Err(error) => return error.kind() == io::ErrorKind::NotFound,
    };
    entries.fold(true, |is_empty, entry| {
        let is_removed = entry.is_ok_and(|entry| fs::remove_file(entry.path()).is_ok());
        is_empty && is_removed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_is_free_once_it_is_let_go_whoever_else_has_its_lock_open() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(root.path()).expect("it is free");
        // What a process has that was forked and has not run its program yet.
        let inherited = folder.lock.try_clone().expect("one more descriptor");
        assert!(matches!(Folder::open(root.path()), Err(FolderError::InUse)));
        drop(folder);
        assert!(Folder::open(root.path()).is_ok());
        drop(inherited);
    }
}
