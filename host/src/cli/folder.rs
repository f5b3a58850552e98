//! A folder of one's own for as long as a command runs.

use std::io;
use std::path::{Path, PathBuf};

use verge_base::Random;

/// A folder that only this user can read, for secrets and stores; it goes when this is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one among the system's temporary files.
    ///
    /// # Errors
    /// There is no place for it.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let number = Random::system().below(u64::MAX);
        let name = format!("{name}-{}-{number:016x}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in a folder that nobody else can read.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
