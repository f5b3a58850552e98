//! The sources of a function: whether they have changed since they were last
//! built. Hints of the system say when to look; what is looked at are the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long files must be quiet before they are built: a save is several events.
const QUIET: Duration = Duration::from_millis(30);
/// How often files are looked at without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Files that are looked at; a folder with more is none of a function.
const FILES_MAX: usize = 20_000;
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

/// Watches the sources below a folder.
pub(super) struct Sources {
    folder: PathBuf,
    changed: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    seen: Look,
}

impl Sources {
    /// Looks at the files once.
    pub(super) fn new(folder: &Path) -> Self {
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |_event: notify::Result<notify::Event>| {
            told.notify_one();
        });
        let mut sources = Self {
            folder: folder.to_owned(),
            changed,
            // Without one the files are looked at again and again.
            watcher: watcher.ok(),
            watched: BTreeSet::new(),
            seen: Look::new(),
        };
        sources.seen = sources.look();
        sources
    }

    /// Waits until files have changed since the last call of [`Self::take`], and have been quiet
    /// for a moment. Can be dropped and called again.
    pub(super) async fn changed(&mut self) {
        while self.look() == self.seen {
            // No hint is as good as one.
            let _ = timeout(LOOK_EVERY, self.changed.notified()).await;
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
        let mut folders = vec![self.folder.clone()];
        while let Some(folder) = folders.pop() {
            self.follow(&folder);
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if is_left_out(&name.to_string_lossy()) || look.len() >= FILES_MAX {
                    continue;
                }
                match entry.metadata() {
                    Ok(facts) if facts.is_dir() => folders.push(entry.path()),
                    Ok(facts) => {
                        look.insert(entry.path(), (facts.len(), facts.modified().ok()));
                    }
                    // Gone in between.
                    Err(_) => {}
                }
            }
        }
        look
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
        let mut sources = Sources::new(folder.path());
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
}
