//! What stands behind the public types: the host's hostcalls in a component, memory in a native
//! test. Both modules offer the same names, so that no public type knows which one it has.
//! Nothing here decides anything; rules are the host's.

#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;
#[cfg(target_arch = "wasm32")]
pub(crate) mod wasm;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native as imp;
#[cfg(target_arch = "wasm32")]
pub(crate) use wasm as imp;

/// Method and target URI (RFC 9110 7.1), as the contract carries them.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) method: String,
    pub(crate) scheme: String,
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
}
