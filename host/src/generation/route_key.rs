//! From `[site.route.key]` to the key policy of a route.

use http::HeaderName;
use http::header::HOST;
use verge_cache::policy::{
    KeyPolicy, NamePattern, ParameterRule, QueryRule, TRACKING_PARAMETERS, UnkeyedInput,
};
use verge_config::{DropPreset, KeyForward, KeyQuery, RouteKey};
use verge_http::{fields, forwarded};

use super::sites::RouteError;

/// The policy that `settings` describe.
pub(super) fn build(settings: &RouteKey) -> Result<KeyPolicy, RouteError> {
    let query = match settings.query {
        KeyQuery::AsIs => QueryRule::AsIs,
        KeyQuery::Sorted => QueryRule::Sorted,
        KeyQuery::None => QueryRule::None,
    };
    let unkeyed = match settings.forward {
        KeyForward::AsKeyed => UnkeyedInput::AsKeyed,
        KeyForward::AsAsked => UnkeyedInput::AsAsked,
    };
    let key_fields: Result<Vec<_>, _> = settings.fields.iter().map(|name| field(name)).collect();
    Ok(KeyPolicy {
        query,
        parameters: parameters(settings),
        fields: key_fields?,
        cookies: settings.cookies.clone(),
        method: settings.method,
        unkeyed,
        max_bytes: settings.max_bytes,
    })
}

fn parameters(settings: &RouteKey) -> ParameterRule {
    if let Some(allow) = &settings.allow {
        return ParameterRule::Allow(allow.iter().map(|name| NamePattern::new(name)).collect());
    }
    let preset: &[&str] = match settings.drop_preset {
        Some(DropPreset::Tracking) => &TRACKING_PARAMETERS,
        None => &[],
    };
    let own = settings.drop.iter().map(String::as_str);
    let dropped: Vec<_> = own
        .chain(preset.iter().copied())
        .map(NamePattern::new)
        .collect();
    if dropped.is_empty() {
        ParameterRule::All
    } else {
        ParameterRule::Drop(dropped)
    }
}

/// A field that requests still have when their key is built.
fn field(name: &str) -> Result<HeaderName, RouteError> {
    let wrong = |why: &str| ("key.fields", format!("`{name}` {why}"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("is not a field name"))?;
    if name == HOST {
        return Err(wrong("is a part of every key: the authority"));
    }
    if fields::is_override(&name)
        || fields::is_connection_specific(&name)
        || forwarded::names_client(&name)
    {
        return Err(wrong("is taken out of every request before it is routed"));
    }
    Ok(name)
}
