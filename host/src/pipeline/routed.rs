//! A request that has found its route: what every later stage, and a fill that
//! outlives the request, needs to know.

use std::sync::Arc;

use verge_http::interim::InterimSender;
use verge_runtime::{Call, Digest};

use super::scope::{self, Asked, SiteScope};
use crate::deploy::Picks;
use crate::generation::Generation;
use crate::node::NodeState;
use crate::route::{FunctionEntry, FunctionUse, Route, Site};
use crate::telemetry::{RequestId, TraceContext};

/// Node, generation, site, route and id of one request; cheap to clone.
#[derive(Clone)]
pub struct Routed {
    /// The node.
    pub node: Arc<NodeState>,
    /// The snapshot that the request lives on.
    pub generation: Arc<Generation>,
    /// The site it is for.
    pub site: Arc<Site>,
    /// The route it takes.
    pub route: Arc<Route>,
    /// Its id.
    pub id: RequestId,
    /// The trace it belongs to, if it carries one on.
    pub trace: Option<TraceContext>,
    /// Takes what its origin sends ahead of the response.
    pub interim: Option<InterimSender>,
    /// Whether it is of a version in the shadow: nothing of it is stored.
    pub rehearses: bool,
    /// The shares that it is of.
    picks: Picks,
    /// What its functions may choose; made when the route has functions.
    scope: Option<Arc<SiteScope>>,
}

impl Routed {
    /// A request that takes `route` of `site`.
    #[must_use]
    pub fn new(
        node: Arc<NodeState>,
        generation: Arc<Generation>,
        site: Arc<Site>,
        route: Arc<Route>,
        asked: Asked,
    ) -> Self {
        let scope = route
            .has_functions()
            .then(|| Arc::new(SiteScope::new(&generation, &site, &node, asked)));
        Self {
            node,
            generation,
            site,
            route,
            id: asked.id,
            trace: asked.trace,
            interim: None,
            rehearses: asked.rehearses,
            picks: asked.picks,
            scope,
        }
    }

    /// The same for a fetch that no client waits for.
    #[must_use]
    pub fn without_client(&self) -> Self {
        Self {
            interim: None,
            ..self.clone()
        }
    }

    /// What a function of this request is called with.
    #[must_use]
    pub fn call(&self) -> Call {
        match &self.scope {
            Some(scope) => scope::call_within(scope),
            None => Call {
                scope: Arc::new(verge_runtime::NoScope),
            },
        }
    }

    /// The version of a function that runs for this request.
    #[must_use]
    pub fn version<'a>(&self, used: &'a FunctionUse) -> &'a Arc<FunctionEntry> {
        self.generation.version(&used.function, self.picks)
    }

    /// The versions for a share of the requests that can have a part in a response beside those of
    /// its route: where functions of the route may fetch from the site, functions of other routes
    /// run for them, and in the versions that this request gets.
    pub fn nested_versions(&self) -> impl Iterator<Item = (&Arc<str>, &Digest)> {
        let own = || self.route.fill_functions();
        let may_fetch = own().any(|used| self.version(used).settings.grants.fetch_site);
        let picked = self.generation.picked(self.picks);
        picked.filter(move |(name, _)| may_fetch && own().all(|used| used.function.name != **name))
    }

    /// Whether a function of its route has another version by now for those who would find what
    /// this request stores: it lives on the generation that it began with.
    #[must_use]
    pub fn runs_replaced_version(&self) -> bool {
        let now = self.node.generation.load();
        if Arc::ptr_eq(&now, &self.generation) {
            return false;
        }
        self.route.fill_functions().any(|used| {
            let version = self.version(used);
            let is_live = Arc::ptr_eq(version, &used.function);
            let runs = now
                .functions
                .get(&version.name)
                .and_then(|entry| match is_live {
                    true => Some(entry),
                    false => entry.beside.as_ref().map(|beside| &beside.entry),
                });
            runs.is_none_or(|runs| runs.function.digest() != version.function.digest())
        })
    }

    /// What its functions may choose, for as long as its response lasts.
    #[must_use]
    pub fn scope(&self) -> Option<Arc<SiteScope>> {
        self.scope.clone()
    }

    /// The id as functions see it.
    #[must_use]
    pub fn id_text(&self) -> Arc<str> {
        self.id.to_string().into()
    }
}
