//! Functions through real sockets: the samples, all four triggers, `wasi:http`
//! handlers, and what does not load. Guests that misbehave are in `hostile.rs`.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod functions {
    mod acl;
    mod auth;
    mod declared_keys;
    mod deferred;
    mod device;
    mod entries;
    mod fetching;
    mod gateway;
    mod geo;
    mod handler;
    mod isolation;
    mod jwks;
    mod keys;
    mod kit;
    mod kv;
    mod kv_region;
    mod languages;
    mod loading;
    mod logging;
    mod metrics;
    mod middleware;
    mod middleware_chain;
    mod rate_limit;
    mod rates;
    mod router;
    mod service;
    mod settings;
    mod substitution;
    mod token;
    mod transform;
    mod triggers;
}
