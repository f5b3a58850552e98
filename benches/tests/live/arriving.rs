//! What is on its way: fills, their readers, bodies of what was evicted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use verge_benches::shop::{Shop, fields, fill};
use verge_cache::{Derive, DerivePlan, Filling, Lookup, StoredResponse};
use verge_http::coding::Coding;
use verge_http::failure::OriginFault;
use verge_http::range::{ByteRange, content_range};
use verge_http::{Body, Failure};

use crate::kit::{
    KIB, MIB, Random, Scenario, any_size, content, key, push, read, room, store_with,
    unsized_fields, with,
};

pub(crate) fn all() -> Vec<Scenario> {
    let of = |name, least, run| Scenario { name, least, run };
    vec![
        of("fills of several threads", 0.0, several_threads),
        of("fills that are cut", 0.0, cut),
        of("thousands of small fills", 0.0, small_fills),
        of("content in crumbs", 0.78, crumbs),
        of("more is filled than there is", 0.0, too_much),
        of("bodies of evicted responses", 0.0, evicted_bodies),
        of("slow readers of a window", 0.0, slow_readers),
        of("coded representations", 0.0, coded),
        of("pieces", 0.0, pieces),
        of("freshened", 0.78, freshened),
    ]
}

const THREADS: u64 = 4;

fn begin(shop: &Shop, index: u64, fields: &HeaderMap) -> Option<Filling> {
    shop.begin(&key(shop, index), &HeaderMap::new(), fields)
}

/// Each thread has 64 fills of all sizes, which grow in turns.
fn several_threads(shop: &Shop) {
    let next = AtomicU64::new(0);
    let limit = shop.cache.stats().bytes_max;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let next = &next;
            scope.spawn(move || {
                let mut random = Random::new(thread);
                let mut fills: Vec<(Filling, usize)> = Vec::new();
                let mut written = 0;
                while written < limit {
                    if fills.len() < 64 {
                        let size = any_size(&mut random);
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        fills.extend(begin(shop, index, &fields(size)).map(|f| (f, size)));
                    }
                    let at = random.below(fills.len() as u64) as usize;
                    let (filling, left) = &mut fills[at];
                    let step = (random.below(20_000) as usize + 1).min(*left);
                    let is_taken = push(filling, content(step));
                    *left -= step;
                    written += step as u64;
                    read(filling);
                    if !is_taken || *left == 0 {
                        let (filling, _) = fills.swap_remove(at);
                        let _ = filling.writer.finish(None);
                    }
                }
            });
        }
    });
}

/// Of three fills one is cut by the origin, one by this node, and one ends.
fn cut(shop: &Shop) {
    let mut random = Random::new(3);
    let mut written = 0;
    for index in 0.. {
        let size = any_size(&mut random);
        let Some(mut filling) = begin(shop, index, &fields(size)) else {
            continue;
        };
        let cut_at = random.below(size as u64 + 1) as usize;
        push(&mut filling, content(cut_at));
        match index % 3 {
            0 => filling
                .writer
                .abort(Failure::responding(OriginFault::ResponseIncomplete)),
            1 => drop(filling),
            _ => {
                push(&mut filling, content(size - cut_at));
                let _ = filling.writer.finish(None);
            }
        }
        written += size as u64;
        if written > 3 * shop.cache.stats().bytes_max {
            return;
        }
    }
}

/// So many at once that nothing else has room.
fn small_fills(shop: &Shop) {
    let mut fills = Vec::new();
    for index in 0.. {
        let Some(mut filling) = begin(shop, index, &unsized_fields()) else {
            break;
        };
        if !push(&mut filling, content(100)) {
            break;
        }
        fills.push(Box::new(filling));
    }
    assert!(room(shop) < MIB, "{} fills", fills.len());
}

/// Content comes in pieces of a few bytes.
fn crumbs(shop: &Shop) {
    let mut random = Random::new(4);
    for index in 0..4 * shop.cache.stats().bytes_max / 20_000 {
        let mut filling = begin(shop, index, &unsized_fields()).unwrap();
        for _ in 0..200 {
            assert!(push(&mut filling, content(random.below(200) as usize + 1)));
        }
        assert!(filling.writer.finish(None).is_ok());
    }
}

/// Large fills that together are twice the limit: what does not fit passes through.
fn too_much(shop: &Shop) {
    let count = 2 * shop.cache.stats().bytes_max / 3_000_000;
    let begun = (0..count).filter_map(|index| begin(shop, index, &fields(3_000_000)));
    let mut fills: Vec<Filling> = begun.collect();
    for step in 0..3_000_000 / 50_000 {
        for filling in &mut fills {
            if !filling.writer.has_given_up() || step % 2 == 0 {
                push(filling, content(50_000));
            }
            read(filling);
        }
    }
}

fn stored(shop: &Shop, index: u64) -> Option<Arc<StoredResponse>> {
    match shop.cache.peek(&key(shop, index), &HeaderMap::new()) {
        Lookup::Selected(stored) => Some(stored),
        Lookup::Miss(_) => None,
    }
}

/// Clients hold bodies whose responses were evicted meanwhile.
fn evicted_bodies(shop: &Shop) {
    let limit = shop.cache.stats().bytes_max;
    let mut random = Random::new(5);
    let (mut bodies, mut held): (Vec<(Arc<StoredResponse>, Body)>, u64) = (Vec::new(), 0);
    let mut written = 0;
    for index in 0.. {
        let size = any_size(&mut random);
        if store_with(shop, &key(shop, index), &fields(size), size)
            && held < limit / 2
            && let Some(stored) = stored(shop, index)
        {
            held += stored.content_length();
            let body = stored.body();
            bodies.push((stored, body));
        }
        written += size as u64;
        if written > 4 * limit {
            break;
        }
    }
    assert!(bodies.len() > 10);
}

/// Fills that cannot be stored, each with a window and a reader that stands still.
fn slow_readers(shop: &Shop) {
    let mut fills = Vec::new();
    let largest = shop.cache.settings().max_object as usize;
    for index in 0..200 {
        let Some(mut filling) = begin(shop, index, &unsized_fields()) else {
            continue;
        };
        let mut written = 0;
        while written <= largest && !filling.writer.has_given_up() {
            if !push(&mut filling, content(1_000_000)) {
                break;
            }
            written += 1_000_000;
            read(&mut filling);
        }
        // The rest is not read: it waits in the window.
        while push(&mut filling, content(30_000)) {}
        fills.push(filling);
    }
    assert!(fills.len() > 10);
}

/// Each response is kept in every coding, too.
fn coded(shop: &Shop) {
    let mut random = Random::new(6);
    for index in 0..2 * shop.cache.stats().bytes_max / 10_000 {
        let size = random.below(20_000) as usize + 100;
        assert!(shop.store(&key(shop, index), &content(size)));
        let Some(stored) = stored(shop, index) else {
            continue;
        };
        for coding in Coding::ALL {
            let plan = DerivePlan {
                coding,
                kept_max: MIB,
                coder_bytes: 300_000,
            };
            let derived = shop.cache.derive(stored.head().derived(), &plan);
            let Derive::Make(mut writer, reader) = derived else {
                continue;
            };
            let coded = content(size / 3);
            let pushed = futures_util::FutureExt::now_or_never(writer.push(coded));
            if pushed == Some(Ok(())) {
                writer.finish(size as u64, None);
            }
            drop(reader);
        }
    }
}

/// Parts of large responses, which overlap.
fn pieces(shop: &Shop) {
    const TOTAL: u64 = 2_000_000;
    let mut random = Random::new(7);
    let limit = shop.cache.stats().bytes_max;
    let responses = limit / 500_000;
    for _ in 0..40 * responses {
        let whole = key(shop, random.below(responses));
        let first = random.below(TOTAL);
        let last = (first + random.below(60 * KIB as u64)).min(TOTAL - 1);
        let said = content_range(ByteRange { first, last }, TOTAL);
        let fields = with(unsized_fields(), "content-range", said.to_str().unwrap());
        if let Some(filling) = shop.begin_part(&whole, &fields) {
            fill(filling, &content((last - first + 1) as usize));
        }
    }
}

/// A full cache of which each response is freshened.
fn freshened(shop: &Shop) {
    let limit = shop.cache.stats().bytes_max;
    let count = limit / 1500;
    for index in 0..count {
        assert!(shop.store(&key(shop, index), &content(500)));
    }
    let newer = with(unsized_fields(), "x-freshened", "yes");
    for index in 0..count {
        if let Some(stored) = stored(shop, index) {
            assert!(shop.freshen(&key(shop, index), &stored, &newer));
        }
    }
}
