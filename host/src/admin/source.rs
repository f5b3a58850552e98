//! What the admin API asks of the node, and the words in which it is told.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::explain::{ExplainRequest, Explanation};
use super::functions::{FunctionAction, FunctionVersions, VersionChange};
use super::purge::{PurgeDone, PurgeItem, ScopeProblem};
use crate::deploy::actions::Refusal;
use crate::telemetry::{Metrics, Rfc3339, Sample};

/// The node, as the admin API sees it. What returns no future may not wait for anything.
pub trait AdminSource: Send + Sync + 'static {
    /// Whether the node wants traffic.
    fn readiness(&self) -> Readiness;

    /// The node's metrics.
    fn metrics(&self) -> &Metrics;

    /// The node's levels now.
    fn sample(&self) -> Sample;

    /// What the node is running.
    fn status(&self) -> Status;

    /// Purges one scope.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    fn purge(&self, item: &PurgeItem) -> Result<PurgeDone, ScopeProblem>;

    /// Most scopes of one batch of purges.
    fn purge_batch_max(&self) -> usize;

    /// Returns once the purges so far would outlive a crash, or after a bounded time.
    fn settle_purges(&self) -> BoxFuture<'_, ()>;

    /// What the cache makes of a request; tiers are asked, each for a bounded time. The error
    /// is what is wrong with the request, and what would be right.
    fn explain<'a>(
        &'a self,
        request: &'a ExplainRequest,
    ) -> BoxFuture<'a, Result<Explanation, ScopeProblem>>;

    /// Functions with their versions, by name.
    fn functions(&self) -> Vec<FunctionVersions>;

    /// One function with its versions.
    ///
    /// # Errors
    /// There is none of this name.
    fn function(&self, name: &str) -> Result<FunctionVersions, Refusal>;

    /// Most bytes of a component that is deployed.
    fn component_bytes_max(&self) -> usize;

    /// Changes which versions of a function run. The returned future is always run to its end.
    fn change_function(
        &self,
        name: String,
        action: FunctionAction,
    ) -> BoxFuture<'_, Result<VersionChange, Refusal>>;

    /// Reads configuration and functions anew. Calls at the same time may
    /// share one reload. The returned future is always run to its end.
    fn reload(&self) -> BoxFuture<'_, ReloadReport>;
}

/// Whether a node wants traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It does.
    Ready,
    /// It does not, for this reason, as `starting`, `draining`.
    NotReady(&'static str),
}

/// What the node is running.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version of the program.
    pub version: &'static str,
    /// When the node started.
    pub started: Rfc3339,
    /// The configuration file.
    pub config: PathBuf,
    /// The serving generation.
    pub generation: GenerationStatus,
    /// The last attempt to replace it, if there was one.
    pub last_reload: Option<ReloadReport>,
    /// How far the node has come with stopping, if it was told to.
    pub drain: Option<DrainStatus>,
    /// The generation's functions.
    pub functions: Vec<FunctionStatus>,
    /// The generation's sites, by name.
    pub sites: Vec<String>,
    /// The generation's origins, by name.
    pub origins: Vec<String>,
}

/// The serving generation.
#[derive(Clone, Debug, Serialize)]
pub struct GenerationStatus {
    /// Counts up from 1.
    pub number: u64,
    /// When it was put in place.
    pub since: Rfc3339,
}

/// A node that is stopping.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DrainStatus {
    /// Connections still open.
    pub connections: u64,
    /// Requests still in flight.
    pub requests: u64,
    /// Seconds until the node stops waiting for them.
    pub remaining_seconds: u64,
}

/// One function of a generation.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionStatus {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its component, in hex.
    pub digest: String,
    /// The triggers that it exports.
    pub triggers: Vec<&'static str>,
    /// How its instances are made.
    pub isolation: &'static str,
    /// Whether it is kept from running after repeated failures.
    pub is_quarantined: bool,
}

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReloadResult {
    /// A new generation serves.
    Applied,
    /// Nothing had changed; the old generation serves on.
    Unchanged,
    /// The old generation serves on, because the new one cannot.
    Failed,
}

/// What asked for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReloadCause {
    /// A watched file changed.
    File,
    /// SIGHUP.
    Signal,
    /// The admin API.
    Admin,
}

/// One reload: what came of it, and everything that was wrong.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadReport {
    /// How it ended.
    pub result: ReloadResult,
    /// What asked for it.
    pub cause: ReloadCause,
    /// When it ended.
    pub at: Rfc3339,
    /// How long it took, in milliseconds.
    #[serde(rename = "took_ms", serialize_with = "as_millis")]
    pub took: Duration,
    /// The generation that serves after it.
    pub generation: u64,
    /// Why it failed, where that has no place in a file.
    pub error: Option<String>,
    /// Everything wrong with the files, each with its place.
    pub problems: Vec<ReloadProblem>,
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReloadProblem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 if the whole file is meant.
    pub line: usize,
    /// The key, as `site[0].route[2].origin`; may be empty.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right; may be empty.
    pub expected: String,
}

fn as_millis<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 1e6).round() / 1e3)
}
