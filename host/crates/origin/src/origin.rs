//! The origin as the request path sees it: send a request, get a response.
//!
//! Here the parts meet: resolution, pool, connector, exchange, and the decision
//! whether a failed attempt is followed by another.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use tokio::time::Instant;
use verge_base::{Clock, Random};
use verge_http::{Body, Failure};

use crate::balance::Need;
use crate::connect::{ConnectTiming, Connector};
use crate::error::OriginError;
use crate::exchange::{Outgoing, Rules, exchange, overdue};
use crate::head::host_value;
use crate::pool::{Acquired, Lease, Pool};
use crate::resolve::{Lookup, Place, Resolver, system_lookup};
use crate::retry::{RetryDecision, RetryFacts, decide_retry};
use crate::settings::OriginSettings;
use crate::stats::OriginStats;
use crate::tls;

/// An origin with its pooled connections. Cheap to clone; the pool lives as
/// long as any clone, and each exchange ends on the pool it began with.
#[derive(Clone)]
pub struct Origin(Arc<Shared>);

struct Shared {
    settings: OriginSettings,
    host: Option<HeaderValue>,
    pool: Arc<Pool>,
    connector: Connector,
    resolver: Resolver,
    clock: Clock,
}

/// A response whose head has arrived, and what it took to get it.
#[derive(Debug)]
pub struct OriginResponse {
    /// The response: its framing checked, its connection-specific fields
    /// removed, its content still arriving.
    pub response: Response<Body>,
    /// What it took.
    pub timing: OriginTiming,
}

/// An exchange that failed before its response's head was accepted.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub struct OriginFailure {
    /// Why.
    pub failure: Failure,
    /// What it took.
    pub timing: OriginTiming,
}

/// What the stages of an exchange took, all attempts together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginTiming {
    /// The address of the last attempt, once there was one.
    pub address: Option<SocketAddr>,
    /// The connection of the last attempt had served before.
    pub reused: bool,
    /// Waiting for a connection to come free.
    pub queue: Duration,
    /// Resolving the name, where that had to be awaited.
    pub dns: Option<Duration>,
    /// Making TCP connections.
    pub connect: Duration,
    /// TLS handshakes.
    pub tls: Duration,
    /// From handing over the request to the response's head, in the last attempt.
    pub first_byte: Duration,
    /// How often the request was sent again.
    pub retries: u32,
}

/// How an attempt differs from the first.
#[derive(Clone, Copy)]
struct Attempt {
    need: Need,
    avoid: Option<SocketAddr>,
    deadline: Instant,
}

impl Origin {
    /// Builds an origin; connects to nothing yet. Reads the system's
    /// certificate authorities from disk if TLS needs them, so not to be called
    /// on the request path.
    ///
    /// # Errors
    /// What is wrong with `settings`.
    pub fn new(
        settings: OriginSettings,
        clock: Clock,
        random: &Random,
    ) -> Result<Self, OriginError> {
        Self::with_lookup(settings, clock, random, system_lookup())
    }

    pub(crate) fn with_lookup(
        settings: OriginSettings,
        clock: Clock,
        random: &Random,
        lookup: Lookup,
    ) -> Result<Self, OriginError> {
        settings.check()?;
        let host = match &settings.host_authority {
            None => None,
            Some(authority) => Some(
                host_value(authority)
                    .ok_or_else(|| OriginError::AuthorityInvalid(authority.clone()))?,
            ),
        };
        let places = settings.addresses.iter().map(|address| {
            let server_name = match &settings.tls {
                None => None,
                Some(tls) => Some(tls::server_name(tls, address.host())?),
            };
            Ok(Place {
                address: address.clone(),
                server_name,
            })
        });
        let places = places.collect::<Result<Vec<_>, OriginError>>()?;
        let tls = settings.tls.as_ref().map(tls::connector).transpose()?;
        let (limits, timeouts) = (&settings.limits, &settings.timeouts);
        // Nodes that start together do not all begin with the same address.
        let turn = random.below(places.len() as u64);
        let pool = Pool::new(
            limits.clone(),
            timeouts.clone(),
            clock.clone(),
            usize::try_from(turn).unwrap_or(0),
        );
        let resolver = Resolver::new(
            places,
            lookup,
            timeouts.dns,
            limits.dns_age,
            clock.clone(),
            &pool,
        );
        let connector = Connector::new(tls, limits, timeouts.connect, clock.clone());
        Ok(Self(Arc::new(Shared {
            settings,
            host,
            pool,
            connector,
            resolver,
            clock,
        })))
    }

    /// What this origin was built from. A reload with equal settings keeps it.
    #[must_use]
    pub fn settings(&self) -> &OriginSettings {
        &self.0.settings
    }

    /// The name given in the settings.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// The state of the pool now.
    #[must_use]
    pub fn stats(&self) -> OriginStats {
        self.0.pool.stats()
    }

    /// Sends a request, again where that is safe, and returns the response when
    /// its head has arrived; its content goes on arriving in the body, under
    /// the timeouts of the settings.
    ///
    /// The target is written in origin-form. Host is the configured authority,
    /// else that of the target URI, else the request's own Host field.
    /// Connection-specific fields are removed in both directions. A request
    /// with `Expect: 100-continue` has its body polled only once the origin
    /// wants it, and never if the origin answers without it.
    ///
    /// Dropping the future, or the response's body before its end, closes the
    /// connection.
    ///
    /// # Errors
    /// The last attempt's [`Failure`], with what it took.
    pub async fn send(&self, request: Request<Body>) -> Result<OriginResponse, Box<OriginFailure>> {
        let mut timing = OriginTiming::default();
        match self.0.run(request, &mut timing).await {
            Ok(response) => Ok(OriginResponse { response, timing }),
            Err(failure) => {
                self.0.pool.count_failure();
                Err(Box::new(OriginFailure { failure, timing }))
            }
        }
    }
}

impl Shared {
    async fn run(
        &self,
        request: Request<Body>,
        timing: &mut OriginTiming,
    ) -> Result<Response<Body>, Failure> {
        let mut outgoing = Outgoing::new(request, self.host.as_ref())?;
        let mut attempt = Attempt {
            need: Need::Any,
            avoid: None,
            deadline: Instant::now() + self.settings.timeouts.total,
        };
        loop {
            let failure = match self.attempt(&mut outgoing, attempt, timing).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let decision = decide_retry(&RetryFacts {
                failure,
                method: outgoing.method(),
                reused: timing.reused,
                body: outgoing.source.state(),
                other_address: self.pool.has_other_address(timing.address),
                retries: timing.retries,
                retries_max: self.settings.retries,
            });
            self.log(failure, decision, timing);
            if !decision.is_retry() {
                return Err(failure);
            }
            self.pool.count_retry();
            timing.retries += 1;
            outgoing.rewind();
            attempt.need = Need::Fresh;
            attempt.avoid = timing.address;
        }
    }

    async fn attempt(
        &self,
        outgoing: &mut Outgoing,
        attempt: Attempt,
        timing: &mut OriginTiming,
    ) -> Result<Response<Body>, Failure> {
        let obtaining = self.obtain(attempt, timing);
        let lease = match tokio::time::timeout_at(attempt.deadline, obtaining).await {
            Ok(obtained) => obtained?,
            Err(_elapsed) => return Err(overdue()),
        };
        // A copy is kept only where a failure could be followed by an attempt.
        let keep = timing.retries < self.settings.retries
            && timing.reused
            && outgoing.method().is_idempotent();
        let rules = Rules {
            timeouts: &self.settings.timeouts,
            deadline: attempt.deadline,
        };
        let started = self.clock.now();
        let outcome = exchange(lease, outgoing, keep, rules).await;
        timing.first_byte = self.clock.now().saturating_duration_since(started);
        outcome
    }

    /// A connection to send the request over.
    async fn obtain(&self, attempt: Attempt, timing: &mut OriginTiming) -> Result<Lease, Failure> {
        if let Some(waited) = self.resolver.ready().await? {
            timing.dns = Some(timing.dns.unwrap_or_default() + waited);
        }
        let started = self.clock.now();
        // Of a former attempt, until this one has a connection of its own.
        (timing.address, timing.reused) = (attempt.avoid, false);
        let acquired = self.pool.acquire(attempt.need, attempt.avoid).await;
        timing.queue += self.clock.now().saturating_duration_since(started);
        match acquired? {
            Acquired::Reused(connection) => {
                timing.address = Some(connection.endpoint.target.socket);
                timing.reused = true;
                Ok(Lease::new(&self.pool, connection))
            }
            Acquired::Slot(slot) => {
                let endpoint = Arc::clone(slot.endpoint());
                timing.address = Some(endpoint.target.socket);
                let mut took = ConnectTiming::default();
                let connected = self.connector.connect(slot, &mut took).await;
                timing.connect += took.tcp;
                timing.tls += took.tls;
                let newly_failing = self.pool.note_connect(&endpoint, connected.is_ok());
                match connected {
                    Ok(connection) => Ok(Lease::new(&self.pool, connection)),
                    Err(failed) => {
                        // Once for each penalty, not for each request.
                        if newly_failing {
                            tracing::warn!(
                                origin = %self.settings.name,
                                address = %endpoint.target.socket,
                                fault = failed.fault.label(),
                                detail = %failed.detail,
                                "an address of the origin cannot be connected to"
                            );
                        }
                        Err(failed.failure())
                    }
                }
            }
        }
    }

    fn log(&self, failure: Failure, decision: RetryDecision, timing: &OriginTiming) {
        tracing::debug!(
            origin = %self.settings.name,
            address = ?timing.address,
            reused = timing.reused,
            failure = failure.label(),
            decision = decision.label(),
            "an attempt failed"
        );
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Origin")
            .field("name", &self.0.settings.name)
            .finish_non_exhaustive()
    }
}
