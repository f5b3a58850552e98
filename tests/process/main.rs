//! The `verge` command as its users meet it: arguments, exit codes, errors on
//! standard error, signals. What a node does while it serves is tested in e2e.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod check;
mod demo;
mod developing;
mod disk;
mod disk_trouble;
mod kit;
mod kv;
mod purge;
mod replay;
mod restart;
mod reuse_check;
mod scripts;
mod serve;
mod soak;
mod stop;
mod versions;
mod workshop;
