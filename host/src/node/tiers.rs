//! The tiers beside memory, as the configuration asks for them.

use std::sync::Arc;

use verge_base::Clock;
use verge_cache::disk::{DiskSettings, DiskTier};
use verge_cache::record::Walls;
use verge_cache::tier::{Tier, Tiers};
use verge_cache::{Cache, CacheSettings};
use verge_config::Config;
use verge_shared::{L2Tier, Shared};

use super::StartError;

/// Starts the disk, if there is one; `cache` hears of what was purged before the start.
pub(super) fn disk(
    config: &Config,
    clock: &Clock,
    cache: &Cache,
) -> Result<Option<Arc<DiskTier>>, StartError> {
    let Some(settings) = disk_settings(config, cache.settings()) else {
        return Ok(None);
    };
    let walls = Walls::new(clock.clone());
    let (disk, before) = DiskTier::start(settings, walls).map_err(|error| {
        let expected = "expected a folder for this node alone";
        let problem = config.problem("cache.disk.path", error.to_string(), expected);
        StartError::Problems(vec![problem])
    })?;
    let disk = Arc::new(disk);
    cache.keep_purges(Arc::clone(&disk), &before);
    Ok(Some(disk))
}

/// The tiers of a node, nearest first.
pub(super) fn list(
    clock: &Clock,
    disk: Option<&Arc<DiskTier>>,
    shared: Option<&Arc<Shared>>,
) -> Tiers {
    let mut list: Vec<Arc<dyn Tier>> = Vec::new();
    list.extend(disk.map(|disk| Arc::clone(disk) as Arc<dyn Tier>));
    list.extend(
        shared.map(|shared| {
            Arc::new(L2Tier::new(Arc::clone(shared), clock.clone())) as Arc<dyn Tier>
        }),
    );
    Tiers::new(clock.clone(), list)
}

fn disk_settings(config: &Config, memory: &CacheSettings) -> Option<DiskSettings> {
    let disk = config.disk.as_ref()?;
    let defaults = DiskSettings::new(disk.path.clone(), disk.size);
    Some(DiskSettings {
        // What memory does not take cannot come back from the disk.
        max_object: disk.max_object.min(memory.max_object),
        queue: disk.queue,
        read_timeout: disk.read_timeout,
        write_rate: disk.write_rate,
        records: disk.records,
        ..defaults
    })
}
