//! Guests that misbehave: each is contained, answered by its policy, counted,
//! and of no consequence for the requests of others on the same node.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod hostile {
    mod chaos;
    mod coverage;
    mod garbage;
    mod kit;
    mod others;
    mod policy;
    mod quarantine;
    mod stale;
}
