//! A disk that loses what was not synced: beside the file, an image of what a machine would find
//! after its power was cut.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// What the image of a file is called.
const SYNCED: &str = "synced";

/// A file, and its image if one lies beside it.
#[derive(Debug)]
pub(in super::super) struct Synced {
    file: FileBackend,
    image: Option<Mutex<Image>>,
}

/// What is safe, and what is not yet.
#[derive(Debug)]
struct Image {
    file: File,
    waiting: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Length(u64),
    Bytes(u64, Vec<u8>),
}

impl Synced {
    /// Keeps an image of the file at `path` from now on, should an empty one be there.
    pub(in super::super) fn over(file: FileBackend, path: &Path) -> Self {
        let image = OpenOptions::new()
            .write(true)
            .open(path.with_extension(SYNCED));
        let image = image.ok().map(|file| {
            let waiting = Vec::new();
            Mutex::new(Image { file, waiting })
        });
        Self { file, image }
    }

    fn note(&self, change: impl FnOnce() -> Change) {
        if let Some(image) = &self.image {
            image.lock().waiting.push(change());
        }
    }
}

impl Image {
    fn write(&self, changes: Vec<Change>) -> io::Result<()> {
        for change in changes {
            match change {
                Change::Length(length) => self.file.set_len(length)?,
                Change::Bytes(offset, bytes) => self.file.write_all_at(&bytes, offset)?,
            }
        }
        Ok(())
    }
}

impl StorageBackend for Synced {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.note(|| Change::Length(length));
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        // What is written while this runs is safe after the next one.
        let image = self.image.as_ref();
        let waiting = image.map(|image| std::mem::take(&mut image.lock().waiting));
        self.file.sync_data()?;
        match (image, waiting) {
            (Some(image), Some(waiting)) => image.lock().write(waiting),
            _ => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(|| Change::Bytes(offset, data.to_vec()));
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
