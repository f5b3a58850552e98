//! Nodes of a region on one Redis: purges that cross, stored responses that are
//! shared, one origin request for all, and Redis cut off, stopped, killed and
//! emptied meanwhile. What needs no node is tested with `verge-shared` itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture that cannot be set up fails its test at once, with the place"
)]

mod region {
    mod explain;
    mod foretold;
    mod held;
    mod hostile;
    mod kit;
    mod load;
    mod purges;
    mod responses;
    mod servers;
    mod skew;
    mod slices;
    mod tiers;
}
