//! What a store on disk costs; run by hand with `--ignored --nocapture`.

use std::time::Instant;

use super::*;

const OPERATIONS: usize = 2000;

/// Runs operations, so many at once, and prints how long one took in the median and at the 99th
/// percentile, and how many there were in a second.
async fn measure(what: &str, place: &Arc<Place>, at_once: usize, op: fn(usize) -> KvOp) {
    let begun = now();
    let callers = (0..at_once).map(|caller| {
        let place = Arc::clone(place);
        tokio::spawn(async move {
            let mut took = Vec::new();
            for number in 0..OPERATIONS / at_once {
                let begun = now();
                place.run(op(caller * OPERATIONS + number)).await.unwrap();
                took.push(begun.elapsed());
            }
            took
        })
    });
    let mut took = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        took.extend(caller.await.unwrap());
    }
    took.sort_unstable();
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    let (median, worst) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    println!("{what}, {at_once} at once: p50 {median:?}, p99 {worst:?}, {rate:.0}/s");
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn what_operations_cost() {
    let place = Arc::new(Place::new());
    let get = |number: usize| KvOp::Get {
        key: format!("key:{}", number % 1000),
    };
    let put = |number: usize| set(&format!("key:{}", number % 1000), &[7; 100], None);
    for at_once in [1, 16, 200] {
        measure("set of 100 bytes", &place, at_once, put).await;
        measure("get of 100 bytes", &place, at_once, get).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn what_a_full_file_costs() {
    let place = Place::new();
    for (count, size) in [(200_000_usize, 100_usize), (2_000, 100_000)] {
        for first in (0..count).step_by(200) {
            let keys = first..(first + 200).min(count);
            let writes: Vec<_> = keys
                .map(|n| {
                    place.store.run(
                        set(&format!("{size}:{n}"), &vec![1; size], None),
                        &place.limits,
                    )
                })
                .collect();
            for write in writes {
                write.await.unwrap();
            }
        }
        let path = place.folder.path().join("kv/store");
        let (file, totals) = (
            std::fs::metadata(&path).unwrap().len(),
            place.store.totals(),
        );
        let copy = place.folder.path().join("copy");
        std::fs::copy(&path, &copy).unwrap();
        let (clock, _) = Clock::manual(SystemTime::UNIX_EPOCH);
        let begun = now();
        let opened = DiskStore::open(&copy, MEMORY, clock).unwrap();
        println!(
            "{} entries, {} MB counted, a file of {} MB; opened after a crash in {:?}",
            totals.entries,
            totals.bytes / 1_000_000,
            file / 1_000_000,
            begun.elapsed()
        );
        drop(opened);
        std::fs::remove_file(&copy).unwrap();
    }
}
