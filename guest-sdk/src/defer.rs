//! Work after the response: what is left here comes back as a call of the function's
//! `#[verge_sdk::deferred]`, in an instance of its own, when the response has ended.
//!
//! ```
//! use verge_sdk::{Error, Request, Verdict, defer, log};
//!
//! #[verge_sdk::viewer_request]
//! fn count(request: &mut Request) -> Result<Verdict, Error> {
//!     defer::later(request.path())?;
//!     Ok(Verdict::Next)
//! }
//!
//! #[verge_sdk::deferred]
//! fn report(payload: &[u8]) {
//!     log::info!("asked for {}", String::from_utf8_lossy(payload));
//! }
//! # let host = verge_sdk::testing::Host::new();
//! # count(&mut verge_sdk::testing::Request::get("/a").build()).unwrap();
//! # let [payload] = &host.deferred()[..] else { panic!() };
//! # report(payload);
//! # assert_eq!(host.logged()[0].message, "asked for /a");
//! ```
//!
//! Such a call has a CPU budget and a deadline of its own (`deferred_cpu`, `deferred_deadline`). A
//! node that stops waits for it as it waits for requests; one that has no room refuses, and
//! what it refused is counted.

use crate::backend::imp;

/// Why nothing was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeferError {
    /// Over 65536 bytes.
    #[error("the payload is over 65536 bytes")]
    TooLarge,
    /// This request has left 16 payloads already.
    #[error("this request has left 16 payloads already")]
    TooMany,
    /// The node has no room for more of it.
    #[error("the node has no room for more work after responses")]
    QueueFull,
    /// The function has no `deferred`, or this is that call.
    #[error("the function cannot be called after the response")]
    Unavailable,
}

/// Leaves `payload` for after the response.
///
/// # Errors
/// It is too large, too much, or cannot be called.
pub fn later(payload: impl AsRef<[u8]>) -> Result<(), DeferError> {
    imp::defer::later(payload.as_ref())
}
