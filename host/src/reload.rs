//! From a changed file to a new generation, or to a report of why not.
//!
//! A reload is asked for by the file watcher, by SIGHUP or through the admin
//! API. One runs at a time, on a thread of its own; requests go on with the old
//! generation until the new one is complete. On any failure nothing changes.

mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use verge_config::{Config, Problem};

use crate::admin::AdminToken;
use crate::deploy::Preparing;
use crate::generation::Generation;
use crate::node::{NodeState, Overlay, admin_token};

pub use watch::watch;

/// How often a reload is built beside deploys that come in between; the next time they wait for it,
/// and everything that it needs is compiled.
const TRIES: u32 = 3;

/// What asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadCause {
    /// A watched file was saved.
    File,
    /// SIGHUP.
    Signal,
    /// The admin API.
    Admin,
}

/// How one reload ended.
#[derive(Clone, Debug)]
pub struct ReloadReport {
    /// What asked for it.
    pub cause: ReloadCause,
    /// When it ended.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The number of the generation that serves now.
    pub generation: u64,
    /// What was wrong with the new one; empty when it was swapped in.
    pub problems: Vec<Problem>,
}

impl ReloadReport {
    /// Whether the new generation serves.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The state of reloading: one at a time, and what the last one came to.
pub struct Reloads {
    /// Held while a generation is put in place. Nothing that takes long is done meanwhile: a
    /// rollback may wait for it.
    pub(crate) running: Mutex<()>,
    /// Held while a reload runs.
    reloading: Mutex<()>,
    last: Mutex<Option<ReloadReport>>,
    files: Mutex<Files>,
    overlay: Option<Overlay>,
}

impl Reloads {
    /// No reload yet. Call it before the files of `config` are read. `overlay` changes each
    /// configuration that is read.
    #[must_use]
    pub fn new(config: &Config, overlay: Option<Overlay>) -> Self {
        let mut files = Files::default();
        files.look_at(config.dependencies());
        Self {
            running: Mutex::default(),
            reloading: Mutex::default(),
            last: Mutex::default(),
            files: Mutex::new(files),
            overlay,
        }
    }

    /// What the last reload came to; `None` before the first.
    #[must_use]
    pub fn last(&self) -> Option<ReloadReport> {
        self.last.lock().clone()
    }

    /// The folders of all files of the configuration that was tried last.
    fn folders(&self) -> Vec<PathBuf> {
        let files = self.files.lock();
        let folders = files.0.keys().map(|file| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        });
        folders.collect()
    }

    /// What the files look like now.
    fn look(&self) -> Files {
        let files = self.files.lock();
        let mut now = Files::default();
        now.look_at(files.0.keys().map(PathBuf::as_path));
        now
    }

    /// Whether a file has changed since it was last read, or tried to be.
    fn is_outdated(&self) -> bool {
        let now = self.look();
        now != *self.files.lock()
    }
}

/// Files of a configuration, and what each looked like before it was read: a
/// file that is saved while a reload reads it is read again.
#[derive(Clone, Default, PartialEq, Eq)]
struct Files(BTreeMap<PathBuf, Option<Facts>>);

impl Files {
    fn look_at<'a>(&mut self, files: impl IntoIterator<Item = &'a Path>) {
        for file in files {
            self.0.insert(file.to_owned(), Facts::of(file));
        }
    }

    fn look_again(&mut self) {
        for (file, facts) in &mut self.0 {
            *facts = Facts::of(file);
        }
    }
}

/// What a file looks like from outside: changes when it is saved.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Facts {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Facts {
    /// `None` if there is no such file.
    fn of(file: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::metadata(file).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

/// Reads the configuration again, builds a generation from it and swaps it in.
/// Blocks for as long as that takes.
pub fn reload(state: &NodeState, cause: ReloadCause) -> ReloadReport {
    let _one_at_a_time = state.reloads.reloading.lock();
    let begun = state.clock.now();
    let problems = match renew(state) {
        Ok(number) => {
            state.telemetry.metrics().record_reload(number);
            Vec::new()
        }
        Err(problems) => {
            state.telemetry.metrics().record_failed_reload();
            problems
        }
    };
    let report = ReloadReport {
        cause,
        at: state.clock.wall(),
        took: state.clock.now().saturating_duration_since(begun),
        generation: state.generation.load().number,
        problems,
    };
    log(&report);
    *state.reloads.last.lock() = Some(report.clone());
    report
}

/// Puts a generation of what the files say now in place; gives its number. Nothing waits for it
/// while it is built, and so a deploy may come in between: then it is built once more.
fn renew(state: &NodeState) -> Result<u64, Vec<Problem>> {
    let versions = &state.foundation.versions;
    let preparing = versions.prepare();
    let read = Read::now(state)?;
    for _ in 0..TRIES {
        let current = state.generation.load_full();
        let next = read.build(state, &current)?;
        let one_at_a_time = state.reloads.running.lock();
        if Arc::ptr_eq(&current, &state.generation.load_full()) {
            return Ok(read.put(state, next, preparing));
        }
        drop(one_at_a_time);
        versions.hold(&next);
    }
    let _one_at_a_time = state.reloads.running.lock();
    let next = read.build(state, &state.generation.load_full())?;
    Ok(read.put(state, next, preparing))
}

/// The configuration as its files say it now.
struct Read {
    config: Arc<Config>,
    token: Result<Option<AdminToken>, Problem>,
}

impl Read {
    fn now(state: &NodeState) -> Result<Self, Vec<Problem>> {
        let current = state.generation.load_full();
        let file = current.config.file.as_path();
        let mut files = Files::default();
        files.look_at([file]);
        // A configuration that cannot be read has no files: those known before stay watched, and
        // are tried again when one of them changes, not at once.
        state.reloads.files.lock().look_again();
        let mut config = Config::read(file).map_err(|errors| errors.problems().to_vec())?;
        if let Some(overlay) = &state.reloads.overlay {
            overlay(&mut config);
        }
        files.look_at(
            config
                .dependencies()
                .into_iter()
                .filter(|other| *other != file),
        );
        *state.reloads.files.lock() = files;
        Ok(Self {
            token: admin_token(&config),
            config: Arc::new(config),
        })
    }

    fn build(&self, state: &NodeState, current: &Generation) -> Result<Generation, Vec<Problem>> {
        let mut problems = fixed_changes(&current.config, &self.config);
        problems.extend(self.token.as_ref().err().cloned());
        let config = Arc::clone(&self.config);
        let next = Generation::build(config, &state.foundation, Some(current))
            .map_err(|more| problems.extend(more));
        match next {
            Ok(next) if problems.is_empty() => Ok(next),
            _ => Err(problems),
        }
    }

    fn put(self, state: &NodeState, next: Generation, preparing: Preparing<'_>) -> u64 {
        let number = next.number;
        if let Ok(token) = self.token {
            state.admin_auth.set_token(token);
        }
        state.swap(next);
        let versions = &state.foundation.versions;
        versions.settle(&state.generation.load_full(), Some(preparing));
        number
    }
}

/// Keys that are read once, when the node starts.
fn fixed_changes(old: &Config, new: &Config) -> Vec<Problem> {
    let changed = [
        ("node", old.node != new.node),
        ("listen.http", old.listen.http != new.listen.http),
        ("listen.https", old.listen.https != new.listen.https),
        ("listen.admin", old.listen.admin != new.listen.admin),
        ("runtime", old.runtime != new.runtime),
        ("log", old.log != new.log),
        ("cache.memory", old.cache.memory != new.cache.memory),
        (
            "cache.max_object",
            old.cache.max_object != new.cache.max_object,
        ),
        (
            "cache.fill_window",
            old.cache.fill_window != new.cache.fill_window,
        ),
        (
            "cache.uncollapsible_for",
            old.cache.uncollapsible_for != new.cache.uncollapsible_for,
        ),
        (
            "cache.purge_records",
            old.cache_limits.purge_records != new.cache_limits.purge_records,
        ),
        (
            "cache.purge_skew",
            old.cache_limits.purge_skew != new.cache_limits.purge_skew,
        ),
        (
            "cache.refusals",
            old.cache_limits.refusals != new.cache_limits.refusals,
        ),
        (
            "cache.pieces",
            old.cache_limits.pieces != new.cache_limits.pieces,
        ),
        ("cache.disk", old.disk != new.disk),
        ("deploy.folder", old.deploy.folder != new.deploy.folder),
    ];
    changed
        .into_iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| {
            new.problem(
                key,
                "cannot change while the node runs",
                "expected the value that the node was started with, or a restart",
            )
        })
        .collect()
}

fn log(report: &ReloadReport) {
    let took_ms = report.took.as_millis();
    if report.is_success() {
        tracing::info!(generation = report.generation, took_ms, "reloaded");
        return;
    }
    tracing::error!(
        generation = report.generation,
        problems = report.problems.len(),
        "reload refused; the generation before it serves on"
    );
    for problem in &report.problems {
        tracing::error!("{problem}");
    }
}
