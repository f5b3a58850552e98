//! Sentinels and clusters: real processes, failed over while in use.

use crate::redis::{Redis, RedisCluster, RedisSentinel};
use verge_shared::{Mode, SharedSettings};

use super::kit::{Side, servers};

#[tokio::test]
async fn purges_cross_in_a_cluster() {
    let cluster = RedisCluster::start().await;
    let first = [cluster.masters[0].address()];
    let settings = SharedSettings::new(servers(Mode::Cluster, &first));
    let (here, there) = (Side::of(settings.clone()), Side::of(settings));
    here.trusted().await;
    there.trusted().await;
    here.purge("one");
    there.told("one").await;
    there.purge("two");
    here.told("two").await;
}

#[tokio::test]
async fn purges_go_on_after_a_failover() {
    let group = RedisSentinel::start().await;
    let mode = Mode::Sentinel {
        master: RedisSentinel::MASTER.to_owned(),
    };
    let settings = SharedSettings::new(servers(mode, &[group.sentinel.address()]));
    let (here, there) = (Side::of(settings.clone()), Side::of(settings));
    here.trusted().await;
    there.trusted().await;
    here.purge("one");
    there.told("one").await;
    group.master.kill();
    here.purge("two");
    there.told("two").await;
    there.purge("three");
    here.told("three").await;
}

#[tokio::test]
async fn password_is_asked_for_and_given() {
    let redis = Redis::start_with(&["--requirepass", "open sesame"]).await;
    let mut settings = SharedSettings::new(servers(Mode::Single, &[redis.address()]));
    let without = Side::of(settings.clone());
    settings.server.password = Some(verge_shared::Password("open sesame".to_owned()));
    assert!(!format!("{settings:?}").contains("sesame"));
    let with = Side::of(settings);
    with.trusted().await;
    assert!(!without.sample().stream.is_trusted);
}
