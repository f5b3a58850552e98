//! Versions on disk: `FOLDER/components/DIGEST.wasm`, and `FOLDER/functions/NAME.json` with what is
//! known of each function's. A file is written beside its place, synced and renamed over it: a
//! crash leaves the old one or the new one.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use verge_runtime::Digest;

use super::state::FunctionState;
use crate::files::{self, FileError};

/// Most bytes of a function's state.
const STATE_BYTES_MAX: u64 = 256 << 10;

/// How the name of a state ends that was put aside.
const ASIDE: &str = "json.unreadable";

/// Most bytes of a component.
pub(crate) const COMPONENT_BYTES_MAX: u64 = 32 << 20;

/// Most versions that a state may list, whatever the configuration keeps.
const VERSIONS_MAX: usize = 64;

/// The folder with versions.
pub(crate) struct Store {
    folder: PathBuf,
    /// Held for as long as the folder is this node's.
    _lock: File,
}

impl Store {
    /// Opens the folder, and makes it if it is missing.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| {
            format!("the folder `{}` cannot be used: {error}", folder.display())
        };
        for part in ["components", "functions"] {
            fs::create_dir_all(folder.join(part)).map_err(failed)?;
        }
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = folder.display();
                return Err(format!("the folder `{folder}` is in use by another node"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    fn state_path(&self, name: &str) -> PathBuf {
        self.folder.join("functions").join(format!("{name}.json"))
    }

    /// Where the component with this digest is, if it is kept.
    pub(crate) fn component_path(&self, digest: &Digest) -> PathBuf {
        self.folder
            .join("components")
            .join(format!("{digest}.wasm"))
    }

    /// What is known of a function's versions; `None` if nothing is.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub(crate) fn state(&self, name: &str) -> Result<Option<FunctionState>, FileError> {
        let path = self.state_path(name);
        let is_there = path.try_exists().map_err(|error| {
            FileError::Unreadable(format!("cannot read `{}`: {error}", path.display()))
        })?;
        if !is_there {
            return Ok(None);
        }
        let bytes = files::read_kept(&path, STATE_BYTES_MAX)?;
        serde_json::from_slice::<FunctionState>(&bytes)
            .map_err(|error| error.to_string())
            .and_then(|state| state.check(VERSIONS_MAX))
            .map(Some)
            .map_err(|what| {
                let path = path.display();
                FileError::Unfit(format!("`{path}` is no state of a function: {what}"))
            })
    }

    /// Keeps what is known of a function's versions.
    ///
    /// # Errors
    /// The file, and why it cannot be written.
    pub(crate) fn keep_state(&self, name: &str, state: &FunctionState) -> Result<(), String> {
        let path = self.state_path(name);
        let bytes = serde_json::to_vec_pretty(state).map_err(|error| error.to_string())?;
        write_whole(&path, &bytes)
    }

    /// Puts a state that is none aside, as `NAME.json.unreadable`: while it is there, no component
    /// is deleted.
    pub(crate) fn set_aside(&self, name: &str) {
        let path = self.state_path(name);
        let aside = path.with_extension(ASIDE);
        match fs::rename(&path, &aside) {
            Ok(()) => {
                let aside = aside.display();
                tracing::warn!("`{aside}` keeps all components until it is repaired or removed");
            }
            Err(error) => tracing::warn!("`{}` cannot be put aside: {error}", path.display()),
        }
    }

    /// The component with this digest.
    ///
    /// # Errors
    /// It is not there, or not what it was.
    pub(crate) fn component(&self, digest: &Digest) -> Result<Vec<u8>, FileError> {
        let path = self.component_path(digest);
        let bytes = files::read_kept(&path, COMPONENT_BYTES_MAX)?;
        if Digest::of(&bytes) != *digest {
            let what = format!("`{}` is not what was kept there", path.display());
            return Err(FileError::Unfit(what));
        }
        Ok(bytes)
    }

    /// Keeps a component.
    ///
    /// # Errors
    /// The file, and why it cannot be written.
    pub(crate) fn keep_component(&self, digest: &Digest, bytes: &[u8]) -> Result<(), String> {
        let path = self.component_path(digest);
        // One that was damaged since is written anew.
        if self.component(digest).is_ok() {
            return Ok(());
        }
        write_whole(&path, bytes)
    }

    /// Deletes components that no state lists, and what writing left behind; states of functions
    /// that are no longer configured count, too. Without one of the states nothing is deleted: all
    /// may be needed.
    pub(crate) fn sweep(&self) {
        let Ok(listed) = self.listed() else { return };
        let Ok(entries) = fs::read_dir(self.folder.join("components")) else {
            return;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str());
            let is_kept = name.is_none_or(|name| {
                let digest = name.strip_suffix(".wasm").and_then(Digest::parse);
                let leftover = name.strip_suffix(".wasm.new").and_then(Digest::parse);
                digest.is_none_or(|digest| listed.contains(&digest)) && leftover.is_none()
            });
            if !is_kept && let Err(error) = fs::remove_file(&path) {
                tracing::warn!("`{}` cannot be deleted: {error}", path.display());
            }
        }
    }

    /// All versions that any state lists.
    ///
    /// # Errors
    /// It is not known.
    fn listed(&self) -> Result<BTreeSet<Digest>, FileError> {
        let unreadable = |error: std::io::Error| FileError::Unreadable(error.to_string());
        let mut listed = BTreeSet::new();
        for entry in fs::read_dir(self.folder.join("functions")).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if name.ends_with(ASIDE) {
                return Err(FileError::Unfit(format!("`{}`", path.display())));
            }
            let Some(function) = name.strip_suffix(".json") else {
                continue;
            };
            let state = self.state(function)?;
            let versions = state.into_iter().flat_map(|state| state.versions);
            listed.extend(versions.map(|version| version.digest));
        }
        Ok(listed)
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write `{}`: {error}", path.display());
    let folder = path
        .parent()
        .ok_or_else(|| failed(ErrorKind::InvalidInput.into()))?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = File::create(&beside).map_err(failed)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path))
        // The name, too, is to outlive a crash.
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|error| {
        // What could not be written whole is of no use.
        let _ = fs::remove_file(&beside);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::super::state::{Source, Version};
    use super::*;

    fn state(component: &[u8]) -> FunctionState {
        FunctionState::begin(Version {
            digest: Digest::of(component),
            deployed: "2026-01-01T00:00:00.000Z".to_owned(),
            source: Source::Configuration,
            signer: None,
            signature: None,
            bytes: component.len() as u64,
            turn: None,
            withdrawn: None,
        })
    }

    #[test]
    fn what_is_kept_is_found_by_the_next_node_and_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deep/versions");
        let store = Store::open(&place).unwrap();
        let error = Store::open(&place).err().unwrap();
        assert!(error.contains("in use by another node"), "{error}");
        let digest = Digest::of(b"one");
        store.keep_component(&digest, b"one").unwrap();
        store.keep_state("f", &state(b"one")).unwrap();
        drop(store);
        let store = Store::open(&place).unwrap();
        assert_eq!(store.component(&digest).unwrap(), b"one");
        assert_eq!(store.state("f").unwrap(), Some(state(b"one")));
        assert_eq!(store.state("g").unwrap(), None);
    }

    #[test]
    fn what_is_damaged_is_told_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of(b"one");
        store.keep_component(&digest, b"one").unwrap();
        fs::write(store.component_path(&digest), b"two").unwrap();
        let error = String::from(store.component(&digest).unwrap_err());
        assert!(error.contains("is not what was kept there"), "{error}");
        store.keep_component(&digest, b"one").unwrap();
        assert_eq!(store.component(&digest).unwrap(), b"one", "it is repaired");
        fs::write(store.state_path("f"), b"{\"format\": 1, ").unwrap();
        let error = String::from(store.state("f").unwrap_err());
        assert!(
            error.contains("f.json` is no state of a function"),
            "{error}"
        );
        store.set_aside("f");
        assert_eq!(store.state("f").unwrap(), None);
        fs::write(store.state_path("g"), vec![b' '; 300 << 10]).unwrap();
        let error = String::from(store.state("g").unwrap_err());
        assert!(error.contains("larger than"), "{error}");
    }

    #[test]
    fn components_that_no_function_lists_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for component in [&b"one"[..], b"two"] {
            store
                .keep_component(&Digest::of(component), component)
                .unwrap();
        }
        store.keep_state("f", &state(b"one")).unwrap();
        store.sweep();
        assert!(store.component(&Digest::of(b"one")).is_ok());
        assert!(store.component(&Digest::of(b"two")).is_err());
        fs::write(store.state_path("g"), b"damaged").unwrap();
        fs::remove_file(store.state_path("f")).unwrap();
        store.sweep();
        assert!(
            store.component(&Digest::of(b"one")).is_ok(),
            "while a state cannot be read, all may be needed"
        );
        store.set_aside("g");
        let leftover = store.component_path(&Digest::of(b"two"));
        let leftover = leftover.with_extension("wasm.new");
        fs::write(&leftover, b"half").unwrap();
        store.sweep();
        assert!(
            store.component(&Digest::of(b"one")).is_ok(),
            "nor while one is put aside"
        );
        fs::remove_file(store.state_path("g").with_extension(ASIDE)).unwrap();
        store.sweep();
        assert!(store.component(&Digest::of(b"one")).is_err());
        assert!(!leftover.exists());
    }
}
