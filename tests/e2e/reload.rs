//! Hot reload through real sockets: what takes effect, what is refused, and
//! what lives on. SIGHUP is a matter of the process tests.

#![allow(
    clippy::unwrap_used,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod reload {
    mod carried;
    mod kit;
    mod load;
    mod refused;
    mod saved;
    mod swaps;
}
