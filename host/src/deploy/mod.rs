//! Versions of functions: a function is a name, and each of its versions a component.
//!
//! The configuration says with which component a function begins. With a folder (`deploy.folder`)
//! a node keeps the last few versions, and a deploy, a promotion or a rollback says which of them
//! runs: [`state`] decides, [`store`] keeps it on disk, [`actions`] puts it in place as a new
//! generation. Nothing here is on the request path but [`share`], which says whom a share is for.

pub mod actions;
mod compiled;
pub(crate) mod plan;
pub mod share;
pub(crate) mod signing;
pub mod state;
pub(crate) mod store;

use std::path::PathBuf;

use parking_lot::Mutex;
use verge_config::Config;

pub(crate) use actions::warm;
pub(crate) use compiled::Kept;
pub use share::{Picks, Share, Sticky};
pub use state::{BesideState, FunctionState, Version};
use store::Store;

/// Most functions of which a share of the requests runs another version, at once.
pub const SHARES_MAX: usize = u64::BITS as usize;

/// Where versions are kept.
pub struct Versions {
    store: Option<Store>,
    /// Compiled versions that do not run now, so that a rollback compiles nothing.
    pub(crate) kept: Mutex<Kept>,
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
        Ok(Self {
            store,
            kept: Mutex::default(),
        })
    }

    /// No folder: functions are what the configuration says. For who only looks.
    #[must_use]
    pub fn none() -> Self {
        Self {
            store: None,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// The folder, if there is one.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.store.as_ref().map(|store| store.folder().to_owned())
    }
}
