//! Whom a function's request is for, and whether it was granted. Decides;
//! sends nothing.

use std::sync::Arc;

use http::Uri;
use http::uri::{Authority, Scheme};
use verge_config::Grants;
use verge_origin::OriginSettings;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchTarget<'a> {
    /// This origin.
    Origin(&'a Arc<str>, Named),
    /// A route of the site whose request the function serves.
    Route,
    /// It was not granted.
    Denied(Denial<'a>),
    /// It is no URI that a request can be for.
    Invalid,
}

/// How a request names its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// By its name in the configuration, which means nothing to the origin itself.
    ByName,
    /// By an authority of its own.
    ByAuthority,
}

/// What would have to be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial<'a> {
    /// This origin.
    Origin(&'a Arc<str>),
    /// The routes of the site.
    Site,
    /// Nothing of the configuration answers to it.
    Unknown,
}

/// Finds whom `uri` is for. Names go before authorities, origins before the site.
pub(super) fn select_target<'a>(
    uri: &Uri,
    grants: &'a Grants,
    origins: impl Iterator<Item = (&'a Arc<str>, &'a OriginSettings)> + Clone,
    is_of_site: impl Fn(&Authority) -> bool,
) -> FetchTarget<'a> {
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return FetchTarget::Invalid;
    };
    let Some(port) = port(scheme, authority) else {
        return FetchTarget::Invalid;
    };
    let is_secure = *scheme == Scheme::HTTPS;
    let mut denied = None;
    for named in [Named::ByName, Named::ByAuthority] {
        for (name, settings) in origins.clone() {
            let is_meant = match named {
                Named::ByName => is_name(name, authority),
                // In the clear where the function believes in TLS, or the other way round: no.
                Named::ByAuthority => {
                    is_secure == settings.tls.is_some()
                        && answers_to(settings, authority.host(), port)
                }
            };
            if is_meant && grants.fetch.contains(name) {
                return FetchTarget::Origin(name, named);
            }
            if is_meant {
                denied.get_or_insert(name);
            }
        }
    }
    let is_of_site = is_of_site(authority);
    match denied {
        _ if is_of_site && grants.fetch_site => FetchTarget::Route,
        Some(name) => FetchTarget::Denied(Denial::Origin(name)),
        None if is_of_site => FetchTarget::Denied(Denial::Site),
        None => FetchTarget::Denied(Denial::Unknown),
    }
}

/// The port that an authority means; none when it has userinfo, or the scheme is not HTTP's.
fn port(scheme: &Scheme, authority: &Authority) -> Option<u16> {
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return None;
    }
    let usual = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    match authority.as_str().strip_prefix(authority.host()) {
        Some("" | ":") => Some(usual),
        // One over 65535 is no port.
        _ => authority.port_u16(),
    }
}

fn is_name(name: &str, authority: &Authority) -> bool {
    authority.port().is_none() && authority.host().eq_ignore_ascii_case(name)
}

/// Whether an origin is addressed by this host and port: as its Host field says, or as it is
/// connected to.
fn answers_to(settings: &OriginSettings, host: &str, port: u16) -> bool {
    let stated = settings.host_authority.as_deref().is_some_and(|stated| {
        let stated: Option<Authority> = stated.parse().ok();
        stated.is_some_and(|stated| {
            let usual = if settings.tls.is_some() { 443 } else { 80 };
            stated.host().eq_ignore_ascii_case(host)
                && stated.port_u16().is_none_or(|stated| stated == port)
                && (stated.port().is_some() || port == usual)
        })
    });
    stated
        || settings.addresses.iter().any(|address| {
            let text = address.authority();
            let of_address = text
                .rsplit_once(':')
                .map_or(text.as_str(), |(host, _)| host);
            address.port() == port && of_address.eq_ignore_ascii_case(host)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Vec<(Arc<str>, OriginSettings)> {
        let origin = |name: &str, address: &str| {
            let name: Arc<str> = name.into();
            let addresses = vec![address.parse().unwrap()];
            (Arc::clone(&name), OriginSettings::new(name, addresses))
        };
        let mut api = origin("api", "10.0.0.1:8080");
        api.1.host_authority = Some("api.example".into());
        vec![api, origin("other", "other.example:80")]
    }

    fn target(uri: &str, granted: &[&str], fetch_site: bool) -> String {
        let origins = origins();
        let mut grants = Grants::default();
        grants.fetch = granted.iter().map(|name| Arc::from(*name)).collect();
        grants.fetch_site = fetch_site;
        let all = origins.iter().map(|(name, settings)| (name, settings));
        let of_site = |authority: &Authority| authority.host() == "shop.example";
        format!(
            "{:?}",
            select_target(&uri.parse().unwrap(), &grants, all, of_site)
        )
    }

    #[test]
    fn origins_are_meant_by_name_and_by_authority() {
        for (uri, expected) in [
            ("http://api/a", "Origin(\"api\", ByName)"),
            ("https://API/a", "Origin(\"api\", ByName)"),
            ("http://api.example/a", "Origin(\"api\", ByAuthority)"),
            ("http://api.example:80/a", "Origin(\"api\", ByAuthority)"),
            ("http://10.0.0.1:8080/", "Origin(\"api\", ByAuthority)"),
            // Another port, and so another server.
            ("http://api.example:81/a", "Denied(Unknown)"),
            ("http://api:81/a", "Denied(Unknown)"),
            ("http://10.0.0.1/", "Denied(Unknown)"),
            // In the clear to an origin without TLS, whatever the function believes.
            ("https://api.example/a", "Denied(Unknown)"),
            ("https://api.example:80/a", "Denied(Unknown)"),
            ("https://10.0.0.1:8080/", "Denied(Unknown)"),
            ("http://api.example:/a", "Origin(\"api\", ByAuthority)"),
            ("http://api.example:99999/a", "Invalid"),
            ("http://other/a", "Denied(Origin(\"other\"))"),
            ("http://other.example/a", "Denied(Origin(\"other\"))"),
            ("http://elsewhere.example/", "Denied(Unknown)"),
            ("http://user@api/a", "Invalid"),
            ("ftp://api/a", "Invalid"),
        ] {
            assert_eq!(target(uri, &["api"], false), expected, "{uri}");
        }
    }

    #[test]
    fn routes_of_the_site_need_a_grant_of_their_own() {
        assert_eq!(
            target("http://shop.example/a", &["api"], false),
            "Denied(Site)"
        );
        assert_eq!(target("http://shop.example/a", &[], true), "Route");
        assert_eq!(target("http://api/a", &[], true), "Denied(Origin(\"api\"))");
    }
}
