//! `kv`: the crossing to the stores that a function was granted. A store's
//! handle is its place among them; a call holds nothing else of it.
//!
//! A guest that waits here uses up its deadline and none of its CPU budget.

use std::task::Poll;
use std::time::Duration;

use wasmtime::component::Resource;

use crate::bindings::verge::edge::kv::{self, Entry, Error, Expected, Page, Swapped};
use crate::capabilities::{
    KV_PAGE_MAX, KvEntry, KvError, KvExpected, KvFuture, KvOp, KvReply, KvStores,
};
use crate::handles::StoreHandle;
use crate::state::CallState;

/// Operations of one batch that are under way at once.
const BATCH_WIDTH: usize = 16;

/// Bytes of values that one batch may read.
const BATCH_BYTES: usize = 4 << 20;

type Fallible<T> = wasmtime::Result<Result<T, Error>>;

impl CallState {
    /// The stores that the function was granted.
    pub(super) fn stores(&self) -> Option<&KvStores> {
        self.capabilities().kv()
    }

    /// Counts an operation and begins it. Its store is one that a live handle stands for.
    pub(super) fn begin_kv(&mut self, store: u32, op: KvOp) -> wasmtime::Result<KvFuture> {
        self.hostcall()?;
        let store = self.stores().and_then(|stores| stores.at(store));
        let store = store.ok_or_else(|| wasmtime::format_err!("no such handle"))?;
        Ok(store.run(op))
    }

    /// The same, to its end.
    pub(super) async fn run_kv(
        &mut self,
        store: u32,
        op: KvOp,
    ) -> wasmtime::Result<Result<KvReply, KvError>> {
        Ok(self.begin_kv(store, op)?.await)
    }

    /// Reads several keys, a few at once.
    pub(super) async fn get_many_kv(
        &mut self,
        store: u32,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Option<KvEntry>>, KvError>> {
        let ops = keys.into_iter().map(|key| KvOp::Get { key });
        let mut entries = Vec::new();
        let mut bytes = 0;
        let done = self
            .batch_kv(store, ops, |reply| {
                let entry = entry(reply)?;
                bytes += entry.as_ref().map_or(0, |entry| entry.value.len());
                entries.push(entry);
                if bytes > BATCH_BYTES {
                    return Err(KvError::ValueTooLarge);
                }
                Ok(())
            })
            .await?;
        Ok(done.map(|()| entries))
    }

    /// Does operations, a few at once, and takes each answer in turn. The first that fails ends it.
    pub(super) async fn batch_kv(
        &mut self,
        store: u32,
        ops: impl Iterator<Item = KvOp>,
        mut take: impl FnMut(KvReply) -> Result<(), KvError>,
    ) -> wasmtime::Result<Result<(), KvError>> {
        let mut ops = ops.peekable();
        if ops.peek().is_none() {
            // A batch of nothing is a call, too.
            self.hostcall()?;
        }
        while ops.peek().is_some() {
            let mut under_way = Vec::with_capacity(BATCH_WIDTH);
            for op in ops.by_ref().take(BATCH_WIDTH) {
                under_way.push(self.begin_kv(store, op)?);
            }
            for answer in all(under_way).await {
                if let Err(error) = answer.and_then(&mut take) {
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(()))
    }
}

/// Waits for all of them.
async fn all(futures: Vec<KvFuture>) -> Vec<Result<KvReply, KvError>> {
    let mut places: Vec<_> = futures.into_iter().map(|future| (future, None)).collect();
    std::future::poll_fn(|context| {
        let mut waits = false;
        for (future, answer) in &mut places {
            if answer.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(done) => *answer = Some(done),
                    Poll::Pending => waits = true,
                }
            }
        }
        if waits {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    let answers = places.into_iter();
    answers
        .map(|(_, answer)| answer.unwrap_or(Err(KvError::Unavailable)))
        .collect()
}

/// The entry of an answer; a store that answers something else cannot be used.
pub(super) fn entry(reply: KvReply) -> Result<Option<KvEntry>, KvError> {
    match reply {
        KvReply::Entry(entry) => Ok(entry),
        _ => Err(KvError::Unavailable),
    }
}

/// The yes or no of an answer.
pub(super) fn flag(reply: KvReply) -> Result<bool, KvError> {
    match reply {
        KvReply::Flag(flag) => Ok(flag),
        _ => Err(KvError::Unavailable),
    }
}

/// The sum of an answer.
pub(super) fn number(reply: KvReply) -> Result<i64, KvError> {
    match reply {
        KvReply::Number(number) => Ok(number),
        _ => Err(KvError::Unavailable),
    }
}

fn version(reply: KvReply) -> Result<u64, KvError> {
    match reply {
        KvReply::Version(version) => Ok(version),
        _ => Err(KvError::Unavailable),
    }
}

fn ttl(milliseconds: Option<u64>) -> Option<Duration> {
    milliseconds.map(|ms| Duration::from_millis(ms.max(1)))
}

fn told(entry: KvEntry) -> Entry {
    Entry {
        value: entry.value,
        version: entry.version,
    }
}

fn told_error(error: KvError) -> Error {
    match error {
        KvError::NoSuchStore => Error::NoSuchStore,
        KvError::KeyInvalid => Error::KeyInvalid,
        KvError::ValueTooLarge => Error::ValueTooLarge,
        KvError::NotANumber => Error::NotANumber,
        KvError::Full => Error::Full,
        KvError::Busy => Error::Busy,
        KvError::TimedOut => Error::TimedOut,
        KvError::Unavailable => Error::Unavailable,
    }
}

impl kv::Host for CallState {}

impl kv::HostStore for CallState {
    async fn open(&mut self, name: String) -> Fallible<Resource<StoreHandle>> {
        self.hostcall()?;
        let place = self.stores().and_then(|stores| stores.find(&name));
        Ok(place.map(Resource::new_own).ok_or(Error::NoSuchStore))
    }

    async fn get(&mut self, store: Resource<StoreHandle>, key: String) -> Fallible<Option<Entry>> {
        let answer = self.run_kv(store.rep(), KvOp::Get { key }).await?;
        let entry = answer.and_then(entry).map_err(told_error);
        Ok(entry.map(|entry| entry.map(told)))
    }

    async fn get_many(
        &mut self,
        store: Resource<StoreHandle>,
        keys: Vec<String>,
    ) -> Fallible<Vec<Option<Entry>>> {
        let entries = self.get_many_kv(store.rep(), keys).await?;
        let entries = entries.map_err(told_error);
        Ok(entries.map(|entries| entries.into_iter().map(|entry| entry.map(told)).collect()))
    }

    async fn exists(&mut self, store: Resource<StoreHandle>, key: String) -> Fallible<bool> {
        let answer = self.run_kv(store.rep(), KvOp::Exists { key }).await?;
        Ok(answer.and_then(flag).map_err(told_error))
    }

    async fn set(
        &mut self,
        store: Resource<StoreHandle>,
        key: String,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Fallible<u64> {
        let ttl = ttl(ttl_ms);
        let answer = self.run_kv(store.rep(), KvOp::Set { key, value, ttl });
        Ok(answer.await?.and_then(version).map_err(told_error))
    }

    async fn delete(&mut self, store: Resource<StoreHandle>, key: String) -> Fallible<bool> {
        let answer = self.run_kv(store.rep(), KvOp::Delete { key }).await?;
        Ok(answer.and_then(flag).map_err(told_error))
    }

    async fn increment(
        &mut self,
        store: Resource<StoreHandle>,
        key: String,
        delta: i64,
        ttl_ms: Option<u64>,
    ) -> Fallible<i64> {
        let ttl = ttl(ttl_ms);
        let answer = self.run_kv(store.rep(), KvOp::Increment { key, delta, ttl });
        Ok(answer.await?.and_then(number).map_err(told_error))
    }

    async fn swap(
        &mut self,
        store: Resource<StoreHandle>,
        key: String,
        expected: Expected,
        value: Vec<u8>,
        ttl_ms: Option<u64>,
    ) -> Fallible<Swapped> {
        let op = KvOp::Swap {
            key,
            value,
            ttl: ttl(ttl_ms),
            expected: match expected {
                Expected::Absent => KvExpected::Absent,
                Expected::Version(version) => KvExpected::Version(version),
                Expected::Value(value) => KvExpected::Value(value),
            },
        };
        Ok(match self.run_kv(store.rep(), op).await? {
            Ok(KvReply::Swapped(Ok(version))) => Ok(Swapped::Written(version)),
            Ok(KvReply::Swapped(Err(entry))) => Ok(Swapped::Conflict(entry.map(told))),
            Ok(_) => Err(Error::Unavailable),
            Err(error) => Err(told_error(error)),
        })
    }

    async fn list(
        &mut self,
        store: Resource<StoreHandle>,
        prefix: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Fallible<Page> {
        let op = KvOp::List {
            prefix,
            after: cursor,
            limit: page_limit(limit),
        };
        Ok(match self.run_kv(store.rep(), op).await? {
            Ok(KvReply::Page(page)) => Ok(Page {
                keys: page.keys,
                cursor: page.cursor,
            }),
            Ok(_) => Err(Error::Unavailable),
            Err(error) => Err(told_error(error)),
        })
    }

    async fn drop(&mut self, _: Resource<StoreHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

fn page_limit(wanted: u32) -> u32 {
    if wanted == 0 {
        KV_PAGE_MAX
    } else {
        wanted.min(KV_PAGE_MAX)
    }
}
