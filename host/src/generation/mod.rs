//! One immutable snapshot of everything that configuration decides.
//!
//! [`Generation::build`] is the only way from a configuration to what serves
//! it. It builds everything or nothing, and reports every problem with its
//! place. Parts whose settings did not change are carried over from the
//! previous generation with all their state: pools, counters, compiled code.

mod capabilities;
mod certificates;
pub(crate) mod components;
mod functions;
mod origins;
mod policy;
mod route_key;
mod samples;
mod settings;
mod sites;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use verge_base::{Clock, Random};
use verge_config::{Config, Problem};
use verge_runtime::{Compiled, Digest, Engine};
use verge_shared::Shared;

pub(crate) use capabilities::Shelf;
use functions::Given;
pub(crate) use functions::isolated;
pub(crate) use origins::origin_settings;
pub use settings::Settings;

use crate::capabilities::kv::Stores;
use crate::deploy::plan::Plan;
use crate::deploy::share::Asker;
use crate::deploy::signing::Keys;
use crate::deploy::state::BesideMode;
use crate::deploy::{Picks, SHARES_MAX, Share, Versions};
use crate::listener::CertificateTable;
use crate::pipeline::routing::Sites;
use crate::recording::Waiting;
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
    pub(crate) shelf: Arc<Shelf>,
    /// Functions of which a share of the requests runs another version, with that version.
    shares: Vec<(Arc<str>, Digest, Share)>,
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
    /// Versions of functions.
    pub versions: Arc<Versions>,
    /// What is shared with other nodes, if anything is.
    pub shared: Option<Arc<Shared>>,
    /// Recordings of calls that are not written yet.
    pub(crate) recordings: Waiting,
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
        let shelf = Arc::new(Shelf::read(&config, foundation, previous, &mut problems));
        let functions = functions::build(&config, foundation, &shelf, previous, &mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        let parts = sites::Parts {
            origins: &origins,
            functions: &functions,
            metrics: &foundation.metrics,
            is_new: true,
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
                shares: shares_to_pick(&functions),
                functions,
                certificates,
                shelf,
                config,
            }),
            _ => Err(problems),
        }
    }

    /// This generation with other versions of one function; nothing else changes, and no file of
    /// the configuration is read. `given` is a version that is compiled already. Blocks when it
    /// compiles another.
    ///
    /// # Errors
    /// Why the versions cannot run.
    pub(crate) fn with_versions(
        &self,
        foundation: &Foundation,
        name: &str,
        plan: &Plan,
        given: Option<&Compiled>,
    ) -> Result<Self, Vec<Problem>> {
        let key = format!("function.{name}");
        let problem = |what: String| vec![self.config.problem(&key, what, "")];
        let settings = self.config.functions.get(name);
        let settings = settings.ok_or_else(|| problem("there is no such function".to_owned()))?;
        let keys = Keys::of(&self.config, settings).map_err(|(_, what)| problem(what))?;
        let builder = functions::Builder {
            keys: &keys,
            config: &self.config,
            foundation,
            settings,
            shelf: &self.shelf,
            held: self.functions.get(name),
        };
        let given = given.map_or(Given::Nothing, Given::Compiled);
        let entry = builder.planned(plan, given).map_err(problem)?;
        let mut functions = self.functions.clone();
        functions.insert(Arc::clone(&settings.name), entry);
        let shares = shares(&functions);
        if shares.len() > SHARES_MAX {
            let what = format!("{SHARES_MAX} functions have a version for a share of requests");
            return Err(problem(what));
        }
        let parts = sites::Parts {
            origins: &self.origins,
            functions: &functions,
            metrics: &foundation.metrics,
            is_new: false,
        };
        let mut problems = Vec::new();
        let sites = sites::build(&self.config, &parts, &mut problems);
        let settings = Settings::of(&self.config, &mut problems);
        let (Some(sites), Some(settings)) = (sites, settings) else {
            return Err(problems);
        };
        Ok(Self {
            number: self.number + 1,
            since: foundation.clock.wall(),
            config: Arc::clone(&self.config),
            settings,
            sites,
            origins: self.origins.clone(),
            functions,
            certificates: self.certificates.clone(),
            shelf: Arc::clone(&self.shelf),
            shares,
        })
    }

    /// Which shares a request is of.
    #[must_use]
    pub fn pick(&self, asker: &Asker<'_>) -> Picks {
        let mut picks = Picks::default();
        for (place, (name, digest, share)) in self.shares.iter().enumerate() {
            if share.has(name, digest, asker) {
                picks = picks.with(place);
            }
        }
        picks
    }

    /// The functions of which a request with these picks gets another version, and which one.
    pub fn picked(&self, picks: Picks) -> impl Iterator<Item = (&Arc<str>, &Digest)> {
        let shares = self.shares.iter().enumerate();
        let picked = shares.filter(move |(place, _)| picks.has(*place));
        picked.map(|(_, (name, digest, _))| (name, digest))
    }

    /// The version of a function that runs for requests with these picks; all of a request's
    /// calls ask here, so that it never sees two.
    #[must_use]
    pub fn version<'a>(
        &self,
        function: &'a Arc<FunctionEntry>,
        picks: Picks,
    ) -> &'a Arc<FunctionEntry> {
        let Some(beside) = &function.beside else {
            return function;
        };
        let place = self
            .shares
            .iter()
            .position(|(name, _, _)| *name == function.name);
        match place {
            Some(place) if picks.has(place) => &beside.entry,
            Some(_) | None => function,
        }
    }
}

fn shares(functions: &BTreeMap<Arc<str>, Arc<FunctionEntry>>) -> Vec<(Arc<str>, Digest, Share)> {
    let beside = functions.values().filter_map(|entry| {
        let beside = entry.beside.as_ref()?;
        let BesideMode::Share(share) = &beside.mode else {
            return None;
        };
        let digest = beside.entry.function.digest();
        Some((Arc::clone(&entry.name), digest, share.clone()))
    });
    beside.collect()
}

/// The shares of states that were deployed one by one, and are too many together: those over the
/// limit are for nobody.
fn shares_to_pick(
    functions: &BTreeMap<Arc<str>, Arc<FunctionEntry>>,
) -> Vec<(Arc<str>, Digest, Share)> {
    let mut shares = shares(functions);
    for (name, digest, _) in shares.iter().skip(SHARES_MAX) {
        tracing::error!(
            function = &**name,
            version = %digest.short(),
            "its version for a share of the requests gets none: {SHARES_MAX} functions have one"
        );
    }
    shares.truncate(SHARES_MAX);
    shares
}
