//! Key-value stores in tests.

use super::Host;
use crate::backend::native::with;
use crate::kv::KvError;

impl Host {
    /// Grants the function an empty store.
    pub fn kv_store(self, store: &str) -> Self {
        with(|state| state.kv.grant(store, None));
        self
    }

    /// Grants the function a store with this entry in it.
    pub fn kv(self, store: &str, key: &str, value: impl AsRef<[u8]>) -> Self {
        with(|state| state.kv.grant(store, Some((key, value.as_ref()))));
        self
    }

    /// From now on every operation of a store fails like this.
    pub fn kv_fails(self, error: KvError) -> Self {
        with(|state| state.kv.fails = Some(error));
        self
    }
}
