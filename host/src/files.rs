//! Reading files whose size is bounded.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Why a file's content is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileError {
    /// There is no such file, or it is none that can be taken.
    Unfit(String),
    /// It cannot be read now; it may be later.
    Unreadable(String),
}

impl From<FileError> for String {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Unfit(what) | FileError::Unreadable(what) => what,
        }
    }
}

/// The content of a file of at most `bytes_max` bytes.
///
/// # Errors
/// A clause that says what is wrong with the file.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    read_kept(path, bytes_max).map_err(String::from)
}

/// The same for a file that is the node's own: what is gone is told apart from what cannot be read.
///
/// # Errors
/// Which of both, with a clause.
pub(crate) fn read_kept(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileError> {
    let mut content = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(bytes_max + 1).read_to_end(&mut content))
        .map_err(|error| {
            let what = format!("cannot read `{}`: {error}", path.display());
            match error.kind() {
                ErrorKind::NotFound => FileError::Unfit(what),
                _ => FileError::Unreadable(what),
            }
        })?;
    if content.len() as u64 > bytes_max {
        let what = format!("`{}` is larger than {bytes_max} bytes", path.display());
        return Err(FileError::Unfit(what));
    }
    Ok(content)
}
