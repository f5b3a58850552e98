//! What every other crate stands on: the one [`Clock`], the one source of
//! [`Random`] numbers, [`Permits`] for things that are counted, the
//! [`Ledger`] for things that are weighed, and the [`PrefixMap`] of addresses.
//!
//! Nothing here knows HTTP, and nothing here does I/O.

pub mod clock;
pub mod ledger;
pub mod permits;
pub mod prefix_map;
pub mod random;

pub use clock::{Clock, ClockJumps, ManualClock};
pub use ledger::{Ledger, Reservation};
pub use permits::{Permit, Permits};
pub use prefix_map::PrefixMap;
pub use random::Random;
