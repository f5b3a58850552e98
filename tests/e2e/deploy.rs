//! Versions of functions: deployed to a running node, for all or for a share of the requests,
//! promoted, rolled back, and there again after a restart.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod deploy {
    mod entries;
    mod kit;
    mod lasting;
    mod promptly;
    mod purged;
    mod reach;
    mod refused;
    mod registries;
    mod room;
    mod shadow;
    mod share;
    mod signed;
    mod trouble;
    mod versions;
    mod watched;
}
