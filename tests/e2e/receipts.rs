//! Receipts through real sockets: the access log, the metrics, `Server-Timing`,
//! request ids and traces, the admin API, and what none of them may tell.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod receipts {
    mod access_log;
    mod admin;
    mod exposition;
    mod ids;
    mod metrics;
    mod secrets;
    mod server_timing;
}
