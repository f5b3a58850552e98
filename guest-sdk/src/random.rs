//! Randomness, as the host gives it; a native test gets the same sequence each time.

use crate::backend::imp;

/// 64 random bits. Good for sampling and assignment; not for keys and tokens.
#[must_use]
pub fn u64() -> u64 {
    imp::random()
}

/// A random number below `bound`; 0 when `bound` is 0.
#[must_use]
pub fn below(bound: u32) -> u32 {
    // The high half of the product: no modulo bias worth a name below 2^32.
    let wide = (u64() >> 32) * u64::from(bound);
    u32::try_from(wide >> 32).unwrap_or(0)
}
