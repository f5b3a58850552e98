//! `verge check`: everything that `serve` would refuse, without serving.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use verge_base::{Clock, Random};
use verge_config::{Config, Problem};
use verge_runtime::Engine;

use super::{count, report};
use crate::capabilities::kv::Stores;
use crate::deploy::Versions;
use crate::generation::{Foundation, Generation};
use crate::node::{admin_token, engine_settings};
use crate::recording::Waiting;
use crate::telemetry::Metrics;

/// Checks the configuration at `path`; 0 if a node would serve it.
#[expect(clippy::print_stdout, reason = "a command's own output")]
pub(super) fn check(path: &Path) -> ExitCode {
    match build(path) {
        Ok((generation, _)) => {
            println!(
                "{}: good: {}, {}, {}",
                path.display(),
                count(generation.config.sites.len(), "site"),
                count(generation.origins.len(), "origin"),
                count(generation.functions.len(), "function")
            );
            ExitCode::SUCCESS
        }
        Err(problems) => {
            report(path, &problems);
            ExitCode::FAILURE
        }
    }
}

/// The generation that a node would serve, and the engine of its functions.
pub(super) fn build(path: &Path) -> Result<(Generation, Engine), Vec<Problem>> {
    let config = Config::read(path).map_err(|errors| errors.problems().to_vec())?;
    let clock = Clock::system();
    let engine = Engine::new(engine_settings(&config), clock.clone())
        .map_err(|error| vec![config.problem("runtime", error.to_string(), "")])?;
    let metrics = Metrics::new(1);
    let foundation = Foundation {
        // A node that serves has their files.
        kv: Arc::new(Stores::unopened(clock.clone(), metrics.clone())),
        versions: Arc::new(Versions::none()),
        clock,
        random: Random::system(),
        engine: engine.clone(),
        metrics,
        shared: None,
        recordings: Waiting::default(),
    };
    let mut problems: Vec<Problem> = admin_token(&config).err().into_iter().collect();
    match Generation::build(Arc::new(config), &foundation, None) {
        Ok(generation) if problems.is_empty() => Ok((generation, engine)),
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found);
            Err(problems)
        }
    }
}
