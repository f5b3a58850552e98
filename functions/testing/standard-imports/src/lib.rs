//! A `wasi:http` handler that knows nothing of Verge: it answers with its settings by
//! `wasi:config/store` and logs by `wasi:logging/logging`.

#[cfg(target_arch = "wasm32")]
mod component;
