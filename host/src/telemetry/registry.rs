//! Finds the handle of a site, function, origin or listener by its name, and
//! bounds how many there can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::counters::{OVERFLOW_LABEL, ShardCount};
use super::handles::{FunctionMetrics, KvMetrics, ListenerMetrics, OriginMetrics, SiteMetrics};

/// All handles of one kind, by name. Their number is bounded: past the bound,
/// those that no generation holds any more are forgotten, and if none are, new
/// names share the handle of [`OVERFLOW_LABEL`].
#[derive(Debug)]
pub(super) struct Handles<T> {
    by_name: Mutex<BTreeMap<Arc<str>, Arc<T>>>,
    most: usize,
    shards: ShardCount,
    make: fn(Arc<str>, ShardCount) -> T,
}

impl<T> Handles<T> {
    fn new(most: usize, shards: ShardCount, make: fn(Arc<str>, ShardCount) -> T) -> Self {
        Self {
            by_name: Mutex::new(BTreeMap::new()),
            most,
            shards,
            make,
        }
    }

    /// The handle for `name`, the same one for as long as anybody holds it.
    pub(super) fn resolve(&self, name: &str) -> Arc<T> {
        let mut by_name = self.by_name.lock();
        if let Some(known) = by_name.get(name) {
            return Arc::clone(known);
        }
        if by_name.len() >= self.most {
            by_name.retain(|_, handle| Arc::strong_count(handle) > 1);
        }
        let name = if by_name.len() >= self.most {
            OVERFLOW_LABEL
        } else {
            name
        };
        let name: Arc<str> = name.into();
        let handle = by_name
            .entry(Arc::clone(&name))
            .or_insert_with(|| Arc::new((self.make)(name, self.shards)));
        Arc::clone(handle)
    }

    /// Every handle, in the order of names.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        self.by_name.lock().values().map(Arc::clone).collect()
    }
}

/// The handles of a node.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) sites: Handles<SiteMetrics>,
    pub(super) functions: Handles<FunctionMetrics>,
    pub(super) kv: Handles<KvMetrics>,
    pub(super) origins: Handles<OriginMetrics>,
    pub(super) listeners: Handles<ListenerMetrics>,
}

impl Registry {
    /// Bounds on how many time series a scrape can have, whatever configuration says.
    const MOST_SITES: usize = 1000;
    const MOST_FUNCTIONS: usize = 500;
    const MOST_KV_STORES: usize = 200;
    const MOST_ORIGINS: usize = 500;
    const MOST_LISTENERS: usize = 16;

    pub(super) fn new(shards: ShardCount) -> Self {
        Self {
            sites: Handles::new(Self::MOST_SITES, shards, SiteMetrics::new),
            functions: Handles::new(Self::MOST_FUNCTIONS, shards, FunctionMetrics::new),
            kv: Handles::new(Self::MOST_KV_STORES, shards, KvMetrics::new),
            origins: Handles::new(Self::MOST_ORIGINS, shards, OriginMetrics::new),
            listeners: Handles::new(Self::MOST_LISTENERS, shards, ListenerMetrics::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handle_survives_a_reload() {
        let registry = Registry::new(ShardCount::for_workers(2));
        let before = registry.sites.resolve("shop");
        before.numbers.add(0, 3);
        drop(before);
        assert_eq!(registry.sites.resolve("shop").numbers.sum(0), 3);
    }

    #[test]
    fn names_past_the_bound_share_one_handle() {
        let handles = Handles::new(3, ShardCount::for_workers(1), SiteMetrics::new);
        let held: Vec<_> = ["a", "b", "c", "d", "e"]
            .map(|name| handles.resolve(name))
            .into();
        let names: Vec<&str> = held.iter().map(|handle| handle.name()).collect();
        assert_eq!(names, ["a", "b", "c", "other", "other"]);
        assert_eq!(handles.all().len(), 4);
    }

    #[test]
    fn names_that_no_generation_holds_make_room() {
        let handles = Handles::new(2, ShardCount::for_workers(1), SiteMetrics::new);
        let kept = handles.resolve("kept");
        for round in 0..50 {
            let name = format!("gone-{round}");
            assert_eq!(handles.resolve(&name).name(), name);
        }
        assert!(Arc::ptr_eq(&kept, &handles.resolve("kept")));
        assert!(handles.all().len() <= 2);
    }
}
