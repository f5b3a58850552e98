//! What is stored: sizes, heads, keys, variants.

use http::HeaderMap;
use verge_benches::shop::{Shop, fields, fill};

use crate::kit::{
    MIB, Random, Scenario, any_size, content, key, room, store_with, unsized_fields, with,
};

fn of(name: &'static str, least: f64, run: fn(&Shop)) -> Scenario {
    Scenario { name, least, run }
}

pub(crate) fn all() -> Vec<Scenario> {
    // What is counted for a block is what the node's allocator takes for it, and for small entries
    // a tenth more; here is counted what was asked for.
    let full = |name, run| of(name, 0.78, run);
    vec![
        full("100 bytes", |shop| one_size(shop, 100)),
        full("1,000 bytes", |shop| one_size(shop, 1000)),
        full("5,000 bytes", |shop| one_size(shop, 5000)),
        full("40,000 bytes", |shop| one_size(shop, 40_000)),
        full("300,000 bytes", |shop| one_size(shop, 300_000)),
        full("3,000,000 bytes", |shop| one_size(shop, 3_000_000)),
        full("every size", every_size),
        full("Zipf", zipf),
        full("all sizes change at once", sizes_change),
        full("large ones after small ones", large_after_small),
        full("many fields", many_fields),
        of("many lines of one field", 0.7, many_lines),
        of("many variants", 0.7, many_variants),
        full("many surrogate keys", many_surrogate_keys),
        full("long URLs", long_urls),
        full("no length", no_length),
    ]
}

/// Stores the articles from `from` on, of `size` bytes, `times` the limit.
fn pass_through(shop: &Shop, from: u64, size: usize, times: u64) {
    let limit = shop.cache.stats().bytes_max;
    for index in 0..times * limit / (size as u64 + 1500) {
        assert!(shop.store(&key(shop, from + index), &content(size)));
    }
}

fn one_size(shop: &Shop, size: usize) {
    pass_through(shop, 0, size, 3);
}

fn every_size(shop: &Shop) {
    let mut random = Random::new(1);
    let mut written = 0;
    for index in 0.. {
        let size = any_size(&mut random);
        assert!(shop.store(&key(shop, index), &content(size)));
        written += size as u64;
        if written > 5 * shop.cache.stats().bytes_max {
            break;
        }
    }
}

/// What is asked for more often stays, whatever its size.
fn zipf(shop: &Shop) {
    const OBJECTS: f64 = 20_000.0;
    let mut random = Random::new(2);
    let mut written = 0;
    while written < 5 * shop.cache.stats().bytes_max {
        // Zipf 1.0: ranks are spread evenly over their logarithm.
        let rank = (OBJECTS.ln() * random.unit()).exp() as u64;
        let key = key(shop, rank);
        let size = any_size(&mut Random::new(rank));
        if !shop.has(&key) {
            assert!(shop.store(&key, &content(size)));
            written += size as u64;
        } else if random.below(50) == 0 {
            shop.cache.invalidate(&key);
        }
    }
}

/// A cache full of one size is filled with another.
fn sizes_change(shop: &Shop) {
    let sizes = [100, 3_000_000, 1000, 300_000, 100, 40_000, 5000, 3_000_000];
    for (round, size) in sizes.into_iter().enumerate() {
        pass_through(shop, round as u64 * 10_000_000, size, 2);
    }
}

/// So few entries come after so many that what the many left behind would show.
fn large_after_small(shop: &Shop) {
    pass_through(shop, 0, 100, 2);
    pass_through(shop, 10_000_000, 57_000, 2);
}

fn fill_with(shop: &Shop, fields: impl Fn(u64) -> HeaderMap, size: usize) {
    let limit = shop.cache.stats().bytes_max;
    // So many that the least that one can cost fills the cache twice.
    for index in 0..2 * limit / 1500 {
        assert!(store_with(shop, &key(shop, index), &fields(index), size));
        if shop.cache.stats().evictions > index / 2 {
            break;
        }
    }
    assert!(room(shop) < MIB, "it is full");
}

fn many_fields(shop: &Shop) {
    fill_with(
        shop,
        |index| {
            (0..60).fold(fields(500), |fields, field| {
                with(
                    fields,
                    &format!("x-of-the-origin-{field}"),
                    &format!("{index}"),
                )
            })
        },
        500,
    );
}

fn many_lines(shop: &Shop) {
    fill_with(
        shop,
        |index| {
            (0..40).fold(fields(500), |fields, _| {
                with(fields, "link", &format!("</style/{index}>; rel=preload"))
            })
        },
        500,
    );
}

fn many_variants(shop: &Shop) {
    let limit = shop.cache.stats().bytes_max;
    let fields = with(
        fields(300),
        "vary",
        "x-language, accept-language, x-of-the-client",
    );
    for index in 0..limit / 80_000 {
        for variant in 0..60 {
            let mut request = with(HeaderMap::new(), "accept-language", &format!("x-{variant}"));
            request = with(request, "x-of-the-client", &format!("{variant}"));
            let filling = shop.begin(&key(shop, index), &request, &fields);
            assert!(fill(filling.unwrap(), &content(300)));
        }
    }
}

fn many_surrogate_keys(shop: &Shop) {
    let keys = |index: u64| {
        let names = (0..100).map(|name| format!("product-{index}-{name}"));
        names.collect::<Vec<_>>().join(" ")
    };
    fill_with(
        shop,
        |index| with(fields(500), "surrogate-key", &keys(index)),
        500,
    );
}

fn long_urls(shop: &Shop) {
    let limit = shop.cache.stats().bytes_max;
    for index in 0..limit / 3000 {
        let path = format!("/{}/{index}", "a".repeat(4000));
        assert!(store_with(shop, &shop.key(&path), &fields(200), 200));
    }
}

fn no_length(shop: &Shop) {
    fill_with(shop, |_| unsized_fields(), 300);
}
