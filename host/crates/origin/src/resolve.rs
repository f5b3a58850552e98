//! From names to addresses: at most one resolution at a time for an origin,
//! its answer kept and renewed in the background, an old answer better than none.
//!
//! The system's resolver does not tell how long an answer may be kept, so
//! `limits.dns_age` says it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::sync::watch;
use verge_base::Clock;
use verge_http::Failure;
use verge_http::failure::OriginFault;

use crate::pool::Pool;
use crate::settings::{Address, Host};

/// How long a failed resolution is remembered.
const FAILURE_AGE: Duration = Duration::from_secs(1);
/// Addresses used of one origin; what a resolver says beyond that is ignored.
const TARGETS_MAX: usize = 128;

/// Asks for the addresses of a host name.
pub(crate) type Lookup =
    Arc<dyn Fn(Arc<str>, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Something to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) socket: SocketAddr,
    /// The name to verify, where TLS is spoken.
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// One configured address.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) address: Address,
    pub(crate) server_name: Option<ServerName<'static>>,
}

/// Keeps an origin's pool informed of its addresses.
pub(crate) struct Resolver(Arc<Shared>);

struct Shared {
    places: Vec<Place>,
    lookup: Lookup,
    wait: Duration,
    age: Duration,
    clock: Clock,
    pool: Weak<Pool>,
    state: Mutex<State>,
    /// Counts finished resolutions.
    finished: watch::Sender<u64>,
}

struct State {
    /// The last good answer for each place.
    answers: Vec<Vec<SocketAddr>>,
    in_flight: bool,
    /// When to resolve again; `None` before the first time.
    due: Option<Instant>,
    fault: OriginFault,
}

/// A resolution in progress. Dropped without an answer (a runtime that stops),
/// it lets another begin.
struct Flight(Arc<Shared>);

enum Next {
    Known,
    Failed(OriginFault),
    Wait(watch::Receiver<u64>),
}

/// Asks the operating system.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name, port| {
        Box::pin(async move { Ok(tokio::net::lookup_host((&*name, port)).await?.collect()) })
    })
}

impl Resolver {
    /// Tells `pool` the addresses that need no resolution.
    pub(crate) fn new(
        places: Vec<Place>,
        lookup: Lookup,
        wait: Duration,
        age: Duration,
        clock: Clock,
        pool: &Arc<Pool>,
    ) -> Self {
        let answers = places
            .iter()
            .map(|place| match place.address.host() {
                Host::Ip(ip) => vec![SocketAddr::new(*ip, place.address.port())],
                Host::Name(_) => Vec::new(),
            })
            .collect();
        let shared = Arc::new(Shared {
            places,
            lookup,
            wait,
            age,
            clock,
            pool: Arc::downgrade(pool),
            state: Mutex::new(State {
                answers,
                in_flight: false,
                due: None,
                fault: OriginFault::DnsError,
            }),
            finished: watch::Sender::new(0),
        });
        shared.tell_pool();
        Self(shared)
    }

    /// Returns once there is an address to connect to; with the time it took
    /// where a resolution had to be awaited.
    pub(crate) async fn ready(&self) -> Result<Option<Duration>, Failure> {
        if !self.0.has_names() {
            return Ok(None);
        }
        let mut finished = match self.0.start() {
            Next::Known => return Ok(None),
            Next::Failed(fault) => return Err(Failure::unsent(fault)),
            Next::Wait(finished) => finished,
        };
        let started = self.0.clock.now();
        match tokio::time::timeout(self.0.wait, finished.changed()).await {
            Err(_elapsed) => Err(Failure::unsent(OriginFault::DnsTimeout)),
            Ok(_) => {
                let state = self.0.state.lock();
                if state.is_known() {
                    Ok(Some(self.0.clock.now().saturating_duration_since(started)))
                } else {
                    Err(Failure::unsent(state.fault))
                }
            }
        }
    }
}

impl State {
    fn is_known(&self) -> bool {
        self.answers.iter().any(|answer| !answer.is_empty())
    }
}

impl Shared {
    fn has_names(&self) -> bool {
        self.places
            .iter()
            .any(|place| matches!(place.address.host(), Host::Name(_)))
    }

    /// Begins a resolution if one is due, and says what the caller may do.
    fn start(self: &Arc<Self>) -> Next {
        let mut state = self.state.lock();
        let due = state.due.is_none_or(|due| self.clock.now() >= due);
        if due && !state.in_flight {
            state.in_flight = true;
            let flight = Flight(Arc::clone(self));
            tokio::spawn(flight.run());
        }
        if state.is_known() {
            Next::Known
        } else if state.in_flight {
            // Under the lock, so the end of the flight cannot be missed.
            Next::Wait(self.finished.subscribe())
        } else {
            Next::Failed(state.fault)
        }
    }

    fn tell_pool(&self) {
        let mut targets: Vec<Target> = Vec::new();
        {
            let state = self.state.lock();
            for (place, answer) in self.places.iter().zip(&state.answers) {
                for socket in answer {
                    let target = Target {
                        socket: *socket,
                        server_name: place.server_name.clone(),
                    };
                    if targets.len() < TARGETS_MAX && !targets.contains(&target) {
                        targets.push(target);
                    }
                }
            }
        }
        if let Some(pool) = self.pool.upgrade() {
            pool.set_targets(&targets);
        }
    }
}

impl Flight {
    async fn run(self) {
        let shared = &self.0;
        let lookups = shared.places.iter().map(|place| async {
            match place.address.host() {
                Host::Ip(_) => None,
                Host::Name(name) => {
                    Some((shared.lookup)(Arc::clone(name), place.address.port()).await)
                }
            }
        });
        let found = join_all(lookups).await;
        let mut failed = false;
        {
            let mut state = shared.state.lock();
            for ((place, answer), found) in shared.places.iter().zip(&mut state.answers).zip(found)
            {
                match found {
                    None => {}
                    Some(Ok(sockets)) if !sockets.is_empty() => *answer = sockets,
                    Some(outcome) => {
                        failed = true;
                        let error = outcome.err().map(|error| error.to_string());
                        tracing::warn!(address = %place.address, ?error, "the name cannot be resolved");
                    }
                }
            }
            let age = if failed { FAILURE_AGE } else { shared.age };
            state.due = Some(shared.clock.now() + age);
        }
        shared.tell_pool();
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.state.lock().in_flight = false;
        self.0.finished.send_modify(|count| *count += 1);
    }
}
