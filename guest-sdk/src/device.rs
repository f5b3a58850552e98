//! What a client says of its device by client hints (RFC 8942): browsers send these three without
//! being asked. Nothing is guessed from `User-Agent`: what a client does not say is not known.
//!
//! ```
//! use verge_sdk::device::{self, Platform};
//! # use verge_sdk::testing::Request;
//! # let request = Request::get("/")
//! #     .header("sec-ch-ua-mobile", "?1")
//! #     .header("sec-ch-ua-platform", "\"Android\"")
//! #     .build();
//!
//! let hints = device::hints(&request);
//! assert_eq!(hints.mobile, Some(true));
//! assert_eq!(hints.platform, Some(Platform::Android));
//! assert!(hints.brands.is_empty());
//! ```
//!
//! A response that depends on them must say so in `Vary`, or the function adds a key part.

use crate::Request;
use crate::backend::imp;

/// What is known of a client's device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Names of the browser with their versions (`Sec-CH-UA`); some are made up on purpose.
    pub brands: Vec<Brand>,
    /// Whether the client prefers a mobile experience (`Sec-CH-UA-Mobile`).
    pub mobile: Option<bool>,
    /// The platform (`Sec-CH-UA-Platform`).
    pub platform: Option<Platform>,
}

/// One name of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brand {
    /// The name.
    pub name: String,
    /// The significant version; empty if none was given.
    pub version: String,
}

/// A platform.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the platforms' own names")]
pub enum Platform {
    Android,
    ChromeOs,
    Ios,
    Linux,
    MacOs,
    Windows,
    /// Another name, as the client wrote it.
    Other(String),
}

/// The hints of a request.
#[must_use]
pub fn hints(request: &Request) -> Hints {
    imp::device::hints(&request.raw)
}
