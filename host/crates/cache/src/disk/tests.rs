//! The disk tier on a real folder: what it gives back is what it was given, or nothing.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

use http_body_util::BodyExt as _;
use tempfile::TempDir;

use super::*;
use crate::testkit::{Kit, SECOND, kit_with, map, pattern};
use crate::{CacheSettings, Finished, Key};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("etag", "\"a\"")];
const MIB: u64 = 1024 * 1024;

/// A cache, and a folder for a disk tier beside it.
struct Bench {
    kit: Kit,
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

fn bench() -> Bench {
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

impl Bench {
    fn settings(&self) -> DiskSettings {
        DiskSettings {
            // No read of a test may be late, however busy the machine is.
            read_timeout: Duration::from_secs(60),
            retry: Duration::from_millis(10),
            retry_max: Duration::from_millis(50),
            ..DiskSettings::new(self.folder.path().join("disk"), 64 * MIB)
        }
    }

    fn start(&self) -> DiskTier {
        self.start_with(self.settings()).0
    }

    fn start_with(&self, settings: DiskSettings) -> (DiskTier, PurgesBefore) {
        let walls = Walls::new(self.kit.clock.clone());
        let (tier, before) = DiskTier::start(settings, walls).expect("nobody else uses it");
        // What is queued is written in order: the index is complete once this is told.
        self.settle(&tier);
        (tier, before)
    }

    fn settle(&self, tier: &DiskTier) {
        let (done, settled) = oneshot::channel();
        tier.shared.queue.settle(done);
        self.runtime.block_on(settled).expect("the writer lives");
    }

    /// Waits until all that was queued is written.
    fn flush(&self, tier: &DiskTier) {
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

    fn stored(&self, key: &Key, fields: &[(&str, &str)], content: Bytes) -> Arc<StoredResponse> {
        self.stored_for(key, &[], fields, content)
    }

    fn stored_for(
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

    fn put(&self, tier: &DiskTier, path: &str, content: Bytes) {
        let key = self.kit.key(path);
        let stored = self.stored(&key, FRESH, content);
        assert_eq!(tier.save(&TierKey::of(&key), &stored), Saved::Queued);
        self.flush(tier);
    }

    fn ask(&self, tier: &DiskTier, path: &str) -> TierAnswer {
        self.ask_for(tier, path, &[])
    }

    fn ask_for(&self, tier: &DiskTier, path: &str, request: &[(&str, &str)]) -> TierAnswer {
        let key = TierKey::of(&self.kit.key(path));
        self.runtime.block_on(tier.load(&key, &map(request)))
    }

    fn content(&self, answer: TierAnswer) -> Result<Bytes, &'static str> {
        let label = answer.label();
        let TierAnswer::Hit(hit) = answer else {
            return Err(label);
        };
        let content = self.runtime.block_on(hit.content.collect());
        content.map(|content| content.to_bytes()).map_err(|_| "cut")
    }

    fn got(&self, tier: &DiskTier, path: &str) -> Result<Bytes, &'static str> {
        self.content(self.ask(tier, path))
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path().join("disk/segments"));
        let mut paths: Vec<PathBuf> = entries
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        paths
    }

    fn bytes_on_disk(&self) -> u64 {
        let len = |path: &PathBuf| fs::metadata(path).map_or(0, |meta| meta.len());
        self.segments().iter().map(len).sum()
    }
}

#[test]
fn what_was_saved_is_there_after_a_restart_with_its_age() {
    let bench = bench();
    let tier = bench.start();
    let large = pattern(3_000_000);
    bench.put(&tier, "/small", Bytes::from_static(b"hello"));
    bench.put(&tier, "/large", large.clone());
    bench.put(&tier, "/empty", Bytes::new());
    assert_eq!(bench.got(&tier, "/small"), Ok(Bytes::from_static(b"hello")));
    drop(tier);
    bench.kit.time.advance(20 * SECOND);
    let tier = bench.start();
    assert_eq!(tier.stats().records, 3);
    let TierAnswer::Hit(hit) = bench.ask(&tier, "/small") else {
        panic!("no hit");
    };
    let now = bench.kit.clock.now();
    assert_eq!(hit.recorded.head.age(now), 20 * SECOND);
    assert_eq!(hit.recorded.head.lifetime(), 600 * SECOND);
    assert_eq!(bench.got(&tier, "/large"), Ok(large));
    assert_eq!(bench.got(&tier, "/empty"), Ok(Bytes::new()));
    assert_eq!(bench.got(&tier, "/other"), Err("miss"));
}

#[test]
fn a_later_response_replaces_an_earlier_one_also_after_a_restart() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", Bytes::from_static(b"old"));
    bench.put(&tier, "/a", Bytes::from_static(b"new"));
    assert_eq!(bench.got(&tier, "/a"), Ok(Bytes::from_static(b"new")));
    drop(tier);
    let tier = bench.start();
    assert_eq!(tier.stats().records, 1);
    assert_eq!(bench.got(&tier, "/a"), Ok(Bytes::from_static(b"new")));
}

#[test]
fn variants_stand_side_by_side() {
    let bench = bench();
    let tier = bench.start();
    let key = bench.kit.key("/a");
    let fields = [("cache-control", "max-age=60"), ("vary", "accept-language")];
    for language in ["en", "de"] {
        let request = [("accept-language", language)];
        let content = Bytes::from_static(language.as_bytes());
        let stored = bench.stored_for(&key, &request, &fields, content);
        tier.save(&TierKey::of(&key), &stored);
    }
    bench.flush(&tier);
    for (language, expected) in [
        ("en", Ok(Bytes::from_static(b"en"))),
        ("de", Ok(Bytes::from_static(b"de"))),
        ("fr", Err("variant")),
    ] {
        let answer = bench.ask_for(&tier, "/a", &[("accept-language", language)]);
        assert_eq!(bench.content(answer), expected);
    }
}

#[test]
fn segments_never_take_more_than_the_size_and_the_oldest_go_first() {
    let bench = bench();
    let size = 4 * MIB;
    let settings = DiskSettings {
        size,
        ..bench.settings()
    };
    let (tier, _) = bench.start_with(settings.clone());
    let content = pattern(60_000);
    for number in 0..200 {
        bench.put(&tier, &format!("/{number}"), content.clone());
        // Asked for again and again: it is written anew when its segment goes.
        assert_eq!(bench.got(&tier, "/0"), Ok(content.clone()), "{number}");
        assert!(bench.bytes_on_disk() <= size);
    }
    let stats = tier.stats();
    assert!(stats.evicted > 0 && stats.bytes <= size, "{stats:?}");
    assert_eq!(bench.got(&tier, "/1"), Err("miss"));
    assert_eq!(bench.got(&tier, "/199"), Ok(content.clone()));
    drop(tier);
    // A smaller size at the next start is kept to at once.
    let (tier, _) = bench.start_with(DiskSettings {
        size: 2 * MIB,
        ..settings
    });
    assert!(bench.bytes_on_disk() <= 2 * MIB);
    assert_eq!(bench.got(&tier, "/199"), Ok(content));
}

#[test]
fn what_is_larger_than_it_keeps_is_dropped() {
    let bench = bench();
    let (tier, _) = bench.start_with(DiskSettings {
        max_object: 1000,
        ..bench.settings()
    });
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(1001));
    let saved = tier.save(&TierKey::of(&key), &stored);
    assert_eq!(saved, Saved::Dropped(Dropped::TooLarge));
    assert_eq!(tier.stats().dropped_too_large, 1);
}

#[test]
fn a_byte_that_was_flipped_anywhere_is_a_miss_and_never_a_wrong_answer() {
    let bench = bench();
    let tier = bench.start();
    let content = pattern(200_000);
    bench.put(&tier, "/a", content.clone());
    drop(tier);
    let segment = bench.segments().remove(0);
    let whole = fs::read(&segment).expect("readable");
    let places = (0..96)
        .step_by(5)
        .chain((96..700).step_by(29))
        .chain((700..whole.len()).step_by(19_973));
    for place in places {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&segment, &damaged).expect("writable");
        let tier = bench.start();
        let got = bench.got(&tier, "/a");
        assert!(got.is_err(), "{place}");
        // It is not asked for twice.
        assert_eq!(bench.got(&tier, "/a"), Err("miss"), "{place}");
        drop(tier);
        for left in bench.segments() {
            fs::remove_file(left).expect("removable");
        }
        fs::write(&segment, &whole).expect("writable");
    }
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Ok(content));
}

#[test]
fn a_torn_end_is_cut_and_what_stands_before_it_is_found() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", pattern(5000));
    let kept = bench.bytes_on_disk();
    bench.put(&tier, "/b", pattern(5000));
    let full = bench.bytes_on_disk();
    drop(tier);
    let segment = bench.segments().remove(0);
    for cut in [1, 4000, full - kept - 1] {
        let file = OpenOptions::new().write(true).open(&segment);
        file.and_then(|file| file.set_len(full - cut)).expect("cut");
        let tier = bench.start();
        assert_eq!(bench.got(&tier, "/a"), Ok(pattern(5000)));
        assert_eq!(bench.got(&tier, "/b"), Err("miss"));
        assert_eq!(fs::metadata(&segment).expect("there").len(), kept);
        bench.put(&tier, "/c", pattern(10));
        drop(tier);
        let tier = bench.start();
        assert_eq!(bench.got(&tier, "/c"), Ok(pattern(10)));
    }
}

#[test]
fn damage_behind_what_is_checked_ahead_ends_the_content() {
    let bench = bench();
    let tier = bench.start();
    let content = pattern(10 * 1024 * 1024);
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, content.clone());
    tier.save(&TierKey::of(&key), &stored);
    bench.flush(&tier);
    assert_eq!(bench.got(&tier, "/a"), Ok(content));
    let segment = bench.segments().remove(0);
    let file = OpenOptions::new().write(true).open(&segment).expect("open");
    file.write_all_at(b"damage", bench.bytes_on_disk() - 1000)
        .expect("written");
    assert_eq!(bench.got(&tier, "/a"), Err("cut"));
}

#[test]
fn a_clock_that_went_back_empties_the_disk() {
    let bench = bench();
    let tier = bench.start();
    bench.put(&tier, "/a", pattern(10));
    drop(tier);
    let before = bench.kit.clock.wall();
    bench.kit.time.set_wall(before - 10 * SECOND);
    let tier = bench.start();
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    assert_eq!(bench.bytes_on_disk(), 0);
}

fn purge(number: u64) -> LoggedPurge {
    LoggedPurge {
        number,
        wall: 7,
        purge: Arc::from(&b"a scope"[..]),
    }
}

#[test]
fn purges_are_kept_and_those_of_what_is_not_there_are_left_out() {
    let bench = bench();
    let (tier, before) = bench.start_with(bench.settings());
    bench.put(&tier, "/a", pattern(10));
    let (here, gone) = (bench.kit.key("/a"), bench.kit.key("/b"));
    tier.purge(purge(before.base + 1), Some(&gone.uri_digest()));
    tier.purge(purge(before.base + 2), Some(&here.uri_digest()));
    tier.purge(purge(before.base + 3), None);
    assert!(bench.runtime.block_on(tier.settle()));
    drop(tier);
    let (_tier, after) = bench.start_with(bench.settings());
    assert_eq!(
        after.purges,
        [purge(before.base + 2), purge(before.base + 3)]
    );
    assert!(after.base > before.base + 3);
}

#[test]
fn what_was_purged_before_it_is_saved_is_not_saved() {
    let bench = bench();
    let tier = bench.start();
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(10));
    tier.purge(purge(stored.head().sequence() + 1), Some(&key.uri_digest()));
    let saved = tier.save(&TierKey::of(&key), &stored);
    assert_eq!(saved, Saved::Dropped(Dropped::Purged));
}

#[test]
fn without_its_purge_log_nothing_is_believed() {
    let bench = bench();
    for damage in [true, false] {
        let tier = bench.start();
        bench.put(&tier, "/a", pattern(10));
        assert!(bench.got(&tier, "/a").is_ok());
        drop(tier);
        let log = bench.folder.path().join("disk/purges.log");
        if damage {
            let mut bytes = fs::read(&log).expect("readable");
            bytes[5] ^= 1;
            fs::write(&log, bytes).expect("writable");
        } else {
            fs::remove_file(&log).expect("removable");
        }
        let tier = bench.start();
        assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    }
}

#[test]
fn a_folder_belongs_to_one_tier() {
    let bench = bench();
    let _tier = bench.start();
    let walls = Walls::new(bench.kit.clock.clone());
    let refused = DiskTier::start(bench.settings(), walls).expect_err("in use");
    let text = refused.to_string();
    assert!(text.ends_with("is in use by another node"), "{text}");
}

/// Waits for what the writer does on its own, as long as it takes on a busy machine.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..30_000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    panic!("never: {what}");
}

#[test]
fn a_folder_that_cannot_be_is_off_and_comes_back() {
    let bench = bench();
    let path = bench.folder.path().join("disk");
    fs::write(&path, b"a file").expect("writable");
    let (tier, before) = bench.start_with_system_clock();
    assert_eq!(bench.got(&tier, "/a"), Err("off-missing"));
    let key = bench.kit.key("/a");
    let stored = bench.stored(&key, FRESH, pattern(10));
    let saved = tier.save(&TierKey::of(&key), &stored);
    assert_eq!(saved, Saved::Dropped(Dropped::Off));
    tier.purge(purge(before.base + 1), None);
    assert!(bench.runtime.block_on(tier.settle()));
    fs::remove_file(&path).expect("removable");
    until("the tier is on", || tier.stats().off.is_none());
    bench.put(&tier, "/a", pattern(10));
    assert_eq!(bench.got(&tier, "/a"), Ok(pattern(10)));
    drop(tier);
    // The purge that could not be written then is written now.
    let (_tier, after) = bench.start_with_system_clock();
    assert_eq!(after.purges, [purge(before.base + 1)]);
}

#[test]
fn a_folder_that_goes_away_turns_the_tier_off_and_purges_are_not_lost() {
    let bench = bench();
    let path = bench.folder.path().join("disk");
    let (tier, before) = bench.start_with_system_clock();
    bench.put(&tier, "/a", pattern(10));
    fs::remove_dir_all(&path).expect("removable");
    fs::write(&path, b"a file").expect("writable");
    // The next segment cannot be made.
    let key = bench.kit.key("/b");
    for _ in 0..3 {
        let stored = bench.stored(&key, FRESH, pattern(900_000));
        tier.save(&TierKey::of(&key), &stored);
    }
    until("the tier is off", || tier.stats().off == Some(Off::Missing));
    assert_eq!(bench.got(&tier, "/a"), Err("off-missing"));
    tier.purge(purge(before.base + 1), None);
    fs::remove_file(&path).expect("removable");
    until("the tier is on", || tier.stats().off.is_none());
    assert_eq!(bench.got(&tier, "/a"), Err("miss"));
    drop(tier);
    let (tier, after) = bench.start_with_system_clock();
    assert_eq!(after.purges, [purge(before.base + 1)]);
    assert_eq!(tier.stats().times_off, 0);
}

impl Bench {
    /// Trials of a disk that is off need a clock that goes.
    fn start_with_system_clock(&self) -> (DiskTier, PurgesBefore) {
        let walls = Walls::new(verge_base::Clock::system());
        DiskTier::start(self.settings(), walls).expect("nobody else uses it")
    }
}

#[test]
fn writes_over_the_rate_are_dropped() {
    let bench = bench();
    let (tier, _) = bench.start_with(DiskSettings {
        write_rate: 20_000,
        ..bench.settings()
    });
    for number in 0..5 {
        bench.put(&tier, &format!("/{number}"), pattern(8000));
    }
    assert_eq!((tier.stats().saved, tier.stats().dropped_over_rate), (2, 3));
    bench.kit.time.advance(SECOND);
    bench.put(&tier, "/later", pattern(8000));
    assert_eq!(tier.stats().saved, 3);
    assert!(bench.kit.clock.wall() > SystemTime::UNIX_EPOCH);
}

/// A response of which every byte is known from its name.
#[test]
fn many_threads_read_what_one_writes() {
    let bench = bench();
    let tier = bench.start();
    for number in 0..20_usize {
        bench.put(&tier, &format!("/{number}"), pattern(number * 50_000));
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .expect("a runtime");
                for number in 0..20_usize {
                    let key = TierKey::of(&bench.kit.key(&format!("/{number}")));
                    let answer = runtime.block_on(tier.load(&key, &map(&[])));
                    let TierAnswer::Hit(hit) = answer else {
                        panic!("{}", answer.label());
                    };
                    let content = runtime.block_on(hit.content.collect());
                    let content = content.expect("whole").to_bytes();
                    assert_eq!(content, pattern(number * 50_000));
                }
            });
        }
    });
}
