//! What is on disk for a key, told to operators: heads only, and no use is noted.

use std::sync::atomic::Ordering;

use http::HeaderMap;

use super::read::{self, Wanted};
use super::{DiskTier, off_for};
use crate::record::ReadAt;
use crate::tier::{Listed, TierKey, TierMiss, Want};

impl DiskTier {
    /// All heads that are there for `key`; what is damaged is left out.
    pub(super) async fn heads(&self, key: &TierKey) -> Listed {
        let shared = &self.shared;
        if let Some(off) = shared.health.off() {
            return Err(off.label());
        }
        if !shared.is_ready.load(Ordering::Acquire) {
            return Err(TierMiss::Starting.label());
        }
        let places = shared.index.lock().places(key.digest());
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = Wanted {
            digest: *key.digest(),
            places,
            request: HeaderMap::new(),
            want: Want::Head,
            at: ReadAt::now(&shared.walls),
        };
        match shared.read(move || read::heads(&wanted)).await {
            Ok(Ok(heads)) => Ok(heads),
            Ok(Err(error)) => Err(off_for(&error).label()),
            Err(miss) => Err(miss.label()),
        }
    }
}
