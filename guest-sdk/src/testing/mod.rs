//! Unit tests of functions, natively: `cargo test`, no WebAssembly and no node.
//!
//! A trigger is a plain function: build a request, call it, look at what it did.
//!
//! ```
//! use verge_sdk::{Error, Request, Verdict, config, testing};
//!
//! #[verge_sdk::viewer_request]
//! fn route(request: &mut Request) -> Result<Verdict, Error> {
//!     if request.path().starts_with("/api/") {
//!         request.set_origin(&config::get("api").unwrap_or("app".into()))?;
//!     }
//!     Ok(Verdict::Next)
//! }
//!
//! // In a `#[test]` function:
//! let _host = testing::Host::new().config("api", "api-origin");
//! let mut request = testing::Request::get("/api/users").client("192.0.2.7").build();
//!
//! assert!(matches!(route(&mut request), Ok(Verdict::Next)));
//! assert_eq!(testing::effects(&request).origin.as_deref(), Some("api-origin"));
//! ```
//!
//! The host here imitates the node's rules (which fields may be edited, how much the context
//! holds) as far as a function can tell; the node has the last word.

mod acl;
mod cache;
mod config;
mod context;
mod defer;
mod fetch;
mod geo;
mod host;
mod kv;
mod log;
mod message;
mod metrics;
mod rate_limit;
mod secret;

pub use fetch::Fetched;
pub use host::Host;
pub use log::LogLine;
pub use message::{Effects, Request, Response, effects, responded};

/// Where in the request path a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// For each request before the cache is asked.
    ViewerRequest,
    /// For each request that goes to an origin.
    OriginRequest,
    /// For each response of an origin, before it is stored.
    OriginResponse,
    /// For each response before it is sent to the client.
    ViewerResponse,
}

impl Trigger {
    pub(crate) fn is_request(self) -> bool {
        matches!(self, Self::ViewerRequest | Self::OriginRequest)
    }
}
