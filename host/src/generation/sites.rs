//! Sites and routes: names to the things they name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use verge_cache::policy::RoutePolicy;
use verge_config::{Config, OnFailure, Problem, Ranges};
use verge_runtime::Trigger;

use super::policy;
use super::route_key;
use crate::key_rule::KeyRule;
use crate::pipeline::routing::Sites;
use crate::route::{FunctionEntry, FunctionUse, OriginEntry, RangePolicy, Route, Site, Target};
use crate::telemetry::{Metrics, RouteLabel, SiteMetrics};

/// What routes refer to.
pub(super) struct Parts<'a> {
    pub(super) origins: &'a BTreeMap<Arc<str>, Arc<OriginEntry>>,
    pub(super) functions: &'a BTreeMap<Arc<str>, Arc<FunctionEntry>>,
    pub(super) metrics: &'a Metrics,
    /// Whether the configuration is a new one: what it should be warned of is told once.
    pub(super) is_new: bool,
}

/// The table of all sites; `None` after adding to `problems`.
pub(super) fn build(
    config: &Config,
    parts: &Parts<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Sites> {
    let mut sites = Vec::with_capacity(config.sites.len());
    for (site_index, settings) in config.sites.iter().enumerate() {
        let site_metrics = parts.metrics.site(&settings.name);
        let site = Arc::new(Site {
            names: settings.names.clone(),
            label: Arc::clone(&settings.name),
            server_timing: settings.server_timing,
            origins: origins_of(settings),
            fetch_policy: fetch_policy(config, &site_metrics, problems),
            metrics: site_metrics,
        });
        let mut routes = Vec::with_capacity(settings.routes.len());
        for (route_index, route) in settings.routes.iter().enumerate() {
            let place = format!("site[{site_index}].route[{route_index}]");
            match build_route(config, route, parts, &site.metrics) {
                Ok(route) => {
                    if parts.is_new {
                        policy::warn(&place, &route.policy);
                    }
                    routes.push(Arc::new(route));
                }
                Err((key, what)) => {
                    let place = format!("{place}.{key}");
                    problems.push(config.problem(&place, what, ""));
                }
            }
        }
        sites.push((site, routes));
    }
    if !problems.is_empty() {
        return None;
    }
    match Sites::build(sites) {
        Ok(sites) => Some(sites),
        Err(error) => {
            problems.push(config.problem("site", error.to_string(), ""));
            None
        }
    }
}

fn origins_of(site: &verge_config::Site) -> BTreeSet<Arc<str>> {
    let targets = site.routes.iter().map(|route| &route.target);
    targets
        .filter_map(|target| match target {
            verge_config::Target::Origin(name) => Some(Arc::clone(name)),
            _ => None,
        })
        .collect()
}

/// The policy for what functions of a site fetch from origins.
fn fetch_policy(
    config: &Config,
    site: &SiteMetrics,
    problems: &mut Vec<Problem>,
) -> Arc<RoutePolicy> {
    policy::build(&config.policy, config, site).unwrap_or_else(|(key, what)| {
        problems.push(config.problem(&format!("cache.{key}"), what, ""));
        Arc::default()
    })
}

pub(super) type RouteError = (&'static str, String);

fn build_route(
    config: &Config,
    settings: &verge_config::Route,
    parts: &Parts<'_>,
    site: &Arc<SiteMetrics>,
) -> Result<Route, RouteError> {
    let uses = |key, trigger, list: &[verge_config::FunctionUse]| {
        list.iter()
            .map(|used| parts.function_use(key, used, trigger))
            .collect::<Result<Vec<_>, _>>()
    };
    let mut methods = Vec::with_capacity(settings.methods.len());
    for method in &settings.methods {
        methods.push(
            Method::from_bytes(method.as_bytes())
                .map_err(|_| ("methods", format!("`{method}` is not a method")))?,
        );
    }
    let mut fields = Vec::with_capacity(settings.fields.len());
    for field in &settings.fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| ("fields", format!("`{}` is not a field name", field.name)))?;
        fields.push((name, field.condition.clone()));
    }
    let triggers = &settings.triggers;
    use verge_runtime::Trigger::{
        OriginMiddleware, OriginRequest, OriginResponse, ViewerMiddleware, ViewerRequest,
        ViewerResponse,
    };
    Ok(Route {
        path: settings.path.clone(),
        patterns: settings.patterns().map(str::to_owned).collect(),
        label: Arc::new(RouteLabel::new(Arc::clone(site), Some(&settings.path))),
        methods,
        fields,
        target: parts.target(&settings.target)?,
        viewer_request: uses("viewer_request", ViewerRequest, &triggers.viewer_request)?,
        origin_request: uses("origin_request", OriginRequest, &triggers.origin_request)?,
        origin_response: uses("origin_response", OriginResponse, &triggers.origin_response)?,
        viewer_response: uses("viewer_response", ViewerResponse, &triggers.viewer_response)?,
        viewer_middleware: uses(
            "viewer_middleware",
            ViewerMiddleware,
            &triggers.viewer_middleware,
        )?,
        origin_middleware: uses(
            "origin_middleware",
            OriginMiddleware,
            &triggers.origin_middleware,
        )?,
        cached: settings.cache,
        policy: policy::build(&settings.policy, config, site)?,
        ranges: match settings.ranges {
            Ranges::Pieces => RangePolicy::Pieces,
            Ranges::Whole => RangePolicy::Whole,
            Ranges::Slices => RangePolicy::Slices {
                size: settings.slice.max(1),
            },
            Ranges::Pass => RangePolicy::Pass,
        },
        key: key_rule(settings, parts.is_new)?,
        compresses: settings.compression.unwrap_or(config.compression.on),
    })
}

fn key_rule(settings: &verge_config::Route, is_new: bool) -> Result<Option<KeyRule>, RouteError> {
    let Some(key) = &settings.key else {
        return Ok(None);
    };
    let policy = route_key::build(key)?;
    if is_new && policy.lets_unkeyed_pass() {
        tracing::warn!(
            route = &*settings.path,
            "`key.forward = \"as-asked\"`: input that is no part of the cache key reaches the \
             origin, so what one client sends there can decide what all others get"
        );
    }
    Ok(Some(KeyRule::new(policy, &settings.path)))
}

impl Parts<'_> {
    fn target(&self, target: &verge_config::Target) -> Result<Target, RouteError> {
        match target {
            verge_config::Target::Origin(name) => self
                .origins
                .get(name)
                .map(|origin| Target::Origin(Arc::clone(origin)))
                .ok_or_else(|| ("origin", format!("no origin is named `{name}`"))),
            verge_config::Target::Function(name) => {
                let function = self.function("function", name)?;
                if !function.all_have(Trigger::Handler) {
                    let what = match function.all_have(Trigger::ViewerMiddleware) {
                        true => format!(
                            "function `{name}` is middleware: it belongs into \
                             `viewer_middleware` or `origin_middleware`"
                        ),
                        false => format!(
                            "function `{name}` exports no handler of `wasi:http`, so it cannot \
                             answer"
                        ),
                    };
                    return Err(("function", what));
                }
                // A target cannot be gone without.
                let on_failure = match function.settings.on_failure {
                    OnFailure::Stale => OnFailure::Stale,
                    OnFailure::Closed | OnFailure::Open => OnFailure::Closed,
                };
                Ok(Target::Function(FunctionUse {
                    function,
                    on_failure,
                }))
            }
            verge_config::Target::Redirect(redirect) => Ok(Target::Redirect {
                status: StatusCode::from_u16(redirect.status)
                    .map_err(|error| ("redirect.status", error.to_string()))?,
                to: redirect.to.clone(),
                keep_path: redirect.keep_path,
            }),
            verge_config::Target::Static(answer) => Ok(Target::Static {
                status: StatusCode::from_u16(answer.status)
                    .map_err(|error| ("static.status", error.to_string()))?,
                content_type: HeaderValue::from_str(&answer.content_type)
                    .map_err(|error| ("static.content_type", error.to_string()))?,
                body: Bytes::from(answer.body.clone()),
            }),
        }
    }

    fn function(&self, key: &'static str, name: &str) -> Result<Arc<FunctionEntry>, RouteError> {
        self.functions
            .get(name)
            .cloned()
            .ok_or_else(|| (key, format!("no function is named `{name}`")))
    }

    fn function_use(
        &self,
        key: &'static str,
        used: &verge_config::FunctionUse,
        trigger: Trigger,
    ) -> Result<FunctionUse, RouteError> {
        let function = self.function(key, &used.function)?;
        if !function.all_have(trigger) {
            let exports = match trigger {
                Trigger::ViewerMiddleware | Trigger::OriginMiddleware => {
                    "is no middleware: it does not both import and export \
                     `wasi:http/handler@0.3`"
                        .to_owned()
                }
                Trigger::ViewerRequest
                | Trigger::OriginRequest
                | Trigger::OriginResponse
                | Trigger::ViewerResponse
                | Trigger::Handler
                | Trigger::Deferred => format!("exports no `verge:edge/{}`", trigger.label()),
            };
            let what = format!("function `{}` {exports}", used.function);
            return Err((key, what));
        }
        let own = function.settings.on_failure;
        let on_failure = match (used.on_failure, trigger) {
            (Some(OnFailure::Stale), verge_runtime::Trigger::ViewerResponse) => {
                let what = format!(
                    "`{}` runs on the response that is there, so no stale one can stand in for it: \
                     `on_failure` is \"closed\" or \"open\" here",
                    used.function
                );
                return Err((key, what));
            }
            (Some(OnFailure::Stale), Trigger::ViewerMiddleware | Trigger::OriginMiddleware) => {
                let what = format!(
                    "`{}` is middleware: `on_failure` is \"closed\" or \"open\" here",
                    used.function
                );
                return Err((key, what));
            }
            (None, Trigger::ViewerMiddleware | Trigger::OriginMiddleware)
                if own == OnFailure::Stale =>
            {
                OnFailure::Closed
            }
            (None, verge_runtime::Trigger::ViewerResponse) if own == OnFailure::Stale => {
                OnFailure::Closed
            }
            (asked, _) => asked.unwrap_or(own),
        };
        Ok(FunctionUse {
            function,
            on_failure,
        })
    }
}
