//! The metrics of the cache: what it holds and did, its tiers, purges.

use std::fmt;

use verge_cache::tier::TierName;

use super::super::super::exposition::Page;
use super::super::super::handles::CACHE_RESULTS;
use super::super::super::sample::{DiskSample, EvictedSample};
use super::super::{CacheTier, NO_SITE};
use super::Collected;

impl Collected {
    pub(super) fn cache(&self, page: &mut Page<'_>) -> fmt::Result {
        let cache = &self.sample.cache;
        page.gauge(
            "verge_cache_bytes",
            "Bytes held, fills in progress included.",
        )?
        .put_one(cache.bytes)?;
        let help = "Bytes of what is remembered beside responses: purges, refusals, marks.";
        page.gauge("verge_cache_table_bytes", help)?
            .put_one(cache.table_bytes)?;
        page.gauge("verge_cache_limit_bytes", "Bytes that may be held.")?
            .put_one(cache.limit_bytes)?;
        page.gauge("verge_cache_entries", "Stored responses.")?
            .put_one(cache.entries)?;
        page.gauge("verge_cache_fills_in_progress", "Fills in progress.")?
            .put_one(cache.fills)?;
        self.evictions(page)?;
        let help = "Responses of routes that compress, by coding or by why they have none.";
        page.counter("verge_compression_responses", help)?
            .put_all("outcome", &self.inner.codings)?;
        let help = "Compressed representations that were begun, by how they ended.";
        page.counter("verge_compressions", help)?
            .put_all("outcome", &self.inner.compressions)?;
        let help = "Bytes of content that went into compressors.";
        page.counter("verge_compression_content_bytes", help)?
            .put_one(self.inner.compressed.sum(0))?;
        let help = "Bytes that came out of them.";
        page.counter("verge_compression_coded_bytes", help)?
            .put_one(self.inner.compressed.sum(1))?;
        let help = "Requests that reached an origin with input that is no part of their key.";
        page.counter("verge_cache_unkeyed_requests", help)?
            .put_one(self.inner.unkeyed.sum(0))?;
        self.fills(page)?;
        page.histogram("verge_cache_fill_seconds", "Durations of fills.")?
            .put_one(&self.inner.fill_duration)?;
        let help = "How long collapsed requests waited for the response head.";
        page.histogram("verge_cache_collapsed_wait_seconds", help)?
            .put_one(&self.inner.collapsed_wait)?;
        let help =
            "Times that stored pieces of a response gave way to a new one: too many of them.";
        page.counter("verge_cache_pieces_dropped", help)?
            .put_one(cache.pieces_dropped)?;
        let help = "Requests that followed another one's fill.";
        page.counter("verge_cache_collapsed_requests", help)?
            .put_one(cache.collapsed)?;
        let help = "How long a tier took to say what it has.";
        let mut lookups = page.histogram("verge_cache_lookup_seconds", help)?;
        for (tier, histogram) in CacheTier::ALL.iter().zip(&self.inner.lookups) {
            lookups.put([("tier", tier.label())], histogram)?;
        }
        self.cache_results(page)?;
        self.purges(page)?;
        self.tiers(page)?;
        self.disk(page)
    }

    fn evictions(&self, page: &mut Page<'_>) -> fmt::Result {
        let evicted = &self.sample.cache.evicted;
        let site = |counted: &EvictedSample| counted.site.clone().unwrap_or(NO_SITE.into());
        let help = "Stored responses put out for room.";
        let mut evictions = page.counter("verge_cache_evictions", help)?;
        for counted in evicted {
            evictions.put([("site", &*site(counted))], counted.evictions)?;
        }
        let help = "Bytes of stored responses put out for room.";
        let mut bytes = page.counter("verge_cache_evicted_bytes", help)?;
        for counted in evicted {
            bytes.put([("site", &*site(counted))], counted.bytes)?;
        }
        Ok(())
    }

    fn fills(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut fills = page.counter("verge_cache_fills", "Finished fills by outcome.")?;
        for site in &self.inner.registry.sites.all() {
            for (outcome, number) in site.fills.all() {
                fills.put([("site", site.name()), ("outcome", outcome)], number)?;
            }
        }
        Ok(())
    }

    /// What a hit ratio is computed from: `hit / sum`, by requests or by bytes.
    fn cache_results(&self, page: &mut Page<'_>) -> fmt::Result {
        let all = self.inner.registry.sites.all();
        let help = "Requests that asked the cache, by what it did for them.";
        let mut requests = page.counter("verge_cache_requests", help)?;
        for site in &all {
            for (index, result) in CACHE_RESULTS.iter().enumerate() {
                let labels = [("site", site.name()), ("result", *result)];
                requests.put(labels, site.cached.sum(index))?;
            }
        }
        let help = "Response content sent, by what the cache did for the request.";
        let mut bytes = page.counter("verge_cache_sent_bytes", help)?;
        for site in &all {
            for (index, result) in CACHE_RESULTS.iter().enumerate() {
                let labels = [("site", site.name()), ("result", *result)];
                bytes.put(labels, site.cached.sum(index + CACHE_RESULTS.len()))?;
            }
        }
        let mut refusals =
            page.counter("verge_cache_refusals", "Responses not stored, by reason.")?;
        for (reason, number) in &self.sample.cache.refusals {
            refusals.put([("reason", *reason)], *number)?;
        }
        Ok(())
    }

    fn purges(&self, page: &mut Page<'_>) -> fmt::Result {
        let cache = &self.sample.cache;
        let help = "Purges and invalidations, by scope, those of other nodes included.";
        let mut purges = page.counter("verge_cache_purges", help)?;
        for (scope, number) in &cache.purges {
            purges.put([("scope", *scope)], *number)?;
        }
        let help = "Purged responses that the background found, by what became of them.";
        let mut swept = page.counter("verge_cache_purged_responses", help)?;
        swept.put([("hardness", "hard")], cache.swept_removed)?;
        swept.put([("hardness", "soft")], cache.swept_softened)
    }

    fn tiers(&self, page: &mut Page<'_>) -> fmt::Result {
        let tiers = || {
            let names = TierName::ALL.into_iter().map(TierName::label);
            names.zip(&self.inner.tiers)
        };
        let help = "Tiers that were asked, by outcome.";
        let mut lookups = page.counter("verge_cache_tier_lookups", help)?;
        for (name, tier) in tiers() {
            for (outcome, number) in tier.lookups.all() {
                lookups.put([("tier", name), ("outcome", outcome)], number)?;
            }
        }
        let help = "Responses given to a tier, by what became of them.";
        let mut saves = page.counter("verge_cache_tier_saves", help)?;
        for (name, tier) in tiers() {
            for (outcome, number) in tier.saves.all() {
                saves.put([("tier", name), ("outcome", outcome)], number)?;
            }
        }
        Ok(())
    }

    fn disk(&self, page: &mut Page<'_>) -> fmt::Result {
        let Some(disk) = &self.sample.disk else {
            return Ok(());
        };
        let gauges = [
            ("verge_cache_disk_bytes", "Bytes on disk.", disk.bytes),
            (
                "verge_cache_disk_limit_bytes",
                "Bytes that there may be on disk.",
                disk.limit_bytes,
            ),
            (
                "verge_cache_disk_entries",
                "Responses on disk.",
                disk.entries,
            ),
            (
                "verge_cache_disk_queued_bytes",
                "Bytes of content that wait to be written.",
                disk.queued_bytes,
            ),
            (
                "verge_cache_disk_off",
                "1 while the disk is not used, because it is full, read-only or failing.",
                u64::from(disk.off.is_some()),
            ),
        ];
        for (name, help, value) in gauges {
            page.gauge(name, help)?.put_one(value)?;
        }
        Self::disk_counters(disk, page)
    }

    fn disk_counters(disk: &DiskSample, page: &mut Page<'_>) -> fmt::Result {
        let counters = [
            (
                "verge_cache_disk_written_bytes",
                "Bytes written.",
                disk.written_bytes,
            ),
            (
                "verge_cache_disk_evictions",
                "Segments removed for room.",
                disk.evictions,
            ),
            (
                "verge_cache_disk_unusable",
                "Responses that were damaged, or of no known age.",
                disk.unusable,
            ),
            (
                "verge_cache_disk_failures",
                "Times that the disk was turned off.",
                disk.failures,
            ),
        ];
        for (name, help, value) in counters {
            page.counter(name, help)?.put_one(value)?;
        }
        let help = "Responses that were not written, by reason.";
        let mut dropped = page.counter("verge_cache_disk_dropped", help)?;
        for (reason, number) in disk.dropped {
            dropped.put([("reason", reason)], number)?;
        }
        Ok(())
    }
}
