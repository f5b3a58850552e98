//! Stored responses and leases, as two nodes see them.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use verge_cache::tier::Want;
use verge_shared::{
    AloneFor, Candidate, Leasing, LookupOutcome, Mode, SavedResponse, SharedSettings,
};

use super::kit::{Side, servers};
use crate::eventually;
use crate::redis::{Passing, Proxy, Redis};

const KEY: [u8; 32] = [5; 32];

fn response(side: &Side, content: Bytes) -> SavedResponse {
    SavedResponse {
        key: KEY,
        variant: [1; 16],
        record: Bytes::from_static(b"a record"),
        wall: SystemTime::now(),
        content: vec![content],
        sequence: side.sequence(),
        useful_for: Duration::from_secs(60),
    }
}

/// Patient enough for a machine that does much else.
fn settings(address: std::net::SocketAddr) -> SharedSettings {
    let mut settings = SharedSettings::new(servers(Mode::Single, &[address]));
    settings.timeout = Duration::from_secs(5);
    settings
}

fn any(candidate: Candidate<'_>) -> Option<(SystemTime, Bytes)> {
    let record = Bytes::copy_from_slice(candidate.record);
    Some((candidate.writer_wall, record))
}

async fn load(side: &Side) -> Result<Vec<u8>, LookupOutcome> {
    side.shared
        .load(&KEY, Want::Whole, any)
        .await
        .map(|found| found.content.concat())
}

async fn saved(side: &Side, count: u64) {
    eventually("it is saved", async || {
        let saves = side.sample().l2.saves;
        saves
            .iter()
            .any(|(label, number)| *label == "saved" && *number >= count)
    })
    .await;
}

async fn pair(redis: &Redis) -> (Side, Side) {
    let here = Side::of(settings(redis.address()));
    let there = Side::of(settings(redis.address()));
    here.ready().await;
    there.ready().await;
    (here, there)
}

#[tokio::test]
async fn small_and_large_responses_cross() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    assert_eq!(load(&there).await, Err(LookupOutcome::Miss));
    let large: Bytes = (0..1_500_000_u32).map(|n| n as u8).collect();
    for (index, content) in [Bytes::new(), Bytes::from_static(b"hello"), large]
        .into_iter()
        .enumerate()
    {
        here.shared.save(response(&here, content.clone()));
        saved(&here, index as u64 + 1).await;
        assert_eq!(load(&there).await.unwrap(), content);
    }
}

#[tokio::test]
async fn response_without_a_chunk_is_none() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    let large = Bytes::from(vec![7; 900_000]);
    here.shared.save(response(&here, large.clone()));
    saved(&here, 1).await;
    let chunks = redis.ask(&["KEYS", "verge:c:*:2"]);
    assert_eq!(redis.ask(&["DEL", &chunks]), "1");
    assert_eq!(load(&there).await, Err(LookupOutcome::Incomplete));
    // The next fill has chunks of its own.
    here.shared.save(response(&here, large));
    saved(&here, 2).await;
    let first = redis.ask(&["KEYS", "verge:c:*:0"]);
    for chunk in first.lines() {
        redis.ask(&["SET", chunk, "noise"]);
    }
    assert_eq!(load(&there).await, Err(LookupOutcome::Garbage));
}

#[tokio::test]
async fn content_counts_as_under_way_for_as_long_as_anybody_holds_it() {
    let redis = Redis::start().await;
    let mut settings = settings(redis.address());
    settings.loads_max = 1 << 20;
    let here = Side::of(settings);
    here.ready().await;
    for (index, size) in [900_000, 10_000].into_iter().enumerate() {
        here.shared
            .save(response(&here, Bytes::from(vec![7; size])));
        saved(&here, index as u64 + 1).await;
        let most = (1 << 10) / size.div_ceil(1 << 10);
        let mut held = Vec::new();
        for _ in 0..most {
            let found = here.shared.load(&KEY, Want::Whole, any).await;
            held.extend(found.unwrap().content);
        }
        let one_more = load(&here).await.map(|content| content.len());
        assert_eq!(one_more, Err(LookupOutcome::Busy), "{size}");
        // A slice of the last piece holds that piece, and nothing else.
        let last = held.pop().unwrap().slice(1..2);
        drop(held);
        assert_eq!(load(&here).await.unwrap().len(), size);
        drop(last);
    }
}

#[tokio::test]
async fn noise_in_redis_is_a_miss() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    here.shared.save(response(&here, Bytes::from_static(b"x")));
    saved(&here, 1).await;
    let name = redis.ask(&["KEYS", "verge:r:*"]);
    let field = redis.ask(&["HKEYS", &name]);
    redis.ask(&["HSET", &name, &field, "0000000000000001noise"]);
    assert_eq!(load(&there).await, Err(LookupOutcome::Garbage));
    redis.ask(&["DEL", &name]);
    redis.ask(&["SET", &name, "of another type"]);
    assert_eq!(load(&there).await, Err(LookupOutcome::Trouble));
}

#[tokio::test]
async fn what_was_asked_for_before_a_purge_says_so_on_every_node() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    let before = response(&here, Bytes::from_static(b"old"));
    there.purge("it");
    here.told("it").await;
    there.told_times("it", 2).await;
    let now = there.sequence();
    here.shared.save(before);
    saved(&here, 1).await;
    let found = there.shared.load(&KEY, Want::Whole, any).await.unwrap();
    assert!(
        found.sequence < now,
        "{} is not before {now}",
        found.sequence
    );
    here.shared
        .save(response(&here, Bytes::from_static(b"new")));
    saved(&here, 2).await;
    let found = there.shared.load(&KEY, Want::Whole, any).await.unwrap();
    assert_eq!(
        (found.sequence, found.content.concat()),
        (now, b"new".to_vec())
    );
}

#[tokio::test]
async fn nothing_of_before_a_lost_stream_is_used() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    let before = response(&here, Bytes::from_static(b"old"));
    redis.ask(&["FLUSHALL"]);
    here.told("*").await;
    there.told("*").await;
    here.ready().await;
    there.ready().await;
    // Its place in the stream is not known any more: nobody can tell what purged it.
    here.shared.save(before);
    eventually("it is not saved", async || {
        let saves = here.sample().l2.saves;
        saves.contains(&("no-position", 1))
    })
    .await;
    assert_eq!(load(&there).await, Err(LookupOutcome::Miss));
}

#[tokio::test]
async fn full_redis_costs_saves_and_nothing_else() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    here.shared
        .save(response(&here, Bytes::from_static(b"kept")));
    saved(&here, 1).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    here.shared.save(SavedResponse {
        key: [6; 32],
        ..response(&here, Bytes::from_static(b"too much"))
    });
    eventually("the save is refused", async || {
        here.sample().l2.saves.contains(&("redis-full", 1))
    })
    .await;
    assert_eq!(load(&there).await.unwrap(), b"kept");
    let leasing = there.shared.lease(&KEY, Duration::ZERO).await;
    assert!(matches!(leasing, Leasing::Alone(AloneFor::Trouble)));
}

/// RFC 9111 4: of several that match, the most recent.
#[tokio::test]
async fn newer_response_that_is_not_saved_takes_the_older_one_away() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    here.shared.save(response(&here, Bytes::from_static(b"v1")));
    saved(&here, 1).await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    here.shared.save(response(&here, Bytes::from_static(b"v2")));
    eventually("there is none", async || {
        load(&there).await == Err(LookupOutcome::Miss)
    })
    .await;
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    here.shared.save(response(&here, Bytes::from_static(b"v3")));
    saved(&here, 2).await;
    assert_eq!(load(&there).await.unwrap(), b"v3");
    assert_eq!(load(&here).await.unwrap(), b"v3");
}

#[tokio::test]
async fn what_is_forgotten_without_redis_is_removed_when_it_is_back() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let here = Side::of(settings(proxy.address()));
    let there = Side::of(settings(redis.address()));
    here.ready().await;
    there.ready().await;
    here.shared.save(response(&here, Bytes::from_static(b"v1")));
    saved(&here, 1).await;
    proxy.set(Passing::Cut);
    here.shared.forget(&KEY);
    assert_eq!(load(&there).await.unwrap(), b"v1");
    proxy.set(Passing::All);
    eventually("it is removed", async || {
        load(&there).await == Err(LookupOutcome::Miss)
    })
    .await;
}

#[tokio::test]
async fn what_is_forgotten_is_not_found_here_from_now_on() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    here.shared.save(response(&here, Bytes::from_static(b"v1")));
    saved(&here, 1).await;
    assert_eq!(load(&here).await.unwrap(), b"v1");
    here.shared.forget(&KEY);
    assert_eq!(load(&here).await, Err(LookupOutcome::Miss));
    eventually("others find nothing", async || {
        load(&there).await == Err(LookupOutcome::Miss)
    })
    .await;
    here.shared.save(response(&here, Bytes::from_static(b"v2")));
    saved(&here, 2).await;
    assert_eq!(load(&here).await.unwrap(), b"v2");
}

#[tokio::test]
async fn stopped_redis_is_left_alone_after_a_few_waits() {
    let redis = Redis::start().await;
    let mut quick = SharedSettings::new(servers(Mode::Single, &[redis.address()]));
    quick.timeout = Duration::from_millis(50);
    quick.breaker.open_for = Duration::from_secs(60);
    let side = Side::of(quick);
    side.ready().await;
    redis.pause();
    for _ in 0..5 {
        let found = load(&side).await;
        assert!(found.is_err(), "{found:?}");
    }
    assert_eq!(load(&side).await, Err(LookupOutcome::Off));
    let lookup = &side.sample().links[0];
    assert_eq!((lookup.name, lookup.opened), ("lookup", 1));
    redis.resume();
}

#[tokio::test]
async fn garbled_answers_are_misses_and_pass() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let here = Side::of(settings(redis.address()));
    let there = Side::of(settings(proxy.address()));
    here.ready().await;
    there.ready().await;
    here.shared
        .save(response(&here, Bytes::from_static(b"hello")));
    saved(&here, 1).await;
    assert_eq!(load(&there).await.unwrap(), b"hello");
    proxy.set(Passing::Garbled);
    for _ in 0..3 {
        assert!(load(&there).await.is_err());
    }
    proxy.set(Passing::All);
    eventually("it is found again", async || load(&there).await.is_ok()).await;
}

/// How often Redis was asked to SET anything, as asking for a lease is.
fn leases_asked_for(redis: &Redis) -> u64 {
    let stats = redis.ask(&["INFO", "commandstats"]);
    let calls = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_set:calls="));
    let calls = calls.and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn one_node_holds_the_lease_and_others_wait_for_what_it_saves() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    let Leasing::Held(lease) = here.shared.lease(&KEY, Duration::ZERO).await else {
        panic!("the lease was free");
    };
    let asked = leases_asked_for(&redis);
    let waiting = async {
        let leasing = there.shared.lease(&KEY, Duration::ZERO).await;
        assert!(matches!(leasing, Leasing::LookAgain), "{leasing:?}");
        load(&there).await.unwrap()
    };
    let saving = async {
        // Who comes after the lease was given back would get it.
        eventually("the other node waits", async || {
            leases_asked_for(&redis) > asked
        })
        .await;
        here.shared
            .save(response(&here, Bytes::from_static(b"shared")));
        here.shared.release_when_saved(lease);
    };
    let (found, ()) = tokio::join!(waiting, saving);
    assert_eq!(found, b"shared");
}

#[tokio::test]
async fn lease_is_renewed_while_it_is_held_and_ends_when_it_is_dropped() {
    let redis = Redis::start().await;
    let mut short = settings(redis.address());
    short.lease = Duration::from_millis(600);
    short.lease_wait = Duration::from_millis(1500);
    let (here, there) = (Side::of(short.clone()), Side::of(short));
    here.ready().await;
    there.ready().await;
    let Leasing::Held(lease) = here.shared.lease(&KEY, Duration::ZERO).await else {
        panic!("the lease was free");
    };
    let leasing = there.shared.lease(&KEY, Duration::ZERO).await;
    assert!(matches!(leasing, Leasing::Alone(AloneFor::WaitedInVain)));
    drop(lease);
    let leasing = there.shared.lease(&KEY, Duration::ZERO).await;
    assert!(!matches!(leasing, Leasing::Alone(_)), "{leasing:?}");
}

#[tokio::test]
async fn answers_that_cannot_be_shared_leave_a_marker() {
    let redis = Redis::start().await;
    let (here, there) = pair(&redis).await;
    let Leasing::Held(lease) = here.shared.lease(&KEY, Duration::ZERO).await else {
        panic!("the lease was free");
    };
    lease.refuse(Duration::from_secs(60));
    eventually("others fetch for themselves", async || {
        let leasing = there.shared.lease(&KEY, Duration::ZERO).await;
        matches!(leasing, Leasing::Alone(AloneFor::Marked))
    })
    .await;
}
