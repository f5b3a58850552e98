//! The sources of a function: whether they have changed since they were last
//! built. Hints of the system say when to look; what is looked at are the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long files must be quiet before they are built: a save is several events.
const QUIET: Duration = Duration::from_millis(30);
/// How often files are looked at without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long is waited after a hint at nothing: who writes all the time is not looked at all the time.
const REST: Duration = Duration::from_millis(20);
/// Files that are looked at; a folder with more is none of a function.
const FILES_MAX: usize = 20_000;
/// Folders beside the function's own whose sources are looked at.
const FOLDERS_MAX: usize = 64;
/// What no build of a function reads: made by builds, or read by others.
const LEFT_OUT: [&str; 5] = [
    "target",
    "node_modules",
    "__pycache__",
    "scenarios",
    "verge.toml",
];

/// What the files look like: the length and the time of each.
type Look = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// Watches the sources below a function's folder, and below those of the packages that it is built
/// from.
pub(super) struct Sources {
    folders: Vec<PathBuf>,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    /// Files and folders that this program writes itself; some are made later.
    outputs: Vec<PathBuf>,
    seen: Look,
}

impl Sources {
    /// Looks at the files once. Standard output and error, and what is at `outputs`, are none:
    /// each line of this program's own would be a change.
    pub(super) fn new(folder: &Path, outputs: Vec<PathBuf>) -> Self {
        let standard = ["/proc/self/fd/1", "/proc/self/fd/2"].map(PathBuf::from);
        let whole = folder.canonicalize();
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if is_hint(&event) {
                told.notify_one();
            }
        });
        let mut sources = Self {
            // Whole, as those that cargo tells of.
            folders: vec![whole.unwrap_or_else(|_| folder.to_owned())],
            changed,
            // Without one the files are looked at again and again.
            watcher: watcher.ok(),
            watched: BTreeSet::new(),
            outputs: outputs.into_iter().chain(standard).collect(),
            seen: Look::new(),
        };
        sources.seen = sources.look();
        sources
    }

    /// Watches these folders too. What they hold now counts as built.
    pub(super) fn add(&mut self, folders: impl IntoIterator<Item = PathBuf>) {
        for folder in folders {
            let mut known = self.folders.iter();
            if known.any(|known| folder.starts_with(known)) || self.folders.len() >= FOLDERS_MAX {
                continue;
            }
            let mut look = Look::new();
            self.look_below(&folder, &mut look);
            self.seen.append(&mut look);
            self.folders.push(folder);
        }
    }

    /// Waits until files have changed since the last call of [`Self::take`], and have been quiet
    /// for a moment. Can be dropped and called again.
    pub(super) async fn changed(&mut self) {
        let mut was_told = false;
        while self.look() == self.seen {
            if was_told {
                sleep(REST).await;
            }
            // No hint is as good as one.
            let told = timeout(LOOK_EVERY, self.changed.notified()).await;
            was_told = told.is_ok();
        }
        let mut last = self.look();
        loop {
            sleep(QUIET).await;
            let now = self.look();
            if now == last {
                return;
            }
            last = now;
        }
    }

    /// The files as they are now are those that are built.
    pub(super) fn take(&mut self) {
        self.seen = self.look();
    }

    fn look(&mut self) -> Look {
        let mut look = Look::new();
        for folder in self.folders.clone() {
            self.look_below(&folder, &mut look);
        }
        look
    }

    fn look_below(&mut self, folder: &Path, look: &mut Look) {
        let outputs = self.outputs.iter();
        let outputs = outputs.filter_map(|path| std::fs::metadata(path).ok());
        let outputs: Vec<(u64, u64)> = outputs.map(|facts| file_id(&facts)).collect();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            self.follow(&folder);
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if is_left_out(&name.to_string_lossy()) || look.len() >= FILES_MAX {
                    continue;
                }
                match entry.metadata() {
                    Ok(facts) if outputs.contains(&file_id(&facts)) => {}
                    Ok(facts) if facts.is_dir() => folders.push(entry.path()),
                    Ok(facts) => {
                        look.insert(entry.path(), (facts.len(), facts.modified().ok()));
                    }
                    // Gone in between.
                    Err(_) => {}
                }
            }
        }
    }

    fn follow(&mut self, folder: &Path) {
        if let Some(watcher) = &mut self.watcher
            && self.watched.insert(folder.to_owned())
        {
            // What cannot be watched is looked at all the same.
            let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
        }
    }
}

fn file_id(facts: &Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

/// Whether files may have changed: looking at them is told of, too.
fn is_hint(event: &notify::Result<Event>) -> bool {
    let Ok(event) = event else { return true };
    let is_source = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        !is_left_out(&name.to_string_lossy())
    };
    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(is_source))
}

fn is_left_out(name: &str) -> bool {
    let is_hidden = name.starts_with('.') && name != ".cargo";
    is_hidden || name.ends_with(".md") || name.ends_with('~') || LEFT_OUT.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_make_and_others_read_is_left_out() {
        for name in [
            "target",
            ".git",
            ".main.rs.swp",
            "README.md",
            "verge.toml",
            "lib.rs~",
        ] {
            assert!(is_left_out(name), "{name}");
        }
        for name in ["src", "lib.rs", "Cargo.toml", ".cargo", "app.py"] {
            assert!(!is_left_out(name), "{name}");
        }
    }

    #[tokio::test]
    async fn a_saved_file_in_a_new_folder_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = Sources::new(folder.path(), Vec::new());
        let below = folder.path().join("src/deep");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join("lib.rs"), "1").unwrap();
        sources.changed().await;
        sources.take();
        std::fs::write(below.join("lib.rs"), "22").unwrap();
        sources.changed().await;
        sources.take();
        let look = sources.look();
        assert_eq!(look, sources.seen);
    }
    #[tokio::test]
    async fn what_the_program_writes_itself_is_no_source() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lib.rs"), "1").unwrap();
        let (log, store) = (folder.path().join("dev.log"), folder.path().join("store"));
        std::fs::write(&log, "").unwrap();
        let mut sources = Sources::new(folder.path(), vec![log.clone(), store.clone()]);
        std::fs::write(&log, "a line").unwrap();
        std::fs::create_dir(&store).unwrap();
        std::fs::write(store.join("entry"), "content").unwrap();
        let changed = timeout(Duration::from_millis(200), sources.changed()).await;
        assert!(changed.is_err(), "{:?}", sources.look());
        std::fs::write(folder.path().join("lib.rs"), "22").unwrap();
        sources.changed().await;
    }

    #[tokio::test]
    async fn looking_at_files_is_no_hint_to_look_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), "1").unwrap();
        let mut sources = Sources::new(folder.path(), Vec::new());
        for _ in 0..5 {
            sources.look();
            std::fs::read(folder.path().join("src/lib.rs")).unwrap();
        }
        let hint = timeout(Duration::from_millis(200), sources.changed.notified()).await;
        assert!(hint.is_err(), "reading is told of as a change");
        std::fs::write(folder.path().join("src/lib.rs"), "22").unwrap();
        sources.changed.notified().await;
    }

    #[tokio::test]
    async fn a_saved_file_of_another_package_is_a_change() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let code = other.path().join("lib.rs");
        std::fs::write(&code, "1").unwrap();
        let mut sources = Sources::new(folder.path(), Vec::new());
        let below = folder.path().canonicalize().unwrap().join("below");
        sources.add([other.path().to_owned(), below]);
        assert_eq!(sources.folders.len(), 2, "what is below is watched already");
        assert_eq!(sources.look(), sources.seen);
        std::fs::write(&code, "22").unwrap();
        sources.changed().await;
    }
}
