//! Closes connections that were unused for too long. A task that exists while
//! there are unused connections, and keeps no pool alive.

use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::Pool;

/// Closes connections that were unused for too long, while there are unused ones.
pub(super) struct Sweeper(Option<Weak<Pool>>);

impl Sweeper {
    pub(super) fn start(pool: &Arc<Pool>) {
        let sweeper = Self(Some(Arc::downgrade(pool)));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let first = Instant::now() + pool.timeouts.idle;
        runtime.spawn(sweeper.run(first));
    }

    async fn run(mut self, first: Instant) {
        let mut next = first;
        loop {
            tokio::time::sleep_until(next).await;
            let swept = self
                .0
                .as_ref()
                .and_then(Weak::upgrade)
                .map(|pool| pool.sweep());
            match swept.flatten() {
                Some(at) => next = at,
                None => break,
            }
        }
        self.0 = None;
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        // The runtime stopped: the next unused connection starts another sweeper.
        if let Some(pool) = self.0.take().and_then(|pool| pool.upgrade()) {
            pool.state.lock().sweeping = false;
        }
    }
}
