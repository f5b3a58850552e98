//! Compiled code on disk, so that a start does not compile again.
//!
//! Code is machine code: loading a wrong byte would be running it. Hence an
//! own directory that nobody else may write to, a name that binds component
//! and engine, and a checksum over what is loaded. Whatever does not fit is
//! ignored and compiled anew. (wasmtime's own cache has no checksum.)

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

const MAGIC: &[u8; 8] = b"VRGCODE1";
const CHECKSUM: usize = 32;
/// Files that are kept; the oldest go.
const FILES: usize = 256;
/// The largest file that is read.
const FILE_BYTES: u64 = 512 << 20;
const SUFFIX: &str = "code";

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct CodeCache {
    directory: PathBuf,
    /// What besides the component decides about the code: wasmtime's version, settings, CPU.
    engine: String,
    written: AtomicU64,
}

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
            written: AtomicU64::new(0),
        })
    }

    /// The component, when its code is stored and sound.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        let code = match read_verified(&path) {
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
            .and_then(|code| self.write(&path, &code));
        if let Err(error) = stored {
            tracing::warn!(directory = %self.directory.display(), %error, "compiled code is not stored");
        }
        if let Err(error) = self.prune(&path) {
            tracing::warn!(directory = %self.directory.display(), %error, "old code stays");
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory
            .join(format!("{digest}-{}.{SUFFIX}", self.engine))
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let serial = self.written.fetch_add(1, Ordering::Relaxed);
        let new = self
            .directory
            .join(format!("{}-{serial}.new", std::process::id()));
        let result = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(MAGIC)?;
            file.write_all(&Sha256::digest(code))?;
            file.write_all(code)?;
            // Not synced: what a crash leaves behind fails its checksum.
            fs::rename(&new, path)
        })();
        if result.is_err() {
            // The error that is reported is the first one.
            let _ = fs::remove_file(&new);
        }
        result
    }

    /// Removes the oldest files above the limit, but not the one that was just written.
    fn prune(&self, newest: &Path) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path != newest && path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                files.push((fs::metadata(&path)?.modified()?, path));
            }
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(FILES);
        for (_, path) in files.iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn read_verified(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > FILE_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    let mut head = [0; MAGIC.len() + CHECKSUM];
    file.read_exact(&mut head)?;
    let (magic, checksum) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(io::Error::other("it is of another format"));
    }
    let mut code = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(FILE_BYTES).read_to_end(&mut code)?;
    if Sha256::digest(&code).as_slice() != checksum {
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
    // `CodeCache::write` alone makes files of this name, from the result of `serialize`; and its
    // SHA-256 is the one that was stored with it, so no byte of it changed by accident. That it
    // fits this engine is checked by `deserialize` itself.
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
