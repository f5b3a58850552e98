//! The cache through real sockets: collapsed requests, content that streams
//! while it is stored, bounds, keys, and what Cache-Status says. The rules of
//! RFC 9111 themselves are a table: `conformance/rfc9111.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod cache {
    mod arriving_codings;
    mod bounds;
    mod collapse;
    mod compression;
    mod detached;
    mod disk;
    mod disk_stale;
    mod failures;
    mod followers;
    mod foretold;
    mod key_policy;
    mod keys;
    mod kit;
    mod pieces;
    mod policy;
    mod purged_while_waiting;
    mod ranges;
    mod release;
    mod slices;
    mod slices_changing;
    mod slices_kept;
    mod slices_stale;
    mod stale;
    mod status;
    mod streaming;
    mod triggers;
}
