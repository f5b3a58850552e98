//! How live bytes are measured, and what the scenarios share.

use std::sync::LazyLock;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt as _;
use verge_base::Clock;
use verge_benches::shop::{Shop, fields, fill};
use verge_cache::{CacheSettings, Filling, Key};

use crate::ALLOCATOR;

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: u64 = 1024 * 1024;

/// So much of the limit may be live at any moment.
const OVER: f64 = 1.02;

/// What may be left when all is gone: what the process itself allocates once.
const LEFT: usize = 64 * KIB;

/// The largest content of all scenarios.
pub(crate) const LARGEST: usize = 3_000_000;

static CONTENT: LazyLock<Bytes> =
    LazyLock::new(|| (0..LARGEST).map(|at| (at % 251) as u8).collect());

/// What is done to a cache.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// So much of the limit is live in the end: else too much is counted.
    pub(crate) least: f64,
    pub(crate) run: fn(&Shop),
}

/// Runs `scenario` on a cache of `limit` bytes, and says what was wrong.
pub(crate) fn measure(scenario: &Scenario, limit: u64) -> Result<(), String> {
    LazyLock::force(&CONTENT);
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let shop = Shop::new(CacheSettings::with_memory(limit), Clock::system());
    let empty = ALLOCATOR.current_usage().saturating_sub(before);
    (scenario.run)(&shop);
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    let live = ALLOCATOR.current_usage().saturating_sub(before);
    let stats = shop.cache.stats();
    drop(shop);
    let left = ALLOCATOR.current_usage().saturating_sub(before);
    let share = |bytes: usize| bytes as f64 / limit as f64;
    println!(
        "{:<34} {:>4} MiB: at most {:.3} live, {:.3} at the end; {:.3} counted at most, {:.3} at \
         the end; {} entries, {empty} bytes empty, {left} left",
        scenario.name,
        limit / MIB,
        share(peak),
        share(live),
        stats.bytes_peak as f64 / limit as f64,
        stats.bytes as f64 / limit as f64,
        stats.entries,
    );
    let mut wrong = Vec::new();
    if share(peak) > OVER {
        wrong.push(format!("{:.3} live", share(peak)));
    }
    if stats.bytes_peak > limit {
        wrong.push(format!("{} bytes counted", stats.bytes_peak));
    }
    if share(live) < scenario.least {
        wrong.push(format!("only {:.3} live", share(live)));
    }
    if left > LEFT {
        wrong.push(format!("{left} bytes left"));
    }
    wrong.is_empty().then_some(()).ok_or(wrong.join(", "))
}

/// Content of `size` bytes, which costs nothing.
pub(crate) fn content(size: usize) -> Bytes {
    CONTENT.slice(..size)
}

/// Bytes of the limit that are not counted now.
pub(crate) fn room(shop: &Shop) -> u64 {
    let stats = shop.cache.stats();
    stats.bytes_max.saturating_sub(stats.bytes)
}

/// A size between 100 bytes and 3 MB, each order of magnitude as likely as any other.
pub(crate) fn any_size(random: &mut Random) -> usize {
    let (low, high) = (100_f64.ln(), (LARGEST as f64).ln());
    let at = low + (high - low) * random.unit();
    (at.exp() as usize).clamp(100, LARGEST)
}

/// The key of the `index`th article.
pub(crate) fn key(shop: &Shop, index: u64) -> Key {
    shop.key(&format!("/articles/of/the/day/{index:08}"))
}

/// Stores content of `size` bytes with `fields` under `key`.
pub(crate) fn store_with(shop: &Shop, key: &Key, fields: &HeaderMap, size: usize) -> bool {
    let filling = shop.begin(key, &HeaderMap::new(), fields);
    filling.is_some_and(|filling| fill(filling, &content(size)))
}

/// The usual fields without a length.
pub(crate) fn unsized_fields() -> HeaderMap {
    let mut fields = fields(0);
    fields.remove(http::header::CONTENT_LENGTH);
    fields
}

/// `fields` with one more.
pub(crate) fn with(mut fields: HeaderMap, name: &str, value: &str) -> HeaderMap {
    fields.append(
        HeaderName::from_bytes(name.as_bytes()).unwrap(),
        HeaderValue::from_str(value).unwrap(),
    );
    fields
}

/// Pushes without waiting; whether it was taken.
pub(crate) fn push(filling: &mut Filling, data: Bytes) -> bool {
    filling.writer.push(data).now_or_never() == Some(Ok(()))
}

/// Reads what there is without waiting.
pub(crate) fn read(filling: &mut Filling) -> usize {
    let mut read = 0;
    while let Some(Some(Ok(frame))) = filling.reader.frame().now_or_never() {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
    read
}

/// Numbers that are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub(crate) fn next(&mut self) -> u64 {
        // xorshift64* (Vigna, 2016).
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
