//! A store in the region's Redis: operations in the words of its commands.

use std::sync::Arc;

use verge_runtime::capabilities::{KvEntry, KvError, KvExpected, KvFuture, KvOp, KvPage, KvReply};
use verge_shared::{Expected, RegionKv, Trouble, Versioned};

pub(super) struct RegionStore {
    kv: RegionKv,
    name: Arc<str>,
}

impl RegionStore {
    pub(super) fn new(kv: RegionKv, name: Arc<str>) -> Self {
        Self { kv, name }
    }

    pub(super) fn run(&self, op: KvOp) -> KvFuture {
        let (kv, name) = (self.kv.clone(), Arc::clone(&self.name));
        Box::pin(async move { run(&kv, &name, op).await })
    }
}

async fn run(kv: &RegionKv, store: &str, op: KvOp) -> Result<KvReply, KvError> {
    let reply = match op {
        KvOp::Get { key } => {
            let found = kv.get(store, &key).await.map_err(told)?;
            KvReply::Entry(found.map(entry))
        }
        KvOp::Exists { key } => KvReply::Flag(kv.exists(store, &key).await.map_err(told)?),
        KvOp::Set { key, value, ttl } => {
            let version = kv.set(store, &key, &value, ttl).await;
            KvReply::Version(version.map_err(told)?)
        }
        KvOp::Delete { key } => KvReply::Flag(kv.delete(store, &key).await.map_err(told)?),
        KvOp::Increment { key, delta, ttl } => {
            let sum = kv.increment(store, &key, delta, ttl).await.map_err(told)?;
            KvReply::Number(sum.ok_or(KvError::NotANumber)?)
        }
        KvOp::Swap {
            key,
            expected,
            value,
            ttl,
        } => {
            let expected = match &expected {
                KvExpected::Absent => Expected::Absent,
                KvExpected::Version(version) => Expected::Version(*version),
                KvExpected::Value(value) => Expected::Value(value),
            };
            let swapped = kv.swap(store, &key, expected, &value, ttl).await;
            KvReply::Swapped(swapped.map_err(told)?.map_err(|found| found.map(entry)))
        }
        KvOp::List {
            prefix,
            after,
            limit,
        } => {
            let page = kv.list(store, &prefix, after.as_deref(), limit).await;
            let (keys, cursor) = page.map_err(told)?;
            KvReply::Page(KvPage { keys, cursor })
        }
    };
    Ok(reply)
}

fn entry((value, version): Versioned) -> KvEntry {
    KvEntry { value, version }
}

fn told(trouble: Trouble) -> KvError {
    match trouble {
        Trouble::TimedOut => KvError::TimedOut,
        Trouble::Busy => KvError::Busy,
        Trouble::Full => KvError::Full,
        Trouble::Disconnected
        | Trouble::BreakerOpen
        | Trouble::Broken
        | Trouble::ReadOnly
        | Trouble::Refused
        | Trouble::Garbage => KvError::Unavailable,
    }
}
