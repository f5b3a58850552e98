//! Watches the files of the configuration and reloads when one was saved.
//!
//! Folders are watched rather than files: editors and deploy tools replace a
//! file by renaming another over it. What the system tells is a hint to look,
//! and from time to time the files are looked at without one.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::{ReloadCause, reload};
use crate::node::NodeState;

/// How long files must be quiet before they are read: a save is several events.
const QUIET: Duration = Duration::from_millis(60);

/// How long a reload is put off at most while files keep changing.
const PATIENCE: Duration = Duration::from_millis(400);

/// How often files are looked at without a hint, on a machine that gives hints: some file
/// systems do not, and a folder that was replaced is another one than the one watched.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The same where nothing can be watched, as when no inotify instance is left.
const LOOK_EVERY_UNWATCHED: Duration = Duration::from_millis(500);

/// Watches until the node ends.
pub async fn watch(state: Arc<NodeState>) {
    let changed = Arc::new(Notify::new());
    let told = Arc::clone(&changed);
    let watcher = notify::recommended_watcher(move |_event: notify::Result<notify::Event>| {
        told.notify_one();
    });
    let mut folders = match watcher {
        Ok(watcher) => Some(Folders {
            watcher,
            watched: BTreeSet::new(),
        }),
        Err(error) => {
            tracing::warn!("files are not watched ({error}), but looked at again and again");
            None
        }
    };
    loop {
        if let Some(folders) = &mut folders {
            folders.follow(&state);
        }
        // After the folders are followed: what changed before is seen here, what changes later
        // gives a hint.
        if !state.reloads.is_outdated() {
            let every = folders
                .as_ref()
                .map_or(LOOK_EVERY_UNWATCHED, |_| LOOK_EVERY);
            // No hint is as good as one.
            let _ = timeout(every, changed.notified()).await;
        }
        if !state.reloads.is_outdated() {
            // Something else in these folders: a busy log must not keep this thread busy.
            sleep(QUIET).await;
            continue;
        }
        settle(&state).await;
        let reloaded = Arc::clone(&state);
        // A panic in a reload is the reload's failure, not the watcher's.
        if tokio::task::spawn_blocking(move || reload(&reloaded, ReloadCause::File))
            .await
            .is_err()
        {
            tracing::error!("a reload panicked; the generation before it serves on");
        }
    }
}

/// Waits until the files have been quiet for a while; what else happens in their folders, as a
/// log that is written there, does not matter.
async fn settle(state: &NodeState) {
    let quiet = async {
        let mut seen = state.reloads.look();
        loop {
            sleep(QUIET).await;
            let now = state.reloads.look();
            if now == seen {
                return;
            }
            seen = now;
        }
    };
    // Patience running out is as good as quiet.
    let _ = timeout(PATIENCE, quiet).await;
}

/// The folders of all files of the configuration.
struct Folders {
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    fn follow(&mut self, state: &NodeState) {
        for folder in state.reloads.folders() {
            if self.watched.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                Err(error) => tracing::warn!(
                    "`{}` is not watched ({error}), but looked at again and again",
                    folder.display()
                ),
            }
            // Said once: the folder is looked at anyway.
            self.watched.insert(folder);
        }
    }
}
