//! The node as the admin API sees it.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use verge_cache::ScopeKind;
use verge_cache::policy::RefuseReason;

use super::{NodeState, purging, versions};
use crate::admin::functions::{FunctionAction, FunctionVersions, VersionChange};
use crate::admin::{
    AdminSource, DrainStatus, ExplainRequest, Explanation, FunctionStatus, GenerationStatus,
    PurgeDone, PurgeItem, Readiness, ReloadProblem, ReloadResult, ScopeProblem, Status,
};
use crate::deploy::actions::{Refusal, RefusalKind};
use crate::listener::DrainPhase;
use crate::pipeline;
use crate::reload::{self, ReloadCause, ReloadReport};
use crate::telemetry::sample::{CacheSample, LimitSample, PoolSample};
use crate::telemetry::{Metrics, Rfc3339, Sample};

/// A node behind the admin API.
pub(super) struct NodeSource(pub(super) Arc<NodeState>);

impl AdminSource for NodeSource {
    fn readiness(&self) -> Readiness {
        if self.0.is_ready() {
            Readiness::Ready
        } else if self.0.drain.phase() == DrainPhase::Serving {
            Readiness::NotReady("starting")
        } else {
            Readiness::NotReady("draining")
        }
    }

    fn metrics(&self) -> &Metrics {
        self.0.telemetry.metrics()
    }

    /// One list: what is added to a sample is found here.
    fn sample(&self) -> Sample {
        let state = &self.0;
        let cache = state.cache.stats();
        let generation = state.generation.load();
        let pools = generation.origins.values().flat_map(|entry| {
            let stats = entry.origin.stats();
            let queued = stats.waiting as u64;
            let name = Arc::clone(&entry.name);
            stats.addresses.into_iter().map(move |address| PoolSample {
                origin: Arc::clone(&name),
                address: address.address,
                idle: address.idle as u64,
                in_use: address.in_use as u64,
                queued,
            })
        });
        Sample {
            ready: state.is_ready(),
            draining: state.drain.phase() != DrainPhase::Serving,
            cache: CacheSample {
                bytes: cache.bytes,
                table_bytes: cache.table_bytes,
                limit_bytes: cache.bytes_max,
                entries: cache.entries,
                fills: cache.fills_in_progress,
                evictions: cache.evictions,
                evicted: state
                    .cache
                    .evictions_by_site()
                    .into_iter()
                    .map(Into::into)
                    .collect(),
                collapsed: cache.collapsed,
                purges: ScopeKind::ALL
                    .iter()
                    .map(|kind| kind.label())
                    .zip(cache.purges_by_scope)
                    .collect(),
                refusals: RefuseReason::ALL
                    .iter()
                    .map(|reason| reason.label())
                    .zip(cache.refusals)
                    .filter(|(_, number)| *number > 0)
                    .collect(),
                swept_removed: cache.swept_removed,
                swept_softened: cache.swept_softened,
                pieces_dropped: cache.pieces_dropped,
            },
            disk: state.disk.as_ref().map(|disk| disk.stats().into()),
            limits: vec![
                LimitSample::from(&state.connections),
                LimitSample::from(&state.requests),
                LimitSample::from(&state.deferred.places),
                LimitSample {
                    // To drop a call in the shadow is as it should be: it is counted with its
                    // function, and nothing to be woken for.
                    refused: 0,
                    ..LimitSample::from(state.shadows.places())
                },
                LimitSample::from(&state.detached_fetches),
                LimitSample::from(&state.background_validations),
                LimitSample::from(&state.slice_lookups),
                LimitSample::from(&state.compression.jobs),
                LimitSample::from(state.foundation.engine.slots()),
                LimitSample {
                    name: "purge-records",
                    in_use: cache.purge_records,
                    limit: state.cache.settings().purge_records_max as u64,
                    refused: cache.purge_records_forgotten,
                },
                LimitSample {
                    name: "refusals",
                    in_use: cache.refusals_kept,
                    limit: state.cache.settings().refusals_max as u64,
                    refused: cache.refusals_forgotten,
                },
            ],
            pools: pools.collect(),
            idle: generation.idle_instances(),
            shares: generation.share_ratios(),
            unkept: state.foundation.versions.unkept(),
            kv: state.foundation.kv.sample(),
            access_log: state
                .telemetry
                .access_log()
                .map(|log| log.sample())
                .unwrap_or_default(),
            shared: state.shared.as_ref().map(|shared| shared.sample()),
        }
    }

    fn status(&self) -> Status {
        let state = &self.0;
        let generation = state.generation.load();
        let functions = generation.functions.values().map(|entry| FunctionStatus {
            name: entry.name.to_string(),
            digest: entry.function.digest().to_string(),
            triggers: entry.function.triggers().map(|t| t.label()).collect(),
            isolation: entry.settings.isolation.label(),
            is_quarantined: entry.function.is_quarantined(),
        });
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started: Rfc3339(state.started),
            config: generation.config.file.clone(),
            generation: GenerationStatus {
                number: generation.number,
                since: Rfc3339(generation.since),
            },
            last_reload: state.reloads.last().map(told),
            drain: drain_status(state),
            functions: functions.collect(),
            sites: generation
                .config
                .sites
                .iter()
                .map(|s| s.name.to_string())
                .collect(),
            origins: generation.origins.keys().map(ToString::to_string).collect(),
        }
    }

    fn purge(&self, item: &PurgeItem) -> Result<PurgeDone, ScopeProblem> {
        purging::purge(&self.0, item)
    }

    fn purge_batch_max(&self) -> usize {
        self.0.generation.load().config.limits.purge_batch
    }

    fn settle_purges(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.tiers.settle())
    }

    fn explain<'a>(
        &'a self,
        request: &'a ExplainRequest,
    ) -> BoxFuture<'a, Result<Explanation, ScopeProblem>> {
        Box::pin(pipeline::explain(&self.0, request))
    }

    fn functions(&self) -> Vec<FunctionVersions> {
        versions::all(&self.0)
    }

    fn function(&self, name: &str) -> Result<FunctionVersions, Refusal> {
        versions::one(&self.0, name)
    }

    fn component_bytes_max(&self) -> usize {
        self.0.generation.load().config.deploy.component
    }

    fn change_function(
        &self,
        name: String,
        action: FunctionAction,
    ) -> BoxFuture<'_, Result<VersionChange, Refusal>> {
        let state = Arc::clone(&self.0);
        let changing = tokio::task::spawn_blocking(move || versions::change(&state, &name, action));
        async move {
            changing.await.unwrap_or_else(|error| {
                Err(Refusal {
                    kind: RefusalKind::Failed,
                    what: format!("the action did not end: {error}"),
                    expected: "the node's log says more".to_owned(),
                })
            })
        }
        .boxed()
    }

    fn reload(&self) -> BoxFuture<'_, crate::admin::ReloadReport> {
        let state = Arc::clone(&self.0);
        let reloading =
            tokio::task::spawn_blocking(move || reload::reload(&state, ReloadCause::Admin));
        async move {
            match reloading.await {
                Ok(report) => told(report),
                Err(error) => crate::admin::ReloadReport {
                    result: ReloadResult::Failed,
                    cause: crate::admin::ReloadCause::Admin,
                    at: Rfc3339(self.0.clock.wall()),
                    took: std::time::Duration::ZERO,
                    generation: self.0.generation.load().number,
                    error: Some(format!("the reload did not end: {error}")),
                    problems: Vec::new(),
                },
            }
        }
        .boxed()
    }
}

fn drain_status(state: &NodeState) -> Option<DrainStatus> {
    let until = (*state.drain_deadline.lock())?;
    let remaining = until.saturating_duration_since(state.clock.now());
    Some(DrainStatus {
        connections: state.connections.in_use() as u64,
        requests: state.requests.in_use() as u64,
        remaining_seconds: remaining.as_secs(),
    })
}

/// A reload in the words of the admin API.
fn told(report: ReloadReport) -> crate::admin::ReloadReport {
    let problems = report.problems.iter().map(|problem| ReloadProblem {
        file: problem.file.clone(),
        line: problem.line,
        key: problem.key_path.clone(),
        what: problem.what.clone(),
        expected: problem.expected.clone(),
    });
    crate::admin::ReloadReport {
        result: if report.is_success() {
            ReloadResult::Applied
        } else {
            ReloadResult::Failed
        },
        cause: match report.cause {
            ReloadCause::File => crate::admin::ReloadCause::File,
            ReloadCause::Signal => crate::admin::ReloadCause::Signal,
            ReloadCause::Admin => crate::admin::ReloadCause::Admin,
        },
        at: Rfc3339(report.at),
        took: report.took,
        generation: report.generation,
        error: None,
        problems: problems.collect(),
    }
}
