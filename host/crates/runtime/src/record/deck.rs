//! Clocks and randomness of WASI behind a roll. They stay with an instance from call to call, so
//! which call they answer is changed in here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _, TryRng};
use serde_json::Value;

use super::roll::{Roll, Tape};

/// What is read of a clock of a recording that was never read before.
const FIRST: u64 = 1;

/// See the file's head.
pub(crate) struct Deck(Mutex<Held>);

struct Held {
    roll: Option<Arc<Roll>>,
    seed: [u8; 32],
    random: StdRng,
    /// Whether it was, or is, the deck of a call.
    is_used: bool,
}

impl Deck {
    /// A deck of a call, or of an instance that waits for one.
    pub(crate) fn new(tape: Option<&Arc<Tape>>) -> Arc<Self> {
        let drawn = rand::random();
        let deck = Self(Mutex::new(Held {
            roll: None,
            seed: drawn,
            random: StdRng::from_seed(drawn),
            is_used: false,
        }));
        if tape.is_some() {
            deck.serve(tape);
        }
        Arc::new(deck)
    }

    /// Makes this the deck of another call. What an instance drew as it started, ahead of its first
    /// call, came from the seed that is noted for that call.
    pub(crate) fn serve(&self, tape: Option<&Arc<Tape>>) {
        let held = &mut *self.0.lock();
        if held.is_used {
            held.seed = rand::random();
            held.random = StdRng::from_seed(held.seed);
        }
        held.roll = tape.map(|tape| Arc::clone(&tape.roll));
        if let Some(roll) = &held.roll {
            let seed = roll.seed(held.seed);
            if seed != held.seed {
                held.seed = seed;
                held.random = StdRng::from_seed(seed);
            }
        }
        held.is_used = true;
    }

    /// The seed of the instance's own, weaker generator.
    pub(crate) fn insecure_seed(&self) -> u128 {
        let seed = self.0.lock().seed;
        // Another stream than that of the numbers which functions draw.
        let mut random = StdRng::from_seed(seed.map(|byte| !byte));
        u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())
    }

    /// A time in nanoseconds.
    pub(crate) fn time(&self, clock: &'static str, live: impl FnOnce() -> Duration) -> Duration {
        let roll = self.0.lock().roll.clone();
        let Some(roll) = roll else { return live() };
        let nanos = roll.answer(clock, Value::Null, || {
            match &*roll {
                Roll::Record(_) => u64::try_from(live().as_nanos()).unwrap_or(u64::MAX),
                // Nothing of the machine that replays must reach the guest.
                Roll::Play(_) => FIRST,
            }
        });
        Duration::from_nanos(nanos)
    }
}

/// Numbers of a deck.
pub(crate) struct Drawn(pub(crate) Arc<Deck>);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.0.lock().random.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.0.lock().random.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.0.lock().random.fill_bytes(bytes);
        Ok(())
    }
}
