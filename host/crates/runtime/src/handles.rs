//! The types behind a guest's handles. None of them has a value: the number
//! behind a handle is an index into [`CallState`](crate::state::CallState).

#![expect(
    unreachable_pub,
    reason = "the generated bindings re-export them inside a private module"
)]

/// A request.
pub enum RequestHandle {}
/// A response.
pub enum ResponseHandle {}
/// Content that is read.
pub enum ReaderHandle {}
/// The duty to make an entry of the cache.
pub enum ObligationHandle {}
/// Content that is written.
pub enum WriterHandle {}
/// A key-value store: the number is its place among those that were granted.
pub enum StoreHandle {}
/// A compare-and-swap of `wasi:keyvalue`.
pub enum CasHandle {}
/// A request under way.
pub enum PendingHandle {}
/// A response that was fetched.
pub enum FetchedHandle {}
