//! The folder of a function's recordings: whole files, the oldest of which make room for new ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use verge_config::RecordLimits;
use verge_runtime::record::Recording;

/// Most entries of the folder that are looked at: functions may share one.
const ENTRIES_MAX: usize = 100_000;
/// Characters of a request's id in a name.
const ID_CHARACTERS: usize = 64;

/// Names cannot have it, so no function's files begin as another's.
const SIGN: char = '@';

/// See the file's head.
pub(super) struct Shelf {
    folder: PathBuf,
    function: String,
    kept: usize,
    max_bytes: u64,
}

/// What became of a recording.
pub(super) enum Kept {
    Written(PathBuf),
    /// It is larger than it may be, even after it was cut off.
    TooLarge,
    Failed(String),
}

impl Kept {
    /// The word for metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Written(_) => "written",
            Self::TooLarge => "too-large",
            Self::Failed(_) => "failed",
        }
    }
}

impl Shelf {
    pub(super) fn new(folder: &Path, function: &str, limits: &RecordLimits) -> Self {
        Self {
            folder: folder.to_owned(),
            function: function.to_owned(),
            kept: limits.kept,
            max_bytes: limits.max_bytes,
        }
    }

    /// Writes a recording, once there is room for it.
    pub(super) fn keep(&self, recording: &Recording) -> Kept {
        let json = recording.to_json();
        if json.len() as u64 > self.max_bytes {
            return Kept::TooLarge;
        }
        let id: String = recording
            .request
            .chars()
            .filter(|character| character.is_ascii_alphanumeric() || *character == '-')
            .take(ID_CHARACTERS)
            .collect();
        let name = format!(
            "{}{SIGN}{:015}-{}-{id}.json",
            self.function, recording.ended_at_ms, recording.trigger
        );
        let path = self.folder.join(name);
        let written = self
            .make_room()
            .and_then(|()| write_whole(&path, &json))
            .map_err(|error| format!("`{}`: {error}", path.display()));
        match written {
            Ok(()) => Kept::Written(path),
            Err(why) => Kept::Failed(why),
        }
    }

    /// Removes the oldest files until there is room for one more.
    fn make_room(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.folder)?;
        let begin = format!("{}{SIGN}", self.function);
        let entries = fs::read_dir(&self.folder)?.take(ENTRIES_MAX).flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(&begin)).collect();
        // Names begin with the time.
        names.sort_unstable();
        let surplus = (names.len() + 1).saturating_sub(self.kept);
        for name in names.iter().take(surplus) {
            fs::remove_file(self.folder.join(name))?;
        }
        Ok(())
    }
}

/// Writes a file that only this user can read, under its name only when it is whole.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // It counts among the files, should the node end before it has its name.
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    let write = |mut file: File| file.write_all(bytes);
    let written = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(write)
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // What could not be written whole is of no use.
        let _ = fs::remove_file(&beside);
    }
    written
}
