//! Steps at random, one after the other and by several threads at once.

use std::collections::HashMap;

use proptest::prelude::*;

use super::FRESH;
use crate::testkit::*;
use crate::*;

#[derive(Clone, Debug)]
enum Step {
    Store { path: u8, len: usize },
    Begin { path: u8 },
    Push { len: usize },
    Read,
    Finish,
    Abort,
    Invalidate { path: u8 },
    Look { path: u8 },
    Hold { path: u8 },
    Release,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = 0..24_u8;
    let len = prop_oneof![0..3000_usize, 20_000..200_000_usize];
    let step = prop_oneof![
        4 => (path.clone(), len.clone()).prop_map(|(path, len)| Step::Store { path, len }),
        2 => path.clone().prop_map(|path| Step::Begin { path }),
        4 => len.prop_map(|len| Step::Push { len }),
        2 => Just(Step::Read),
        1 => Just(Step::Finish),
        1 => Just(Step::Abort),
        1 => path.clone().prop_map(|path| Step::Invalidate { path }),
        3 => path.clone().prop_map(|path| Step::Look { path }),
        1 => path.prop_map(|path| Step::Hold { path }),
        1 => Just(Step::Release),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: memory is bounded, what is found is what was stored
    /// last and not purged since, and in the end nothing stays counted.
    #[test]
    fn memory_is_bounded_and_lookups_are_true_under_any_mix(steps in steps()) {
        let kit = kit_with(CacheSettings {
            max_object: 256 * KIB,
            ..CacheSettings::with_memory(MIB)
        });
        let key = |path: u8| kit.key(&format!("/{path}"));
        // What a lookup may find; eviction may take it away at any time.
        let mut expected: HashMap<u8, usize> = HashMap::new();
        let mut held = Vec::new();
        let mut fills: Vec<(Option<u8>, Filling)> = Vec::new();
        for step in steps {
            match step {
                Step::Store { path, len } => {
                    let permit = kit.alone(&key(path), &[]);
                    if let Begun::Filling(mut filling) = kit.try_begin(permit, &[], FRESH) {
                        let pushed = try_push(&mut filling.writer, pattern(len));
                        if pushed == Some(Ok(()))
                            && let Ok(Finished::Stored(_)) = filling.writer.finish(None)
                        {
                            expected.insert(path, len);
                        }
                    }
                }
                Step::Begin { path } => {
                    let permit = kit.alone(&key(path), &[]);
                    if let Begun::Filling(filling) = kit.try_begin(permit, &[], FRESH) {
                        fills.push((Some(path), *filling));
                    }
                }
                Step::Push { len } => {
                    if let Some((_, filling)) = fills.last_mut()
                        && try_push(&mut filling.writer, pattern(len)) != Some(Ok(()))
                    {
                        fills.pop();
                    }
                }
                Step::Read => {
                    for (_, filling) in &mut fills {
                        read(&mut filling.reader);
                    }
                }
                Step::Finish => {
                    if let Some((path, filling)) = fills.pop() {
                        let written = filling.writer.written() as usize;
                        if let Ok(Finished::Stored(_)) = filling.writer.finish(None)
                            && let Some(path) = path
                        {
                            expected.insert(path, written);
                        }
                    }
                }
                Step::Abort => { fills.pop(); }
                Step::Invalidate { path } => {
                    kit.cache.invalidate(&key(path));
                    expected.remove(&path);
                    for (filled, _) in &mut fills {
                        if *filled == Some(path) {
                            *filled = None;
                        }
                    }
                }
                Step::Look { path } => {
                    if let Some(found) = kit.selected(&key(path), &[]) {
                        let len = expected.get(&path).copied();
                        prop_assert_eq!(Some(found.content_length() as usize), len);
                    }
                }
                Step::Hold { path } => held.extend(kit.selected(&key(path), &[])),
                Step::Release => held.clear(),
            }
            let stats = kit.cache.stats();
            prop_assert!(stats.bytes_peak <= MIB, "{:?}", stats);
        }
        drop((held, fills));
        for path in 0..24 {
            kit.cache.invalidate(&key(path));
        }
        let stats = kit.cache.stats();
        prop_assert_eq!((stats.entries, stats.bytes, stats.fills_in_progress), (0, 0, 0));
    }
}

/// Threads that look, join, fill, purge and give up at random leave nothing
/// behind: no flight, no byte, and no response that was purged.
#[test]
fn nothing_is_left_behind_by_threads_at_random() {
    let kit = kit_with(CacheSettings {
        max_object: 256 * KIB,
        ..CacheSettings::with_memory(MIB)
    });
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let kit = &kit;
            scope.spawn(move || {
                let random = verge_base::Random::seeded(seed);
                for _ in 0..3000 {
                    one_request(kit, &random);
                }
            });
        }
    });
    assert!(kit.cache.stats().bytes_peak <= MIB);
    for path in 0..8 {
        kit.cache.invalidate(&kit.key(&format!("/{path}")));
    }
    assert_eq!(kit.cache.inner().flights.flights(), 0);
    let stats = kit.cache.stats();
    assert_eq!(
        (stats.entries, stats.bytes, stats.fills_in_progress),
        (0, 0, 0)
    );
}

fn one_request(kit: &Kit, random: &verge_base::Random) {
    let path = random.below(8);
    let key = kit.key(&format!("/{path}"));
    if random.below(20) == 0 {
        kit.cache.invalidate(&key);
    }
    // All content under one path consists of the path's number.
    let check = |content: Vec<u8>| assert!(content.iter().all(|byte| u64::from(*byte) == path));
    if let Some(found) = kit.selected(&key, &[]) {
        check(content(found.body()));
        return;
    }
    match kit.join(&key, &[]) {
        Join::Arrived(found) => check(content(found.body())),
        Join::Follower(mut waiter) => {
            if let Some(Followed::Filling { mut reader, .. }) = wait(&mut waiter, &[]) {
                check(read(&mut reader).0);
            }
        }
        Join::Leader(mut permit) | Join::Alone(mut permit, _) => {
            permit.mark_sent();
            if random.below(10) == 0 {
                return;
            }
            let Begun::Filling(mut filling) = kit.try_begin(permit, &[], FRESH) else {
                return;
            };
            let byte = u8::try_from(path).expect("below 8");
            for _ in 0..random.below(4) {
                let len = usize::try_from(random.below(100_000)).expect("small");
                let data = bytes::Bytes::from([byte].repeat(len));
                if try_push(&mut filling.writer, data) != Some(Ok(())) {
                    return;
                }
                check(read(&mut filling.reader).0);
            }
            if random.below(10) > 0 {
                filling.writer.finish(None).expect("no length was promised");
            }
        }
    }
}
