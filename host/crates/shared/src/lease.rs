//! Leases on fetches: of all nodes that miss the same response, one asks the
//! origin, and the others wait a little for what it stores.
//!
//! A lease is a key with a token that only its holder knows; it ends by itself.
//! Whatever goes wrong here, the answer is that a node fetches for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Value, cmd};
use tokio::task::JoinHandle;

use crate::l2::Names;
use crate::link::{Link, Surroundings};
use crate::trouble::Trouble;

/// Stands in place of a token when the answers of a key cannot be shared.
const MARKER: &str = "-";

/// How often a lease is renewed while it lasts.
const RENEWALS: u32 = 3;

/// The first pause of a node that waits; it grows up to [`POLL_MAX`].
const POLL_MIN: Duration = Duration::from_millis(4);

/// The longest pause of a node that waits.
const POLL_MAX: Duration = Duration::from_millis(50);

/// Only the holder of a token ends or changes what stands there.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
return redis.call('DEL', KEYS[1]) end return 0";
const RENEW: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";
const REFUSE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2]) return 1 end return 0";

/// What a node does about a fetch that it is about to begin.
#[derive(Debug)]
pub enum Leasing {
    /// It holds the lease: it fetches, and others wait.
    Held(Lease),
    /// Another node had the lease and is done: look again.
    LookAgain,
    /// It fetches for itself.
    Alone(AloneFor),
}

/// Why a node fetches for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AloneFor {
    /// The answers of the key cannot be shared.
    Marked,
    /// It has waited long enough.
    WaitedInVain,
    /// Redis is of no use now.
    Trouble,
}

/// How leases ended, for metrics.
const OUTCOMES: [&str; 5] = ["held", "followed", "marked", "waited-in-vain", "trouble"];

/// See the module; cheap to clone.
#[derive(Clone)]
pub(crate) struct Leases(Arc<Inner>);

struct Inner {
    around: Arc<Surroundings>,
    link: Link,
    outcomes: [AtomicU64; OUTCOMES.len()],
}

/// The right to fetch for all nodes. It is renewed until it is given back; dropping it gives
/// it back.
pub struct Lease {
    inner: Arc<Inner>,
    name: String,
    token: String,
    renewing: JoinHandle<()>,
    is_over: bool,
}

impl Leases {
    pub(crate) fn new(around: &Arc<Surroundings>, link: Link) -> Self {
        Self(Arc::new(Inner {
            link,
            outcomes: std::array::from_fn(|_| AtomicU64::new(0)),
            around: Arc::clone(around),
        }))
    }

    /// Takes the lease of a key, or waits for who has it. `waited` is how long the caller has
    /// waited for it already.
    pub(crate) async fn take(&self, key: &[u8; 32], waited: Duration) -> Leasing {
        let leasing = self.try_take(key, waited).await;
        let place = match &leasing {
            Leasing::Held(_) => 0,
            Leasing::LookAgain => 1,
            Leasing::Alone(AloneFor::Marked) => 2,
            Leasing::Alone(AloneFor::WaitedInVain) => 3,
            Leasing::Alone(AloneFor::Trouble) => 4,
        };
        if let Some(counter) = self.0.outcomes.get(place) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        leasing
    }

    async fn try_take(&self, key: &[u8; 32], waited: Duration) -> Leasing {
        let inner = &self.0;
        let settings = &inner.around.settings;
        let name = Names::new(&settings.prefix, key).lease();
        let token = format!("{:016x}", inner.around.random.next_u64());
        let mut set = cmd("SET");
        set.arg(&name)
            .arg(&token)
            .arg("NX")
            .arg("GET")
            .arg("PX")
            .arg(millis(settings.lease));
        match inner.link.command(&set).await {
            Ok(Value::Nil) => {}
            Ok(holder) => return self.wait(&name, holder, waited).await,
            Err(_) => return Leasing::Alone(AloneFor::Trouble),
        }
        let renewing =
            inner
                .around
                .runtime
                .spawn(renew(Arc::clone(inner), name.clone(), token.clone()));
        Leasing::Held(Lease {
            inner: Arc::clone(inner),
            name,
            token,
            renewing,
            is_over: false,
        })
    }

    /// Waits until `holder` is gone.
    async fn wait(&self, name: &str, holder: Value, waited: Duration) -> Leasing {
        let inner = &self.0;
        let clock = &inner.around.clock;
        let begun = clock.now();
        let patience = inner.around.settings.lease_wait.saturating_sub(waited);
        let mut pause = POLL_MIN;
        let mut holder = holder;
        loop {
            match holder {
                Value::Nil => return Leasing::LookAgain,
                Value::BulkString(value) if value == MARKER.as_bytes() => {
                    return Leasing::Alone(AloneFor::Marked);
                }
                Value::BulkString(_) => {}
                _ => return Leasing::Alone(AloneFor::Trouble),
            }
            if clock.now().saturating_duration_since(begun) >= patience {
                return Leasing::Alone(AloneFor::WaitedInVain);
            }
            tokio::time::sleep(pause.min(patience)).await;
            pause = (pause * 3 / 2).min(POLL_MAX);
            let mut get = cmd("GET");
            get.arg(name);
            holder = match inner.link.command(&get).await {
                Ok(holder) => holder,
                Err(_) => return Leasing::Alone(AloneFor::Trouble),
            };
        }
    }

    pub(crate) fn outcomes(&self) -> Vec<(&'static str, u64)> {
        let counts = OUTCOMES.iter().zip(&self.0.outcomes);
        counts
            .map(|(label, count)| (*label, count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// Renews a lease until it is aborted, or the lease is not the holder's any more.
async fn renew(inner: Arc<Inner>, name: String, token: String) {
    let lease = inner.around.settings.lease;
    loop {
        tokio::time::sleep(lease / RENEWALS).await;
        let lasting = millis(lease).to_string();
        let renewed = inner.script(RENEW, &name, &token, &[&lasting]).await;
        if let Ok(Value::Int(0)) = renewed {
            return;
        }
    }
}

impl Inner {
    async fn script(
        &self,
        text: &str,
        name: &str,
        token: &str,
        arguments: &[&str],
    ) -> Result<Value, Trouble> {
        let mut command = cmd("EVAL");
        command.arg(text).arg(1).arg(name).arg(token);
        for argument in arguments {
            command.arg(argument);
        }
        self.link.command(&command).await
    }
}

impl Lease {
    /// Gives it back: whoever waits looks for what was stored.
    pub(crate) async fn release(mut self) {
        self.is_over = true;
        self.renewing.abort();
        // Without Redis it ends by itself.
        let _ = self
            .inner
            .script(RELEASE, &self.name, &self.token, &[])
            .await;
    }

    /// Leaves word for `lasting` that answers of this key cannot be shared: nobody waits.
    pub fn refuse(mut self, lasting: Duration) {
        self.is_over = true;
        self.renewing.abort();
        let (inner, name, token) = self.parts();
        let runtime = inner.around.runtime.clone();
        runtime.spawn(async move {
            let lasting = millis(lasting).to_string();
            let arguments = [lasting.as_str(), MARKER];
            let _ = inner.script(REFUSE, &name, &token, &arguments).await;
        });
    }

    fn parts(&self) -> (Arc<Inner>, String, String) {
        (
            Arc::clone(&self.inner),
            self.name.clone(),
            self.token.clone(),
        )
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.renewing.abort();
        let (inner, name, token) = self.parts();
        let runtime = inner.around.runtime.clone();
        runtime.spawn(async move {
            let _ = inner.script(RELEASE, &name, &token, &[]).await;
        });
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Lease(..)")
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, 1 << 53)
}
