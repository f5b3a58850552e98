//! Compiled code on disk, so that a start does not compile again.
//!
//! Code is machine code: loading a wrong byte would be running it. Hence an
//! own directory that nobody else may write to, a name that binds component
//! and engine, and a checksum over that name and what is loaded: code under a
//! name that is not its own is ignored like any other that does not fit, and
//! compiled anew. (wasmtime's own cache has no checksum.)

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::Digest;

const MAGIC: &[u8; 8] = b"VRGCODE2";
const CHECKSUM: usize = 32;
/// Files that are kept; the oldest go.
const FILES: usize = 256;
/// The largest file that is read.
const FILE_BYTES: u64 = 512 << 20;
const SUFFIX: &str = "code";
const INCOMPLETE: &str = "new";

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct CodeCache {
    directory: PathBuf,
    /// What besides the component decides about the code: wasmtime's version, settings, CPU.
    engine: String,
}

/// Numbers the files that this process writes: each has a name of its own while it is
/// incomplete, whichever cache writes it.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

impl CodeCache {
    /// Opens, or makes, the directory.
    ///
    /// # Errors
    /// When it cannot be made, belongs to someone else, or others may write to it.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let found = fs::metadata(directory)?;
        // Our own user, as the kernel says it: the owner of our own entry in /proc.
        if found.uid() != fs::metadata("/proc/self")?.uid() {
            return Err(io::Error::other("it belongs to another user"));
        }
        if found.mode() & 0o022 != 0 {
            return Err(io::Error::other(
                "others may write to it (expected mode 700)",
            ));
        }
        Ok(Self {
            directory: directory.to_owned(),
            engine: engine_name(engine),
        })
    }

    /// The component, when its code is stored and sound.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        let code = match read_verified(&path, &self.name(digest)) {
            Ok(code) => code,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code is not usable");
                return None;
            }
        };
        match deserialize(engine, &code) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "compiled code does not fit");
                None
            }
        }
    }

    /// Stores a component's code. A failure costs the next start its time, nothing else.
    pub(crate) fn store(&self, digest: Digest, component: &Component) {
        let path = self.path(digest);
        let stored = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|code| self.write(&self.name(digest), &code));
        if let Err(error) = stored {
            tracing::warn!(directory = %self.directory.display(), %error, "compiled code is not stored");
        }
        if let Err(error) = self.prune(&path) {
            tracing::warn!(directory = %self.directory.display(), %error, "old code stays");
        }
    }

    fn name(&self, digest: Digest) -> String {
        format!("{digest}-{}.{SUFFIX}", self.engine)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(self.name(digest))
    }

    fn write(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let new = self.directory.join(incomplete_name());
        // Never a file that is there: it is someone else's, who may be writing to it.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        let result = (|| {
            file.write_all(MAGIC)?;
            file.write_all(&checksum(name, code))?;
            file.write_all(code)?;
            // Not synced: what a crash leaves behind fails its checksum.
            fs::rename(&new, self.directory.join(name))
        })();
        if result.is_err() {
            // The error that is reported is the first one.
            let _ = fs::remove_file(&new);
        }
        result
    }

    /// Removes the oldest files above the limit, incomplete ones of a crash included, but not the
    /// one that was just written.
    fn prune(&self, newest: &Path) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let is_ours = path
                .extension()
                .is_some_and(|suffix| suffix == SUFFIX || suffix == INCOMPLETE);
            if path != newest && is_ours {
                // One that is gone meanwhile was renamed or removed by another writer.
                if let Ok(found) = fs::metadata(&path) {
                    files.push((found.modified()?, path));
                }
            }
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(FILES);
        for (_, path) in files.iter().take(surplus) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A name that no other writer has, in this process or, on a directory that containers share, in
/// another one of the same number.
fn incomplete_name() -> String {
    let serial = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    format!(
        "{process}-{serial}-{:016x}.{INCOMPLETE}",
        verge_base::Random::system().next_u64()
    )
}

/// Binds code to the name under which it is stored.
fn checksum(name: &str, code: &[u8]) -> [u8; CHECKSUM] {
    Sha256::new()
        .chain_update((name.len() as u64).to_le_bytes())
        .chain_update(name)
        .chain_update(code)
        .finalize()
        .into()
}

fn read_verified(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > FILE_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    let mut head = [0; MAGIC.len() + CHECKSUM];
    file.read_exact(&mut head)?;
    let (magic, expected) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(io::Error::other("it is of another format"));
    }
    let mut code = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(FILE_BYTES).read_to_end(&mut code)?;
    if checksum(name, &code) != expected {
        return Err(io::Error::other("its checksum is wrong"));
    }
    Ok(code)
}

/// Loads code that [`read_verified`] has read.
#[expect(
    unsafe_code,
    reason = "wasmtime cannot tell code that it wrote from other bytes; the caller does"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `code` must be what `Component::serialize` returned, unchanged. It was read from a
    // directory that `CodeCache::open` found to be ours and closed to other writers, in which
    // `CodeCache::write` alone makes files of this name, from the result of `serialize`; and the
    // SHA-256 of name and code is the one that was stored with it, so no byte of it changed by
    // accident. That it fits this engine is checked by `deserialize` itself.
    unsafe { Component::deserialize(engine, code) }
}

/// A name for everything about the engine that compiled code depends on.
fn engine_name(engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let name = Digest::from_bytes(hasher.0.finalize().into());
    name.short().to_string()
}

struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Nothing asks for it: the whole digest is taken instead.
        0
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const EMPTY: &str = "(component)";

    fn fixture() -> (tempfile::TempDir, Engine, CodeCache) {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = CodeCache::open(&directory.path().join("code"), &engine).unwrap();
        (directory, engine, cache)
    }

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn only_file(cache: &CodeCache) -> PathBuf {
        let mut files = fs::read_dir(&cache.directory).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let (_directory, engine, cache) = fixture();
        assert!(cache.load(&engine, digest(1)).is_none());
        cache.store(digest(1), &Component::new(&engine, EMPTY).unwrap());
        assert!(cache.load(&engine, digest(1)).is_some());
        assert!(cache.load(&engine, digest(2)).is_none());
    }

    #[test]
    fn a_file_with_any_byte_changed_or_cut_is_not_loaded() {
        let (_directory, engine, cache) = fixture();
        cache.store(digest(1), &Component::new(&engine, EMPTY).unwrap());
        let file = only_file(&cache);
        let sound = fs::read(&file).unwrap();
        for place in [0, 8, 40, sound.len() / 2, sound.len() - 1] {
            let mut broken = sound.clone();
            broken[place] ^= 1;
            fs::write(&file, broken).unwrap();
            assert!(cache.load(&engine, digest(1)).is_none(), "byte {place}");
        }
        for length in [0, 8, 39, 40, sound.len() - 1] {
            fs::write(&file, &sound[..length]).unwrap();
            assert!(cache.load(&engine, digest(1)).is_none(), "{length} bytes");
        }
        fs::write(&file, sound).unwrap();
        assert!(cache.load(&engine, digest(1)).is_some());
    }

    #[test]
    fn code_under_the_name_of_another_component_is_not_loaded() {
        let (_directory, engine, cache) = fixture();
        cache.store(digest(1), &Component::new(&engine, EMPTY).unwrap());
        fs::rename(only_file(&cache), cache.path(digest(2))).unwrap();
        assert!(cache.load(&engine, digest(2)).is_none());
    }

    #[test]
    fn caches_of_one_directory_do_not_write_to_each_others_files() {
        let (_directory, engine, cache) = fixture();
        let other = CodeCache::open(&cache.directory, &engine).unwrap();
        let component = Component::new(&engine, EMPTY).unwrap();
        std::thread::scope(|scope| {
            for (writer, first) in [(&cache, 0), (&other, 100)] {
                let component = &component;
                scope.spawn(move || {
                    for byte in first..first + 50 {
                        writer.store(digest(byte), component);
                    }
                });
            }
        });
        for byte in (0..50).chain(100..150) {
            assert!(cache.load(&engine, digest(byte)).is_some(), "{byte}");
        }
    }

    #[test]
    fn code_of_another_engine_is_not_found() {
        let (_directory, engine, cache) = fixture();
        cache.store(digest(1), &Component::new(&engine, EMPTY).unwrap());
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = Engine::new(&config).unwrap();
        let theirs = CodeCache::open(&cache.directory, &other).unwrap();
        assert!(theirs.load(&other, digest(1)).is_none());
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o770)).unwrap();
        let error = CodeCache::open(directory.path(), &Engine::default()).unwrap_err();
        assert!(error.to_string().contains("mode 700"));
    }

    #[test]
    fn the_oldest_files_go_when_there_are_too_many() {
        let (_directory, engine, cache) = fixture();
        for index in 0..FILES + 5 {
            fs::write(cache.directory.join(format!("{index}.{SUFFIX}")), "").unwrap();
        }
        cache.store(digest(1), &Component::new(&engine, EMPTY).unwrap());
        assert_eq!(fs::read_dir(&cache.directory).unwrap().count(), FILES);
        assert!(cache.load(&engine, digest(1)).is_some());
    }
}
