//! Versions of functions: a function is a name, and each of its versions a component.
//!
//! The configuration says with which component a function begins. With a folder (`deploy.folder`)
//! a node keeps the last few versions, and a deploy, a promotion or a rollback says which of them
//! runs: [`state`] decides, `store` keeps it on disk, [`actions`] puts it in place as a new
//! generation. Nothing here is on the request path but [`share`], which says whom a share is for.

pub mod actions;
mod compiled;
mod health;
pub(crate) mod plan;
mod refusal;
pub(crate) mod registry;
pub(crate) mod shadow;
pub mod share;
pub(crate) mod signing;
pub mod state;
pub(crate) mod store;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::mpsc;
use verge_config::{Config, Function};
use verge_runtime::Digest;

pub(crate) use compiled::Kept;
pub(crate) use health::VersionHealth;
use health::{TRIPS_MAX, Trip};
pub use shadow::{ShadowReport, ShadowRoom};
pub use share::{Picks, Share, Sticky};
pub use state::{BesideState, FunctionState, Version};
use store::Store;

use crate::generation::Foundation;
use crate::telemetry::FunctionDigest;
pub(crate) use watch::watch;

/// Most functions of which a share of the requests runs another version, at once.
pub const SHARES_MAX: usize = u64::BITS as usize;

/// Where versions are kept.
pub struct Versions {
    store: Option<Store>,
    /// Compiled versions that do not run now, so that a rollback compiles nothing.
    pub(crate) kept: Mutex<Kept>,
    /// Whether some that should be there are not.
    is_cold: AtomicBool,
    /// Functions whose versions could not be kept on disk as they are.
    unkept: Mutex<BTreeSet<Arc<str>>>,
    /// Read while components are kept that no state lists yet: none is deleted meanwhile.
    preparing: RwLock<()>,
    /// Takes versions that must go.
    trips: mpsc::Sender<Trip>,
    tripped: Mutex<Option<mpsc::Receiver<Trip>>>,
}

impl Versions {
    /// Opens the folder that `config` names, if it names one.
    ///
    /// # Errors
    /// The folder, and why it cannot be used.
    pub fn open(config: &Config) -> Result<Self, String> {
        let store = match &config.deploy.folder {
            Some(folder) => Some(Store::open(folder)?),
            None => None,
        };
        Ok(Self::new(store))
    }

    fn new(store: Option<Store>) -> Self {
        let (trips, tripped) = mpsc::channel(TRIPS_MAX);
        Self {
            store,
            kept: Mutex::default(),
            is_cold: AtomicBool::new(false),
            unkept: Mutex::default(),
            preparing: RwLock::default(),
            trips,
            tripped: Mutex::new(Some(tripped)),
        }
    }

    /// From now on until it is dropped, components can be kept before a state lists them.
    pub(crate) fn prepare(&self) -> Preparing<'_> {
        Preparing {
            _held: self.preparing.read(),
        }
    }

    /// Of how many functions the versions are not kept on disk as they are.
    pub(crate) fn unkept(&self) -> u64 {
        self.unkept.lock().len() as u64
    }

    /// How a version of a function does that is about to be loaded; `held` is the same version as it
    /// was loaded before.
    pub(crate) fn health(
        &self,
        foundation: &Foundation,
        function: &Function,
        digest: Digest,
        held: Option<&VersionHealth>,
    ) -> Arc<VersionHealth> {
        let metrics = foundation.metrics.function(&function.name);
        let metrics = metrics.version(FunctionDigest::from_full(digest.as_bytes()));
        let (name, rules) = (Arc::clone(&function.name), function.rollback.clone());
        let (clock, trips) = (foundation.clock.clone(), self.trips.clone());
        VersionHealth::new((name, digest), rules, clock, trips, metrics, held)
    }

    /// What tells of versions that must go; for the first who asks.
    fn take_trips(&self) -> Option<mpsc::Receiver<Trip>> {
        self.tripped.lock().take()
    }

    /// No folder: functions are what the configuration says. For who only looks.
    #[must_use]
    pub fn none() -> Self {
        Self::new(None)
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }
}

/// See [`Versions::prepare`].
pub(crate) struct Preparing<'a> {
    _held: RwLockReadGuard<'a, ()>,
}
