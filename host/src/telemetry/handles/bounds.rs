//! The bounds of histograms, by what is measured.

use std::time::Duration;

use super::super::counters::Bounds;

const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// From a hit in memory to a slow origin.
pub(in crate::telemetry) const REQUEST_BOUNDS: Bounds = &[
    us(10),
    us(25),
    us(50),
    us(100),
    us(250),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(25),
    ms(50),
    ms(100),
    ms(250),
    ms(500),
    ms(1000),
    ms(2500),
    ms(5000),
    ms(10_000),
    ms(30_000),
    ms(60_000),
];

/// From a prepared instance to a compilation that should not have been there.
pub(in crate::telemetry) const FUNCTION_BOUNDS: Bounds = &[
    us(1),
    us(2),
    us(5),
    us(10),
    us(15),
    us(20),
    us(30),
    us(50),
    us(100),
    us(250),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(25),
    ms(50),
    ms(100),
    ms(250),
    ms(1000),
];

/// From a lookup in memory to a tier that answers too late.
pub(in crate::telemetry) const LOOKUP_BOUNDS: Bounds = &[
    us(1),
    us(2),
    us(5),
    us(10),
    us(25),
    us(50),
    us(100),
    us(250),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(20),
    ms(50),
    ms(100),
    ms(1000),
];

/// From the same rack to a timeout.
pub(in crate::telemetry) const NETWORK_BOUNDS: Bounds = &[
    us(50),
    us(100),
    us(250),
    us(500),
    ms(1),
    ms(2),
    ms(5),
    ms(10),
    ms(25),
    ms(50),
    ms(100),
    ms(250),
    ms(500),
    ms(1000),
    ms(2500),
    ms(5000),
    ms(10_000),
    ms(30_000),
    ms(60_000),
];
