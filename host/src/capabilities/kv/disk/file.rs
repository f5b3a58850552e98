//! The file of a store: opened, read and written in transactions, and opened
//! again after it failed. A file that cannot be used is no reason for anything
//! else to fail, nor for a panic.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use redb::backends::FileBackend;
use redb::{Builder, Database, Error, ReadOnlyTable, ReadableDatabase as _, ReadableTable as _};
use verge_base::Clock;
use verge_runtime::capabilities::KvError;

use super::tables::{ENDS, ENTRIES, Totals, Writing};

/// How long a file that failed is left alone before it is opened again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct File {
    path: PathBuf,
    memory: usize,
    clock: Clock,
    state: RwLock<State>,
    /// Whether it is open: known without the lock, which is held during I/O.
    is_open: AtomicBool,
    totals: Mutex<Totals>,
}

enum State {
    Open(Database),
    Failed { since: Instant },
    Closed,
}

impl File {
    /// Opens the file, or makes it, for this process alone.
    pub(super) fn open(path: &Path, memory: usize, clock: Clock) -> Result<Self, String> {
        let (database, totals) = open(path, memory)?;
        Ok(Self {
            path: path.to_owned(),
            memory,
            clock,
            state: RwLock::new(State::Open(database)),
            is_open: AtomicBool::new(true),
            totals: Mutex::new(totals),
        })
    }

    /// The wall time in milliseconds, by which entries end.
    pub(super) fn wall_ms(&self) -> u64 {
        let since = self.clock.wall().duration_since(SystemTime::UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn totals(&self) -> Totals {
        *self.totals.lock()
    }

    pub(super) fn is_usable(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Looks at the entries as they are on the disk.
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&ReadOnlyTable<&'static str, &'static [u8]>) -> Result<T, Error>,
    ) -> Result<T, KvError> {
        self.guarded(|database| {
            let transaction = database.begin_read()?;
            look(&transaction.open_table(ENTRIES)?)
        })
    }

    /// Whether there are entries that have ended.
    pub(super) fn has_ended(&self, now: u64) -> bool {
        let first = self.guarded(|database| {
            let ends = database.begin_read()?.open_table(ENDS)?;
            Ok(ends.first()?.map(|(row, _)| row.value().0))
        });
        matches!(first, Ok(Some(ends)) if ends <= now)
    }

    /// Changes the entries: all of it is on the disk when this returns, or nothing is done.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut Writing<'_>) -> Result<T, Error>,
    ) -> Result<T, KvError> {
        let (done, totals) = self.guarded(|database| {
            let transaction = database.begin_write()?;
            let mut writing = Writing::begin(&transaction)?;
            let done = change(&mut writing)?;
            let totals = writing.end()?;
            transaction.commit()?;
            Ok((done, totals))
        })?;
        *self.totals.lock() = totals;
        Ok(done)
    }

    /// Opens a file that has failed again, once it was left alone for long enough.
    pub(super) fn reopen_if_due(&self) {
        let State::Failed { since } = *self.state.read() else {
            return;
        };
        if self.clock.now().saturating_duration_since(since) < RETRY_AFTER {
            return;
        }
        // Outside of the lock: a file that was not closed is repaired. Only the thread that writes
        // comes here.
        let opened = open(&self.path, self.memory);
        let mut state = self.state.write();
        if matches!(*state, State::Closed) {
            drop(state);
            put_away(opened);
            return;
        }
        match opened {
            Ok((database, totals)) => {
                *self.totals.lock() = totals;
                *state = State::Open(database);
                self.is_open.store(true, Ordering::Relaxed);
                tracing::info!(file = %self.path.display(), "a key-value store is used again");
            }
            Err(error) => {
                tracing::debug!(file = %self.path.display(), "{error}");
                let since = self.clock.now();
                *state = State::Failed { since };
            }
        }
    }

    /// Closes the file for good.
    pub(super) fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        let open = std::mem::replace(&mut *self.state.write(), State::Closed);
        put_away(open);
    }

    /// Keeps everybody from the file, as a disk does that hangs.
    #[cfg(test)]
    pub(super) fn hang(&self) -> impl Sized + '_ {
        self.state.write()
    }

    /// Runs `work` with the database; what goes wrong there makes the file one that has failed.
    fn guarded<T>(&self, work: impl FnOnce(&Database) -> Result<T, Error>) -> Result<T, KvError> {
        let state = self.state.read();
        let State::Open(database) = &*state else {
            return Err(KvError::Unavailable);
        };
        match catch_unwind(AssertUnwindSafe(|| work(database))) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(self.fail(state, &error.to_string(), told(&error))),
            Err(_) => Err(self.fail(state, "its library panicked", KvError::Unavailable)),
        }
    }

    fn fail(&self, state: RwLockReadGuard<'_, State>, what: &str, told: KvError) -> KvError {
        drop(state);
        self.is_open.store(false, Ordering::Relaxed);
        let mut state = self.state.write();
        if matches!(*state, State::Open(_)) {
            tracing::warn!(file = %self.path.display(), "a key-value store failed: {what}");
            let since = self.clock.now();
            let failed = std::mem::replace(&mut *state, State::Failed { since });
            drop(state);
            put_away(failed);
        }
        told
    }
}

/// Drops what holds a database. That writes what is left to be written, and the library may panic
/// over a file that has failed: here this ends nothing.
fn put_away<T>(held: T) {
    if catch_unwind(AssertUnwindSafe(move || drop(held))).is_err() {
        tracing::warn!("the library of key-value stores panicked while it closed a file");
    }
}

/// What a function is told of an error.
fn told(error: &Error) -> KvError {
    use std::io::ErrorKind;
    match error {
        Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            ) =>
        {
            KvError::Full
        }
        _ => KvError::Unavailable,
    }
}

fn open(path: &Path, memory: usize) -> Result<(Database, Totals), String> {
    let shown = path.display();
    let opening = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::from)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // What functions keep is nobody else's.
            .mode(0o600)
            .open(path)
            .map_err(Error::from)?;
        let backend = FileBackend::new(file)?;
        #[cfg(test)]
        let backend = super::tests::synced::Synced::over(backend, path);
        let database = Builder::new()
            .set_cache_size(memory)
            .create_with_backend(backend)?;
        let transaction = database.begin_write()?;
        let mut writing = Writing::begin(&transaction)?;
        let is_ours = writing.claim()?;
        let totals = writing.end()?;
        transaction.commit()?;
        Ok::<_, Error>(is_ours.then_some((database, totals)))
    };
    match catch_unwind(AssertUnwindSafe(opening)) {
        Ok(Ok(Some(opened))) => Ok(opened),
        Ok(Ok(None)) => Err(format!("`{shown}` was written by another version")),
        Ok(Err(Error::DatabaseAlreadyOpen)) => {
            Err(format!("`{shown}` is in use by another process"))
        }
        Ok(Err(error)) => Err(format!("`{shown}` cannot be opened: {error}")),
        Err(_) => Err(format!("`{shown}` is damaged")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsInTheEnd;

    impl Drop for PanicsInTheEnd {
        fn drop(&mut self) {
            panic!("while it is dropped");
        }
    }

    #[test]
    fn a_database_that_panics_while_it_is_closed_ends_nothing() {
        put_away(PanicsInTheEnd);
    }
}
