//! Purges over the wire: what they take, what they leave, and what an operator is told.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod purge {
    mod admin;
    mod arriving;
    mod explain;
    mod explain_parts;
    mod explain_requests;
    mod kit;
    mod metrics;
    mod scopes;
}
