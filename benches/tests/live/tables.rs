//! What is remembered beside responses: purges, refusals, keys that left.

use http::HeaderMap;
use verge_benches::shop::Shop;
use verge_cache::policy::RefuseReason;
use verge_cache::{Hardness, PurgeScope, PurgeTarget, Target};
use verge_http::Scheme;
use verge_http::surrogate::SurrogateKey;

use crate::kit::{Scenario, content, key};

pub(crate) fn all() -> Vec<Scenario> {
    let full = |name, run| Scenario {
        name,
        least: 0.78,
        run,
    };
    vec![
        full("purge records", purges),
        full("refusals and marks", refusals),
    ]
}

fn fill_up(shop: &Shop, from: u64, size: usize) {
    let limit = shop.cache.stats().bytes_max;
    for index in 0..2 * limit / (size as u64 + 1500) {
        assert!(shop.store(&key(shop, from + index), &content(size)));
    }
}

/// More purges of each kind than are remembered, beside a full cache.
fn purges(shop: &Shop) {
    fill_up(shop, 0, 4000);
    for index in 0..70_000 {
        let key = SurrogateKey::new(&format!("key-{index}")).unwrap();
        shop.cache
            .purge(PurgeScope::SurrogateKey(key), Hardness::Hard);
    }
    for index in 0..70_000 {
        let path = format!("/gone/{index}");
        let target = Target {
            scheme: Scheme::Https,
            authority: "shop.example",
            path: &path,
            query: None,
        };
        let scope = PurgeScope::Uri(PurgeTarget::new(target).unwrap());
        shop.cache.purge(scope, Hardness::Soft);
    }
    fill_up(shop, 10_000_000, 4000);
}

/// More keys than are remembered whose responses may not be stored.
fn refusals(shop: &Shop) {
    fill_up(shop, 0, 4000);
    for index in 0..40_000 {
        let permit = shop.permit(&key(shop, index), &HeaderMap::new());
        permit.refuse(RefuseReason::NoStore);
    }
    fill_up(shop, 10_000_000, 4000);
}
