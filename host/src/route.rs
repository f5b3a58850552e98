//! What a generation serves: sites, routes, and what routes lead to.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use verge_cache::policy::RoutePolicy;
use verge_config::{FieldCondition, SiteName};
use verge_origin::Origin;
use verge_runtime::{Compiled, Digest, Function, Trigger};

use crate::capabilities::FunctionCapabilities;
use crate::deploy::state::BesideMode;
use crate::deploy::{FunctionState, ShadowReport};
use crate::key_rule::KeyRule;
use crate::telemetry::{FunctionMetrics, OriginMetrics, RouteLabel, SiteMetrics};

/// A served authority.
pub struct Site {
    /// What it answers to; never empty.
    pub names: Vec<SiteName>,
    /// The first name, as receipts show it.
    pub label: Arc<str>,
    /// Whether clients get `Server-Timing`.
    pub server_timing: bool,
    /// Origins of its routes: those that each of its functions may choose.
    pub origins: BTreeSet<Arc<str>>,
    /// What may be stored of what its functions fetch from origins.
    pub fetch_policy: Arc<RoutePolicy>,
    /// Counters of this site.
    pub metrics: Arc<SiteMetrics>,
}

/// A match rule and what answers under it.
pub struct Route {
    /// The path pattern as configured.
    pub path: String,
    /// The matcher's patterns for it, its own first.
    pub patterns: Vec<String>,
    /// Its name in receipts.
    pub label: Arc<RouteLabel>,
    /// Methods it is for; empty for all.
    pub methods: Vec<Method>,
    /// Conditions on fields; all must be met.
    pub fields: Vec<(HeaderName, FieldCondition)>,
    /// What answers.
    pub target: Target,
    /// Functions in front of the cache.
    pub viewer_request: Vec<FunctionUse>,
    /// Functions in front of the origin.
    pub origin_request: Vec<FunctionUse>,
    /// Functions behind the origin.
    pub origin_response: Vec<FunctionUse>,
    /// Functions behind the cache.
    pub viewer_response: Vec<FunctionUse>,
    /// Middleware around the cache, the outermost first.
    pub viewer_middleware: Vec<FunctionUse>,
    /// Middleware around the exchange with the origin, the outermost first.
    pub origin_middleware: Vec<FunctionUse>,
    /// Whether the cache is asked and fed.
    pub cached: bool,
    /// What may be stored, and for how long.
    pub policy: Arc<RoutePolicy>,
    /// What is asked of the origin for a part of what is not stored.
    pub ranges: RangePolicy,
    /// What of a request its key is made of; none: the target as it stands.
    pub key: Option<KeyRule>,
    /// Whether responses are compressed.
    pub compresses: bool,
}

/// What is asked of the origin for a part of what is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangePolicy {
    /// The part; parts are stored and combined.
    Pieces,
    /// All of it.
    Whole,
    /// Aligned slices.
    Slices {
        /// Bytes of a slice; at least 1.
        size: u64,
    },
    /// The part, which is not stored.
    Pass,
}

/// What answers a route's requests.
pub enum Target {
    /// An origin, through the cache.
    Origin(Arc<OriginEntry>),
    /// A `wasi:http` function, through the cache.
    Function(FunctionUse),
    /// A redirect.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: StatusCode,
        /// The Location, or its beginning.
        to: String,
        /// Whether the request's path and query are appended.
        keep_path: bool,
    },
    /// A fixed answer.
    Static {
        /// Its status.
        status: StatusCode,
        /// Its media type.
        content_type: HeaderValue,
        /// Its content.
        body: Bytes,
    },
}

/// An origin of this generation.
pub struct OriginEntry {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The origin with its pools, which outlive the generation while unchanged.
    pub origin: Origin,
    /// Its counters.
    pub metrics: Arc<OriginMetrics>,
}

/// A function of this generation: its live version, and the one that runs beside it.
#[derive(Clone)]
pub struct FunctionEntry {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The component, ready to be instantiated.
    pub function: Function,
    /// The same with the limits of calls after the response, if it can be called so.
    pub deferred: Option<Function>,
    /// The settings it was built from.
    pub settings: verge_config::Function,
    /// What stands behind its imports; a new version takes over what is to last.
    pub(crate) capabilities: Arc<FunctionCapabilities>,
    /// The component, compiled.
    pub(crate) compiled: Compiled,
    /// Its counters.
    pub metrics: Arc<FunctionMetrics>,
    /// How it compares with the live one, if it runs in its shadow.
    pub shadow: Option<Arc<ShadowReport>>,
    /// The version that runs beside this one, if one does; that one has none beside itself.
    pub beside: Option<Beside>,
    /// What is known of the function's versions; `None` where none are kept.
    pub state: Option<Arc<FunctionState>>,
}

/// A version beside the live one.
#[derive(Clone)]
pub struct Beside {
    /// The version.
    pub entry: Arc<FunctionEntry>,
    /// For whom it runs.
    pub mode: BesideMode,
}

impl PartialEq for Beside {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entry, &other.entry) && self.mode == other.mode
    }
}

impl FunctionEntry {
    /// Whether all versions of it that run export this trigger.
    #[must_use]
    pub fn all_have(&self, trigger: Trigger) -> bool {
        let beside = self.beside.as_ref();
        self.function.has(trigger) && beside.is_none_or(|beside| beside.entry.function.has(trigger))
    }

    /// The version with this digest, if it is this one or the one beside it.
    #[must_use]
    pub fn running(&self, digest: &Digest) -> Option<&Self> {
        let beside = self.beside.iter().map(|beside| &*beside.entry);
        let mut running = std::iter::once(self).chain(beside);
        running.find(|entry| entry.function.digest() == *digest)
    }

    /// Whether both are one loaded version, whatever runs beside it.
    #[must_use]
    pub fn is_version(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.capabilities, &other.capabilities)
            && self.function.digest() == other.function.digest()
    }
}

/// A function at one place of a route.
#[derive(Clone)]
pub struct FunctionUse {
    /// The function.
    pub function: Arc<FunctionEntry>,
    /// What happens here when it fails.
    pub on_failure: verge_config::OnFailure,
}

impl Route {
    /// Whether a request of this method with these fields may take the route.
    #[must_use]
    pub fn accepts(&self, method: &Method, fields: &HeaderMap) -> bool {
        // A route for GET answers HEAD likewise (RFC 9110 9.3.2).
        let method_fits = self.methods.is_empty()
            || self.methods.contains(method)
            || (*method == Method::HEAD && self.methods.contains(&Method::GET));
        method_fits
            && self
                .fields
                .iter()
                .all(|(name, condition)| is_met(name, condition, fields))
    }

    /// What is asked of fields, as a part of the cache key; `None` if nothing is. The target
    /// URI alone does not lead to this route then: without the part, its responses would answer
    /// requests that other routes of the same path are for.
    #[must_use]
    pub fn field_conditions(&self) -> Option<String> {
        (!self.fields.is_empty()).then(|| format!("{:?}", self.fields))
    }

    /// The functions that can have a part in a response before it is stored; those in front of
    /// the cache by what they made of the request.
    pub fn fill_functions(&self) -> impl Iterator<Item = &FunctionUse> {
        let handler = match &self.target {
            Target::Function(used) => Some(used),
            Target::Origin(_) | Target::Redirect { .. } | Target::Static { .. } => None,
        };
        self.viewer_request
            .iter()
            .chain(&self.viewer_middleware)
            .chain(&self.origin_request)
            .chain(&self.origin_middleware)
            .chain(&self.origin_response)
            .chain(handler)
    }

    /// Whether no part is asked for, past the cache either: functions behind the origin can change
    /// content, and have all of it before them (RFC 9110 14.2 lets a Range be ignored).
    #[must_use]
    pub fn asks_for_whole(&self) -> bool {
        let is_changed = !(self.origin_response.is_empty() && self.origin_middleware.is_empty());
        is_changed && self.ranges == RangePolicy::Whole
    }

    /// Whether functions change responses on their way to the client.
    #[must_use]
    pub fn changes_responses(&self) -> bool {
        !(self.origin_response.is_empty()
            && self.viewer_response.is_empty()
            && self.viewer_middleware.is_empty()
            && self.origin_middleware.is_empty())
    }

    /// Whether what is stored may have other content than the origin sent.
    #[must_use]
    pub fn has_functions_behind_cache(&self) -> bool {
        !(self.origin_response.is_empty() && self.origin_middleware.is_empty())
    }

    /// Whether any function runs for requests of this route.
    #[must_use]
    pub fn has_functions(&self) -> bool {
        matches!(self.target, Target::Function(_))
            || self.changes_responses()
            || !(self.viewer_request.is_empty() && self.origin_request.is_empty())
    }
}

fn is_met(name: &HeaderName, condition: &FieldCondition, fields: &HeaderMap) -> bool {
    match condition {
        FieldCondition::Present => fields.contains_key(name),
        FieldCondition::Absent => !fields.contains_key(name),
        FieldCondition::Equals(value) => fields
            .get_all(name)
            .iter()
            .any(|line| line.as_bytes() == value.as_bytes()),
    }
}
