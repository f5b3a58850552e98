//! One immutable snapshot of everything that configuration decides.
//!
//! [`Generation::build`] is the only way from a configuration to what serves
//! it. It builds everything or nothing, and reports every problem with its
//! place. Parts whose settings did not change are carried over from the
//! previous generation with all their state: pools, counters, compiled code.

mod capabilities;
mod certificates;
mod functions;
mod origins;
mod policy;
mod route_key;
mod settings;
mod sites;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use verge_base::{Clock, Random};
use verge_config::{Config, Problem};
use verge_runtime::Engine;
use verge_shared::Shared;

pub(crate) use capabilities::Shelf;
pub(crate) use origins::origin_settings;
pub use settings::Settings;

use crate::capabilities::kv::Stores;
use crate::listener::CertificateTable;
use crate::pipeline::routing::Sites;
use crate::route::{FunctionEntry, OriginEntry};
use crate::telemetry::Metrics;

/// What a node serves from one moment on.
pub struct Generation {
    /// Counts up from 1 with each successful reload.
    pub number: u64,
    /// When it was built.
    pub since: SystemTime,
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// What the pipeline asks on each request, worked out once.
    pub settings: Settings,
    /// Routes by authority.
    pub sites: Sites,
    /// Origins by name.
    pub origins: BTreeMap<Arc<str>, Arc<OriginEntry>>,
    /// Functions by name.
    pub functions: BTreeMap<Arc<str>, Arc<FunctionEntry>>,
    /// Certificates by name.
    pub certificates: Option<Arc<CertificateTable>>,
    /// What functions can be granted that is read from files.
    pub(crate) shelf: Shelf,
}

/// The node's lasting parts that a generation is built on.
#[derive(Clone)]
pub struct Foundation {
    /// The node's clock.
    pub clock: Clock,
    /// The node's randomness.
    pub random: Random,
    /// Compiles and runs functions.
    pub engine: Engine,
    /// Counters of sites, origins and functions.
    pub metrics: Metrics,
    /// Key-value stores.
    pub kv: Arc<Stores>,
    /// What is shared with other nodes, if anything is.
    pub shared: Option<Arc<Shared>>,
}

impl Generation {
    /// Builds a generation. Blocks: it reads files and compiles components, so
    /// it is called off the request path.
    ///
    /// # Errors
    /// Every problem that was found; nothing was changed.
    pub fn build(
        config: Arc<Config>,
        foundation: &Foundation,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let certificates = certificates::build(&config, &mut problems);
        let origins = origins::build(&config, foundation, previous, &mut problems);
        let shelf = Shelf::read(&config, foundation, previous, &mut problems);
        let functions = functions::build(&config, foundation, &shelf, previous, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let parts = sites::Parts {
            origins: &origins,
            functions: &functions,
            metrics: &foundation.metrics,
        };
        let sites = sites::build(&config, &parts, &mut problems);
        let settings = Settings::of(&config, &mut problems);
        match (sites, settings) {
            (Some(sites), Some(settings)) if problems.is_empty() => Ok(Self {
                number: previous.map_or(1, |previous| previous.number + 1),
                since: foundation.clock.wall(),
                settings,
                sites,
                origins,
                functions,
                certificates,
                shelf,
                config,
            }),
            _ => Err(problems),
        }
    }
}
