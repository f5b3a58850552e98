//! Which route answers a request: the site by authority, then the route by
//! path, method and fields. Built once for each generation; deciding takes no
//! lock and allocates nothing.

use std::sync::Arc;

use ahash::AHashMap;
use http::{HeaderMap, Method};
use smallvec::SmallVec;
use verge_cache::policy::KeyPolicy;
use verge_config::SiteName;
use verge_http::failure::ClientFault;

use crate::capabilities;
use crate::route::{Route, Site};

/// All sites of a generation.
pub struct Sites {
    exact: AHashMap<Box<str>, Arc<SiteRoutes>>,
    /// Keyed by the part behind `*.`.
    wildcard: AHashMap<Box<str>, Arc<SiteRoutes>>,
    default: Option<Arc<SiteRoutes>>,
}

/// A site and the table that finds its routes.
pub struct SiteRoutes {
    site: Arc<Site>,
    /// In the order of the configuration.
    routes: Vec<Arc<Route>>,
    paths: matchit::Router<SmallVec<[usize; 2]>>,
    /// One table for each route, most specific first: asked when the best path
    /// pattern has no route for this method and these fields.
    fallbacks: Vec<(usize, matchit::Router<()>)>,
    /// The key policies of the routes, each once.
    key_policies: Vec<KeyPolicy>,
}

/// Why the routes of a site could not be built. The configuration was checked
/// for this already, so it is a disagreement between the two.
#[derive(Debug, thiserror::Error)]
#[error("path pattern `{pattern}` of site `{site}`: {reason}")]
pub struct RoutingError {
    /// The site's first name.
    pub site: Arc<str>,
    /// The pattern as configured.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Sites {
    /// Builds the table; `sites` in the order of the configuration.
    ///
    /// # Errors
    /// When names or patterns contradict each other.
    pub fn build(sites: Vec<(Arc<Site>, Vec<Arc<Route>>)>) -> Result<Self, RoutingError> {
        let mut table = Self {
            exact: AHashMap::new(),
            wildcard: AHashMap::new(),
            default: None,
        };
        for (site, routes) in sites {
            let names = site.names.clone();
            let entry = Arc::new(SiteRoutes::build(site, routes)?);
            for name in names {
                let entry = Arc::clone(&entry);
                match name {
                    SiteName::Exact(host) => drop(table.exact.insert(host, entry)),
                    SiteName::Wildcard(suffix) => drop(table.wildcard.insert(suffix, entry)),
                    SiteName::Default => table.default = Some(entry),
                }
            }
        }
        Ok(table)
    }

    /// The site of `host` (lower case, without port): an exact name, else the
    /// longest wildcard, else the default.
    ///
    /// # Errors
    /// [`ClientFault::SiteUnknown`] (421, RFC 9110 15.5.20) when there is none, and for the name under
    /// which entries of functions stand: no request may invalidate or purge them.
    pub fn select_site(&self, host: &str) -> Result<&SiteRoutes, ClientFault> {
        if host == capabilities::ENTRIES {
            return Err(ClientFault::SiteUnknown);
        }
        if let Some(entry) = self.exact.get(host) {
            return Ok(entry);
        }
        let mut rest = host;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(entry) = self.wildcard.get(suffix) {
                return Ok(entry);
            }
            rest = suffix;
        }
        self.default.as_deref().ok_or(ClientFault::SiteUnknown)
    }
}

impl SiteRoutes {
    fn build(site: Arc<Site>, routes: Vec<Arc<Route>>) -> Result<Self, RoutingError> {
        let mut paths = matchit::Router::new();
        for (pattern, indices) in by_pattern(&routes) {
            paths
                .insert(pattern.clone(), indices)
                .map_err(|error| pattern_error(&site, &pattern, &error))?;
        }
        let mut fallbacks = Vec::with_capacity(routes.len());
        for (index, route) in routes.iter().enumerate() {
            let mut single = matchit::Router::new();
            for pattern in &route.patterns {
                single
                    .insert(pattern.clone(), ())
                    .map_err(|error| pattern_error(&site, pattern, &error))?;
            }
            fallbacks.push((index, single));
        }
        fallbacks.sort_by_key(|(index, _)| {
            let literal = routes.get(*index).map_or(0, |r| literal_len(&r.path));
            (std::cmp::Reverse(literal), *index)
        });
        let mut key_policies: Vec<KeyPolicy> = Vec::new();
        for rule in routes.iter().filter_map(|route| route.key.as_ref()) {
            if !key_policies.contains(&rule.policy) {
                key_policies.push(rule.policy.clone());
            }
        }
        Ok(Self {
            site,
            routes,
            paths,
            fallbacks,
            key_policies,
        })
    }

    /// The site itself.
    #[must_use]
    pub fn site(&self) -> &Arc<Site> {
        &self.site
    }

    /// The key policies of its routes, each once.
    #[must_use]
    pub fn key_policies(&self) -> &[KeyPolicy] {
        &self.key_policies
    }

    /// The route for a path (without query), method and fields: the most
    /// specific pattern that has one, and of its routes the first in the file.
    ///
    /// # Errors
    /// [`ClientFault::RouteUnknown`] (404) when there is none.
    pub fn select_route(
        &self,
        path: &str,
        method: &Method,
        fields: &HeaderMap,
    ) -> Result<&Arc<Route>, ClientFault> {
        let found = self.paths.at(path).map_err(|_| ClientFault::RouteUnknown)?;
        let accepts = |index: &usize| {
            self.routes
                .get(*index)
                .filter(|route| route.accepts(method, fields))
        };
        if let Some(route) = found.value.iter().find_map(accepts) {
            return Ok(route);
        }
        self.fallbacks
            .iter()
            .filter(|(_, single)| single.at(path).is_ok())
            .find_map(|(index, _)| accepts(index))
            .ok_or(ClientFault::RouteUnknown)
    }
}

/// The routes of each pattern. A route's further patterns (the empty rest of a
/// catch-all) give way to a route whose own path they are.
fn by_pattern(routes: &[Arc<Route>]) -> Vec<(String, SmallVec<[usize; 2]>)> {
    let mut found: Vec<(String, SmallVec<[usize; 2]>)> = Vec::new();
    let mut index_of: AHashMap<&str, usize> = AHashMap::new();
    for (index, route) in routes.iter().enumerate() {
        let Some(own) = route.patterns.first() else {
            continue;
        };
        let place = *index_of.entry(own).or_insert_with(|| {
            found.push((own.clone(), SmallVec::new()));
            found.len() - 1
        });
        if let Some((_, indices)) = found.get_mut(place) {
            indices.push(index);
        }
    }
    let owned = found.len();
    for (index, route) in routes.iter().enumerate() {
        for further in route.patterns.iter().skip(1) {
            let place = *index_of.entry(further).or_insert_with(|| {
                found.push((further.clone(), SmallVec::new()));
                found.len() - 1
            });
            if place >= owned
                && let Some((_, indices)) = found.get_mut(place)
            {
                indices.push(index);
            }
        }
    }
    found
}

/// How much of a pattern is fixed text, by which more specific ones come first.
fn literal_len(path: &str) -> usize {
    path.find('{').unwrap_or(usize::MAX)
}

fn pattern_error(site: &Site, pattern: &str, error: &matchit::InsertError) -> RoutingError {
    RoutingError {
        site: Arc::clone(&site.label),
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    }
}
