//! Purges from node to node, whatever happens to Redis meanwhile.

use crate::eventually;
use crate::redis::{Passing, Proxy, Redis};
use verge_shared::{Mode, SharedSettings};

use super::kit::{EVERYTHING, Side, servers};

#[tokio::test]
async fn purge_crosses_in_order_and_comes_back() {
    let redis = Redis::start().await;
    let (here, there) = (Side::single(redis.address()), Side::single(redis.address()));
    here.trusted().await;
    there.trusted().await;
    for number in 0..50 {
        here.purge(&format!("a{number}"));
    }
    there.told("a49").await;
    let expected: Vec<String> = (0..50).map(|number| format!("a{number}")).collect();
    assert_eq!(there.purges(), expected);
    // Applied once more at its place in the stream, so that order is one for all.
    here.told_times("a49", 2).await;
    let sample = there.sample().stream;
    assert_eq!((sample.applied, sample.lag.count), (50, 50));
    assert_eq!(here.sample().stream.published, 50);
    assert!(sample.resets.iter().all(|(_, count)| *count == 0));
}

#[tokio::test]
async fn new_node_reads_the_stream_from_its_beginning() {
    let redis = Redis::start().await;
    let here = Side::single(redis.address());
    here.purge("early");
    here.told_times("early", 2).await;
    let there = Side::single(redis.address());
    there.trusted().await;
    assert_eq!(there.purges(), ["early"]);
}

#[tokio::test]
async fn purge_made_during_a_partition_arrives_after_it() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let (here, there) = (Side::single(redis.address()), Side::single(proxy.address()));
    here.purge("before");
    there.told("before").await;
    for passing in [Passing::Cut, Passing::Stalled, Passing::Garbled] {
        proxy.set(passing);
        let (out, back) = (format!("out {passing:?}"), format!("back {passing:?}"));
        here.purge(&out);
        there.purge(&back);
        here.told_times(&out, 2).await;
        assert!(!there.purges().contains(&out), "{passing:?}");
        proxy.set(Passing::All);
        there.told(&out).await;
        here.told(&back).await;
    }
    let everything = |side: &Side| side.purges().iter().any(|purge| purge == EVERYTHING);
    assert!(!everything(&here) && !everything(&there));
}

#[tokio::test]
async fn nothing_is_trusted_while_the_stream_is_cut_off() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let mut settings = SharedSettings::new(servers(Mode::Single, &[proxy.address()]));
    settings.stream_trust = std::time::Duration::from_secs(1);
    let side = Side::of(settings);
    side.trusted().await;
    proxy.set(Passing::Stalled);
    eventually("the trust ends", async || !side.sample().stream.is_trusted).await;
    proxy.set(Passing::All);
    side.trusted().await;
}

#[tokio::test]
async fn purges_made_while_redis_is_down_are_published_later() {
    let redis = Redis::start().await;
    let (here, there) = (Side::single(redis.address()), Side::single(redis.address()));
    here.trusted().await;
    there.trusted().await;
    redis.kill();
    here.purge("meanwhile");
    redis.restart().await;
    there.told("meanwhile").await;
    // It came back with nothing: whatever else was purged cannot be told.
    there.told(EVERYTHING).await;
    here.told(EVERYTHING).await;
}

#[tokio::test]
async fn more_purges_than_may_wait_become_one_of_everything() {
    let redis = Redis::start().await;
    let there = Side::single(redis.address());
    let proxy = Proxy::start(redis.address()).await;
    let mut settings = SharedSettings::new(servers(Mode::Single, &[proxy.address()]));
    settings.publish_max = 10;
    let here = Side::of(settings);
    here.trusted().await;
    there.trusted().await;
    proxy.set(Passing::Cut);
    for number in 0..1000 {
        here.purge(&format!("b{number}"));
    }
    assert!(here.sample().stream.waiting <= 11);
    assert!(here.sample().stream.overflows > 0);
    proxy.set(Passing::All);
    there.told(EVERYTHING).await;
}

#[tokio::test]
async fn emptied_redis_makes_everything_stale_and_purges_go_on() {
    let redis = Redis::start().await;
    let (here, there) = (Side::single(redis.address()), Side::single(redis.address()));
    here.purge("one");
    there.told("one").await;
    redis.ask(&["FLUSHALL"]);
    here.told(EVERYTHING).await;
    there.told(EVERYTHING).await;
    here.trusted().await;
    there.trusted().await;
    here.purge("two");
    there.told("two").await;
    there.purge("three");
    here.told("three").await;
}

#[tokio::test]
async fn entries_that_were_trimmed_before_they_were_read_are_a_gap() {
    let redis = Redis::start().await;
    let proxy = Proxy::start(redis.address()).await;
    let (here, there) = (Side::single(redis.address()), Side::single(proxy.address()));
    here.purge("one");
    there.told("one").await;
    proxy.set(Passing::Cut);
    here.purge("two");
    here.purge("three");
    here.told_times("three", 2).await;
    redis.ask(&["XTRIM", "verge:{purges}:stream", "MAXLEN", "1"]);
    proxy.set(Passing::All);
    there.told("three").await;
    assert_eq!(there.purges(), ["one", EVERYTHING, "three"]);
    assert!(!here.purges().iter().any(|purge| purge == EVERYTHING));
}

#[tokio::test]
async fn entries_that_redis_lost_make_everything_stale_everywhere() {
    let redis = Redis::start().await;
    let (here, there) = (Side::single(redis.address()), Side::single(redis.address()));
    let state = "verge:{purges}:state";
    here.trusted().await;
    there.trusted().await;
    here.purge("one");
    there.told("one").await;
    let token = redis.ask(&["HGET", state, "t"]);
    here.purge("two");
    there.told("two").await;
    // What a failover to a replica that lags leaves: the last entry never was.
    redis.ask(&["XDEL", "verge:{purges}:stream", "2-0"]);
    redis.ask(&["HSET", state, "n", "1", "t", &token]);
    here.told(EVERYTHING).await;
    there.told(EVERYTHING).await;
    here.purge("three");
    there.told("three").await;
}
