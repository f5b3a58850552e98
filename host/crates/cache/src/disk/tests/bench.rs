//! A cache and a folder for the tests of the disk tier.

use std::fs;
use std::path::PathBuf;

use http_body_util::BodyExt as _;
use tempfile::TempDir;

use super::super::*;
use super::{FRESH, MIB};
use crate::response::StoredResponse;
use crate::testkit::{Kit, kit_with, map};
use crate::tier::{Saved, Tier as _};
use crate::{CacheSettings, Finished, Key};

/// A cache, and a folder for a disk tier beside it.
pub(super) struct Bench {
    pub(super) kit: Kit,
    pub(super) folder: TempDir,
    pub(super) runtime: tokio::runtime::Runtime,
}

pub(super) fn bench() -> Bench {
    Bench {
        kit: kit_with(CacheSettings {
            max_object: 32 * MIB,
            ..CacheSettings::with_memory(256 * MIB)
        }),
        folder: tempfile::tempdir().expect("a folder"),
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime"),
    }
}

/// Waits for what the writer does on its own, as long as it takes on a busy machine.
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..30_000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    panic!("never: {what}");
}

impl Bench {
    pub(super) fn settings(&self) -> DiskSettings {
        DiskSettings {
            // No read of a test may be late, however busy the machine is.
            read_timeout: Duration::from_secs(60),
            retry: Duration::from_millis(10),
            retry_max: Duration::from_millis(50),
            ..DiskSettings::new(self.folder.path().join("disk"), 64 * MIB)
        }
    }

    pub(super) fn start(&self) -> DiskTier {
        self.start_with(self.settings()).0
    }

    pub(super) fn start_with(&self, settings: DiskSettings) -> (DiskTier, PurgesBefore) {
        let walls = Walls::new(self.kit.clock.clone());
        let (tier, before) = DiskTier::start(settings, walls).expect("nobody else uses it");
        until("the index is complete", || {
            let stats = tier.stats();
            stats.is_ready || stats.off.is_some()
        });
        (tier, before)
    }

    /// Waits until all that was queued is written.
    pub(super) fn flush(&self, tier: &DiskTier) {
        let deadline = 60_000;
        for _ in 0..deadline {
            let stats = tier.stats();
            if stats.queued_bytes == 0 && tier.shared.queue.is_idle() {
                return;
            }
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("the writer is stuck: {tier:?}");
    }

    pub(super) fn stored(
        &self,
        key: &Key,
        fields: &[(&str, &str)],
        content: Bytes,
    ) -> Arc<StoredResponse> {
        self.stored_for(key, &[], fields, content)
    }

    pub(super) fn stored_for(
        &self,
        key: &Key,
        request: &[(&str, &str)],
        fields: &[(&str, &str)],
        content: Bytes,
    ) -> Arc<StoredResponse> {
        let permit = self.kit.alone(key, request);
        let mut filling = self.kit.begin(permit, request, fields);
        self.runtime
            .block_on(filling.writer.push(content))
            .expect("it fits");
        match filling.writer.finish(None) {
            Ok(Finished::Stored(stored)) => stored,
            other => panic!("not stored: {other:?}"),
        }
    }

    pub(super) fn put(&self, tier: &DiskTier, path: &str, content: Bytes) {
        let key = self.kit.key(path);
        let stored = self.stored(&key, FRESH, content);
        assert_eq!(tier.save(&TierKey::of(&key), &stored), Saved::Queued);
        self.flush(tier);
    }

    pub(super) fn ask(&self, tier: &DiskTier, path: &str) -> TierAnswer {
        self.ask_for(tier, path, &[])
    }

    pub(super) fn ask_for(
        &self,
        tier: &DiskTier,
        path: &str,
        request: &[(&str, &str)],
    ) -> TierAnswer {
        let key = TierKey::of(&self.kit.key(path));
        self.runtime
            .block_on(tier.load(&key, &map(request), Want::Whole))
    }

    pub(super) fn content(&self, answer: TierAnswer) -> Result<Bytes, &'static str> {
        let label = answer.label();
        let TierAnswer::Hit(hit) = answer else {
            return Err(label);
        };
        let content = self.runtime.block_on(hit.content.collect());
        content.map(|content| content.to_bytes()).map_err(|_| "cut")
    }

    pub(super) fn got(&self, tier: &DiskTier, path: &str) -> Result<Bytes, &'static str> {
        self.content(self.ask(tier, path))
    }

    pub(super) fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("disk/segments"));
        let mut paths: Vec<PathBuf> = entries
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        paths
    }

    pub(super) fn bytes_on_disk(&self) -> u64 {
        let len = |path: &PathBuf| fs::metadata(path).map_or(0, |meta| meta.len());
        self.segments().iter().map(len).sum()
    }
}
