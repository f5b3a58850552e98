//! From a route's configured policy to what decides about its responses.

use std::sync::Arc;

use http::HeaderName;
use verge_cache::policy::{
    BypassRule, OriginDirectives, RoutePolicy, SetCookie, StatusMatch, StatusTtls,
};
use verge_config::{Bypass, Config, Policy, StatusPattern};

use crate::telemetry::SiteMetrics;

/// The policy of a route; an error names the key and what is wrong with it.
pub(super) fn build(
    settings: &Policy,
    config: &Config,
    site: &SiteMetrics,
) -> Result<Arc<RoutePolicy>, (&'static str, String)> {
    let fields = &config.cache_fields;
    let statuses = settings.statuses.iter().map(|(pattern, ttl)| {
        let matched = match pattern {
            StatusPattern::Exact(code) => StatusMatch::Exact(*code),
            StatusPattern::Class(digit) => StatusMatch::Class(*digit),
        };
        (matched, *ttl)
    });
    let bypass = settings.bypass.iter().map(|rule| match rule {
        Bypass::Field(name) => field_name("policy.bypass", name).map(BypassRule::Field),
        Bypass::Cookie(name) => Ok(BypassRule::Cookie(name.clone())),
    });
    let targets = fields.targeted.iter();
    let targets = targets.map(|name| field_name("policy.targeted_fields", name));
    Ok(Arc::new(RoutePolicy {
        site: Some(site.name().into()),
        default_ttl: settings.default_ttl,
        max_ttl: settings.max_ttl,
        heuristic_max: if settings.heuristic {
            settings.heuristic_max
        } else {
            std::time::Duration::ZERO
        },
        statuses: StatusTtls::new(statuses),
        jitter: settings.jitter,
        refresh_ahead: settings.refresh_ahead,
        stale_while_revalidate: settings.stale_while_revalidate,
        stale_if_error: settings.stale_if_error,
        stale_on_failure: config.cache.stale_on_failure,
        origin_directives: match settings.origin_directives {
            verge_config::OriginDirectives::Follow => OriginDirectives::Follow,
            verge_config::OriginDirectives::Override => OriginDirectives::Override,
            verge_config::OriginDirectives::Ignore => OriginDirectives::Ignore,
            verge_config::OriginDirectives::IgnoreAll => OriginDirectives::IgnoreAll,
        },
        set_cookie: if settings.stores_set_cookie {
            SetCookie::Store
        } else {
            SetCookie::Refuse
        },
        targets: targets.collect::<Result<_, _>>()?,
        passes_targeted_fields: fields.pass_targeted,
        passes_surrogate_keys: fields.pass_surrogate_keys,
        bypass: bypass.collect::<Result<_, _>>()?,
    }))
}

fn field_name(key: &'static str, name: &str) -> Result<HeaderName, (&'static str, String)> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| (key, format!("`{name}` is not a field name")))
}

/// Says in the log what a route does that may show one client what is another's.
pub(super) fn warn(place: &str, policy: &RoutePolicy) {
    match policy.origin_directives {
        OriginDirectives::Follow | OriginDirectives::Override => {}
        OriginDirectives::Ignore => tracing::info!(
            place,
            "Cache-Control of the origin is not looked at, apart from no-store and private"
        ),
        OriginDirectives::IgnoreAll => tracing::warn!(
            place,
            "no-store and private of the origin are not looked at: what it made for one client reaches others"
        ),
    }
}
