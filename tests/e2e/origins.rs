//! What stands behind the node: connections that are kept, origins that fail
//! in every way, bodies that stream, and what of it a client may see.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod origins {
    mod failures;
    mod interim;
    mod pooling;
    mod responses;
    mod script;
    mod streaming;
    mod tls;
}
