//! A standard component, without the SDK: a `wasi:http` handler that does with `wasi:keyvalue`
//! what the path says, `/BUCKET/OPERATION/KEY` with `?VALUE`, and answers with the bucket's word.
//! `default` is the bucket of those that name none.

#[cfg(target_arch = "wasm32")]
mod component;
