//! What clients send, through the whole node: protocols and certificates,
//! violations, limits, who the client is, and which site and route answer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod listeners {
    mod bodies;
    mod http2;
    mod identity;
    mod limits;
    mod protocols;
    mod routing;
    mod violations;
}
