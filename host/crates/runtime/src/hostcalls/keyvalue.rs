//! `wasi:keyvalue` on the stores of `kv`: a bucket is a store, a value is bytes,
//! a compare-and-swap goes by the version that its handle was made with.

use wasmtime::component::{HasSelf, Linker, Resource, types::ComponentItem, types::Type};

use super::kv::{entry, flag, number};
use crate::bindings::keyvalue::first;
use crate::bindings::keyvalue::wasi::keyvalue::{
    atomics::{self, CasError},
    batch,
    store::{self, Error, KeyResponse},
};
use crate::capabilities::{KV_PAGE_MAX, KvEntry, KvError, KvExpected, KvOp, KvReply};
use crate::handles::{CasHandle, StoreHandle};
use crate::state::{CallState, Data};

/// The draft that is spoken here.
pub(crate) const VERSION: &str = "0.2.0-draft2";

/// A compare-and-swap that the guest has begun.
pub(crate) struct Cas {
    store: u32,
    key: String,
    current: Option<KvEntry>,
}

type Fallible<T> = wasmtime::Result<Result<T, Error>>;

/// Adds all of `wasi:keyvalue`. Two shapes of `batch` go by one version: the component gets the
/// one that it was built with.
pub(crate) fn add_to_linker(
    linker: &mut Linker<Data>,
    component: &wasmtime::component::Component,
    state: fn(&mut Data) -> &mut CallState,
) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
    atomics::add_to_linker::<_, HasSelf<CallState>>(linker, state)?;
    if has_first_batch(component) {
        first::wasi::keyvalue::batch::add_to_linker::<_, HasSelf<CallState>>(linker, state)
    } else {
        batch::add_to_linker::<_, HasSelf<CallState>>(linker, state)
    }
}

/// Whether the component's `get-many` returns options of pairs, not pairs with options.
fn has_first_batch(component: &wasmtime::component::Component) -> bool {
    let engine = component.engine();
    let imports = component.component_type();
    let import = imports.get_import(engine, "wasi:keyvalue/batch@0.2.0-draft2");
    let Some(ComponentItem::ComponentInstance(batch)) = import.map(|import| import.ty) else {
        return false;
    };
    let export = batch.get_export(engine, "get-many");
    let Some(ComponentItem::ComponentFunc(function)) = export.map(|export| export.ty) else {
        return false;
    };
    let Some(Type::Result(result)) = function.results().next() else {
        return false;
    };
    match result.ok() {
        Some(Type::List(list)) => matches!(list.ty(), Type::Option(_)),
        _ => false,
    }
}

fn told_error(error: KvError) -> Error {
    match error {
        KvError::NoSuchStore => Error::NoSuchStore,
        _ => Error::Other(error.to_string()),
    }
}

impl store::Host for CallState {
    async fn open(&mut self, identifier: String) -> Fallible<Resource<StoreHandle>> {
        self.hostcall()?;
        let place = self.stores().and_then(|stores| {
            // Components that were written for one store call it by no name, or by this one.
            let unnamed = matches!(identifier.as_str(), "" | "default");
            let first = (unnamed && !stores.is_empty()).then_some(0);
            stores.find(&identifier).or(first)
        });
        Ok(place.map(Resource::new_own).ok_or(Error::NoSuchStore))
    }
}

impl store::HostBucket for CallState {
    async fn get(
        &mut self,
        bucket: Resource<StoreHandle>,
        key: String,
    ) -> Fallible<Option<Vec<u8>>> {
        let answer = self.run_kv(bucket.rep(), KvOp::Get { key }).await?;
        let entry = answer.and_then(entry).map_err(told_error);
        Ok(entry.map(|entry| entry.map(|entry| entry.value)))
    }

    async fn set(
        &mut self,
        bucket: Resource<StoreHandle>,
        key: String,
        value: Vec<u8>,
    ) -> Fallible<()> {
        let ttl = None;
        let answer = self.run_kv(bucket.rep(), KvOp::Set { key, value, ttl });
        Ok(answer.await?.map(|_| ()).map_err(told_error))
    }

    async fn delete(&mut self, bucket: Resource<StoreHandle>, key: String) -> Fallible<()> {
        let answer = self.run_kv(bucket.rep(), KvOp::Delete { key }).await?;
        Ok(answer.map(|_| ()).map_err(told_error))
    }

    async fn exists(&mut self, bucket: Resource<StoreHandle>, key: String) -> Fallible<bool> {
        let answer = self.run_kv(bucket.rep(), KvOp::Exists { key }).await?;
        Ok(answer.and_then(flag).map_err(told_error))
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<StoreHandle>,
        cursor: Option<String>,
    ) -> Fallible<KeyResponse> {
        let op = KvOp::List {
            prefix: String::new(),
            after: cursor,
            limit: KV_PAGE_MAX,
        };
        Ok(match self.run_kv(bucket.rep(), op).await? {
            Ok(KvReply::Page(page)) => Ok(KeyResponse {
                keys: page.keys,
                cursor: page.cursor,
            }),
            Ok(_) => Err(told_error(KvError::Unavailable)),
            Err(error) => Err(told_error(error)),
        })
    }

    async fn drop(&mut self, _: Resource<StoreHandle>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl atomics::Host for CallState {
    async fn increment(
        &mut self,
        bucket: Resource<StoreHandle>,
        key: String,
        delta: i64,
    ) -> Fallible<i64> {
        let ttl = None;
        let answer = self.run_kv(bucket.rep(), KvOp::Increment { key, delta, ttl });
        Ok(answer.await?.and_then(number).map_err(told_error))
    }

    async fn swap(
        &mut self,
        cas: Resource<CasHandle>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), CasError>> {
        let Some(cas) = self.swaps.remove(cas.rep()) else {
            wasmtime::bail!("no such handle");
        };
        let op = KvOp::Swap {
            key: cas.key.clone(),
            expected: match &cas.current {
                None => KvExpected::Absent,
                Some(entry) => KvExpected::Version(entry.version),
            },
            value,
            ttl: None,
        };
        Ok(match self.run_kv(cas.store, op).await? {
            Ok(KvReply::Swapped(Ok(_))) => Ok(()),
            Ok(KvReply::Swapped(Err(current))) => {
                let number = self.swaps.add(Cas { current, ..cas })?;
                Err(CasError::CasFailed(Resource::new_own(number)))
            }
            Ok(_) => Err(CasError::StoreError(told_error(KvError::Unavailable))),
            Err(error) => Err(CasError::StoreError(told_error(error))),
        })
    }
}

impl atomics::HostCas for CallState {
    async fn new(
        &mut self,
        bucket: Resource<StoreHandle>,
        key: String,
    ) -> Fallible<Resource<CasHandle>> {
        let store = bucket.rep();
        let answer = self.run_kv(store, KvOp::Get { key: key.clone() }).await?;
        let current = match answer.and_then(entry) {
            Ok(current) => current,
            Err(error) => return Ok(Err(told_error(error))),
        };
        let number = self.swaps.add(Cas {
            store,
            key,
            current,
        })?;
        Ok(Ok(Resource::new_own(number)))
    }

    async fn current(&mut self, cas: Resource<CasHandle>) -> Fallible<Option<Vec<u8>>> {
        self.hostcall()?;
        let cas = self.swaps.at(cas.rep())?;
        Ok(Ok(cas.current.as_ref().map(|entry| entry.value.clone())))
    }

    async fn drop(&mut self, cas: Resource<CasHandle>) -> wasmtime::Result<()> {
        self.swaps.remove(cas.rep());
        Ok(())
    }
}

impl batch::Host for CallState {
    async fn get_many(
        &mut self,
        bucket: Resource<StoreHandle>,
        keys: Vec<String>,
    ) -> Fallible<Vec<(String, Option<Vec<u8>>)>> {
        let entries = self.get_many_kv(bucket.rep(), keys.clone()).await?;
        let entries = entries.map_err(told_error);
        Ok(entries.map(|entries| {
            let values = entries.into_iter().map(|entry| entry.map(|it| it.value));
            keys.into_iter().zip(values).collect()
        }))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<StoreHandle>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> Fallible<()> {
        let ttl = None;
        let ops = key_values.into_iter();
        let ops = ops.map(|(key, value)| KvOp::Set { key, value, ttl });
        let done = self.batch_kv(bucket.rep(), ops, |_| Ok(())).await?;
        Ok(done.map_err(told_error))
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<StoreHandle>,
        keys: Vec<String>,
    ) -> Fallible<()> {
        let ops = keys.into_iter().map(|key| KvOp::Delete { key });
        let done = self.batch_kv(bucket.rep(), ops, |_| Ok(())).await?;
        Ok(done.map_err(told_error))
    }
}

impl first::wasi::keyvalue::batch::Host for CallState {
    async fn get_many(
        &mut self,
        bucket: Resource<StoreHandle>,
        keys: Vec<String>,
    ) -> Fallible<Vec<Option<(String, Vec<u8>)>>> {
        let pairs = batch::Host::get_many(self, bucket, keys).await?;
        Ok(pairs.map(|pairs| {
            let pairs = pairs.into_iter();
            pairs.map(|(key, value)| Some((key, value?))).collect()
        }))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<StoreHandle>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> Fallible<()> {
        batch::Host::set_many(self, bucket, key_values).await
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<StoreHandle>,
        keys: Vec<String>,
    ) -> Fallible<()> {
        batch::Host::delete_many(self, bucket, keys).await
    }
}
