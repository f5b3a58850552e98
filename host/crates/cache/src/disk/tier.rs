//! The disk as a tier: what it is asked for, given, and told to forget.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::HeaderMap;

use super::queue::{Refused, Save};
use super::{DiskTier, first};
use crate::response::StoredResponse;
use crate::tier::{Dropped, Listed, Saved, Tier, TierAnswer, TierFuture, TierKey, TierName, Want};

impl DiskTier {
    fn queue(&self, key: &TierKey, response: &Arc<StoredResponse>) -> Result<(), Dropped> {
        let settings = &self.shared.settings;
        if response.content_length() > settings.largest() {
            return Err(Dropped::TooLarge);
        }
        if self.shared.health.off().is_some() {
            return Err(Dropped::Off);
        }
        let save = Save {
            key: *key,
            response: Arc::clone(response),
        };
        let queued = self.shared.queue.save(save, settings.queue);
        queued.map_err(|refused| match refused {
            Refused::Purged => Dropped::Purged,
            Refused::Full => Dropped::QueueFull,
        })
    }
}

impl Tier for DiskTier {
    fn name(&self) -> TierName {
        TierName::Disk
    }

    fn load<'a>(
        &'a self,
        key: &'a TierKey,
        request: &'a HeaderMap,
        want: Want,
    ) -> TierFuture<'a, TierAnswer> {
        Box::pin(self.look(key, request, want))
    }

    fn list<'a>(&'a self, key: &'a TierKey) -> TierFuture<'a, Listed> {
        Box::pin(self.heads(key))
    }

    fn save(&self, key: &TierKey, response: &Arc<StoredResponse>) -> Saved {
        let Err(dropped) = self.queue(key, response) else {
            return Saved::Queued;
        };
        let stats = &self.shared.stats;
        let count = match dropped {
            Dropped::TooLarge => Some(&stats.too_large),
            Dropped::Off => Some(&stats.off),
            Dropped::QueueFull => Some(&stats.queue_full),
            Dropped::Purged => None,
        };
        if let Some(count) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        // What is there is older than what was to be saved (RFC 9111 4).
        self.forget(key);
        Saved::Dropped(dropped)
    }

    fn settle(&self) -> TierFuture<'_, ()> {
        Box::pin(async {
            DiskTier::settle(self).await;
        })
    }

    fn forget(&self, key: &TierKey) {
        // First here: what is being written of it is not found either.
        let mut index = self.shared.index.lock();
        index.forget(key.digest(), first(key.uri()));
        drop(index);
        self.shared.queue.forget(key);
    }
}
