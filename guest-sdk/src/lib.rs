#![doc = include_str!("../README.md")]
#![expect(
    clippy::test_attr_in_doctest,
    reason = "the README shows how a function is tested; the same steps run below the test"
)]

pub use http;
pub use verge_sdk_macros::{
    deferred, origin_request, origin_response, viewer_request, viewer_response,
};

mod backend;
mod body;
mod client;
mod edit;
mod error;
mod fields;
mod request;
mod response;
mod verdict;

pub mod acl;
pub mod cache;
pub mod clock;
pub mod config;
pub mod context;
pub mod defer;
pub mod device;
pub mod fetch;
pub mod geo;
pub mod kv;
pub mod log;
pub mod metrics;
pub mod random;
pub mod rate_limit;
pub mod secret;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use body::{BodyError, BodyReader, BodyWriter};
pub use client::{Client, Network};
pub use edit::{Edit, EditError, Edits, Refusal};
pub use error::Error;
pub use request::{Refused, Request, TargetError};
pub use response::{Response, StatusRefused};
pub use verdict::Verdict;

/// What the attribute macros need; no part of the API.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_arch = "wasm32")]
    pub use crate::backend::wasm::{
        RequestHandle, ResponseHandle, bindings, deferred, origin_request, origin_response,
        viewer_request, viewer_response,
    };
    pub use crate::verdict::{IntoDone, IntoVerdict};
}
