//! `[kv.NAME]`: where a key-value store keeps its entries, and its bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::kinds::{Choice, Count, FilePath, Size, time};
use crate::section::section;
use crate::table::Table;

/// What keeps the entries of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvBackend {
    /// A file of this node.
    Disk,
    /// The region's Redis.
    Redis,
}

const BACKEND: Choice<KvBackend> = Choice(&[
    ("disk", Ok(KvBackend::Disk)),
    ("redis", Ok(KvBackend::Redis)),
]);

section! {
    /// How large a store and its entries may be, and how long it may take.
    pub struct KvLimits {
        /// Bytes of keys and values, with 64 for each entry, that are kept on disk; the file is
        /// larger. Redis has a limit of its own. 1MiB to 1TiB, default 256MiB.
        pub max_bytes: u64 = 256 << 20, Size(1 << 20..=1 << 40);
        /// Bytes of a key; 16B to 64KiB, default 1KiB.
        pub max_key: usize = 1 << 10, Size(16..=64 << 10);
        /// Bytes of a value; 16B to 64MiB, default 1MiB.
        pub max_value: usize = 1 << 20, Size(16..=64 << 20);
        /// Operations that wait for the disk; more fail at once. 1 to 1000000, default 1024.
        pub queue: usize = 1024, Count(1..=1_000_000);
        /// Bytes of values that wait to be written; more fail at once. 1MiB to 16GiB, default
        /// 32MiB.
        pub queue_bytes: usize = 32 << 20, Size(1 << 20..=16 << 30);
        /// How long an operation on the disk may take. That of Redis is `redis.timeout`. 1ms to
        /// 1m, default 50ms.
        pub timeout: Duration = Duration::from_millis(50), time("1ms", "1m");
        /// Memory for what was read from the disk; 1MiB to 16GiB, default 16MiB.
        pub memory: usize = 16 << 20, Size(1 << 20..=16 << 30);
    }
}

/// `[kv.NAME]`: a store that functions can be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KvStore {
    /// Its name.
    pub name: Arc<str>,
    /// The file of its entries; `None` for one in Redis.
    pub path: Option<PathBuf>,
    /// Its bounds.
    pub limits: KvLimits,
}

impl KvStore {
    /// What keeps its entries.
    #[must_use]
    pub fn backend(&self) -> KvBackend {
        match self.path {
            Some(_) => KvBackend::Disk,
            None => KvBackend::Redis,
        }
    }

    pub(crate) fn read(name: &Arc<str>, table: &Table<'_, '_>, has_redis: bool) -> Self {
        let backend = table.or("backend", &BACKEND, KvBackend::Disk);
        let path = table.maybe("path", FilePath);
        match (backend, &path) {
            (KvBackend::Disk, None) if table.item("path").is_none() => {
                table.missing(
                    "path",
                    "a path for the store's file, or backend = \"redis\"",
                );
            }
            (KvBackend::Redis, Some(_)) => {
                let what = "`path` has no meaning with backend = \"redis\"";
                table.problem_at("path", what, "expected one of them");
            }
            (KvBackend::Redis, None) if !has_redis => {
                let expected = "expected a section [redis] with `url` or `nodes`";
                table.problem_at("backend", "there is no [redis]", expected);
            }
            _ => {}
        }
        Self {
            name: Arc::clone(name),
            path: path.map(|path| table.resolve(path)),
            limits: KvLimits::read(table),
        }
    }
}

/// Reports stores that have one file.
pub(crate) fn check_paths(stores: &[(Arc<str>, KvStore)], tables: &[(String, Table<'_, '_>)]) {
    for (place, (name, store)) in stores.iter().enumerate() {
        let Some(path) = &store.path else { continue };
        let before = stores.iter().take(place);
        let mut before = before.filter(|(_, other)| other.path.as_ref() == Some(path));
        let table = tables.iter().find(|(known, _)| *known == **name);
        if let (Some((other, _)), Some((_, table))) = (before.next(), table) {
            let what = format!("`path` is the file of [kv.{other}]");
            table.problem_at("path", what, "expected a file of its own");
        }
    }
}
