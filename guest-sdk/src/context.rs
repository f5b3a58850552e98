//! Values that a request carries from `viewer-request` to `viewer-response`, kept by the host: two
//! triggers of one request run in two instances and share no memory.
//!
//! At most 32 values and 4 KiB in all. Only the functions of this request see them.
//!
//! ```
//! # let _host = verge_sdk::testing::Host::new();
//! use verge_sdk::context;
//!
//! context::set("variant", "B")?;                                  // in viewer-request
//! assert_eq!(context::text("variant").as_deref(), Some("B"));     // in viewer-response
//! # Ok::<(), verge_sdk::context::Full>(())
//! ```

use crate::backend::imp;

/// The context has no room for that value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the context of the request has no room for `{0}`")]
pub struct Full(String);

/// The value of that name.
#[must_use]
pub fn get(name: &str) -> Option<Vec<u8>> {
    imp::context::get(name)
}

/// The value of that name, if it is UTF-8.
#[must_use]
pub fn text(name: &str) -> Option<String> {
    get(name).and_then(|value| String::from_utf8(value).ok())
}

/// Keeps a value, in place of the one that has this name.
///
/// # Errors
/// The context is full.
pub fn set(name: &str, value: impl AsRef<[u8]>) -> Result<(), Full> {
    let kept = imp::context::set(name, value.as_ref());
    kept.then_some(()).ok_or_else(|| Full(name.to_owned()))
}
