//! What the functions of one request may choose and reach, and what they leave for after it.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Authority as UriAuthority;
use verge_runtime::capabilities::{CallId, DeferError, Fetch, FunctionCache};
use verge_runtime::{Call, Scope};

use super::guest_fetch::GuestFetch;
use crate::capabilities::SiteCache;
use crate::deferred::Left;
use crate::deploy::Picks;
use crate::generation::Generation;
use crate::listener::DrainGuard;
use crate::node::NodeState;
use crate::route::Site;
use crate::telemetry::{RequestId, TraceContext};

/// What a function may choose: origins of its site or granted to it, authorities of its site.
pub struct SiteScope {
    /// The node.
    pub node: Arc<NodeState>,
    /// The snapshot that the request lives on.
    pub generation: Arc<Generation>,
    /// The names of the request's site.
    pub site: Arc<Site>,
    /// The request, for what functions send because of it.
    pub asked: Asked,
    /// What functions left for after the response.
    left: Left,
    /// A node that stops waits for functions that go on after their response.
    _guard: DrainGuard,
}

impl SiteScope {
    /// A scope in which nothing is left.
    #[must_use]
    pub fn new(
        generation: &Arc<Generation>,
        site: &Arc<Site>,
        node: &Arc<NodeState>,
        asked: Asked,
    ) -> Self {
        Self {
            generation: Arc::clone(generation),
            site: Arc::clone(site),
            node: Arc::clone(node),
            asked,
            left: Left::default(),
            _guard: node.drain.guard(),
        }
    }
}

impl SiteScope {
    /// A scope of the same request, for a version in the shadow.
    #[must_use]
    pub fn rehearsing(&self) -> Self {
        let asked = Asked {
            rehearses: true,
            ..self.asked
        };
        Self::new(&self.generation, &self.site, &self.node, asked)
    }
}

/// A scope of the same request in which nothing is left.
impl Clone for SiteScope {
    fn clone(&self) -> Self {
        Self::new(&self.generation, &self.site, &self.node, self.asked)
    }
}

/// The request has ended, and so have its fills: nobody has the scope any more.
impl Drop for SiteScope {
    fn drop(&mut self) {
        let (node, generation) = (&self.node, &self.generation);
        self.left.start(node, generation, &self.site, self.asked);
    }
}

/// What requests of functions take over from the one that they run for.
#[derive(Clone, Copy)]
pub struct Asked {
    /// Its id.
    pub id: RequestId,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// Who sent it.
    pub client: IpAddr,
    /// How many functions wait for it, one inside another.
    pub depth: u8,
    /// The shares that it is of.
    pub picks: Picks,
    /// Whether they are of a version in the shadow: nothing may change by them.
    pub rehearses: bool,
}

impl Scope for SiteScope {
    fn allows_authority(&self, authority: &UriAuthority) -> bool {
        // Not only a name that the site has: `*` has all, and another site may be nearer to it.
        let host = authority.host().to_ascii_lowercase();
        let chosen = self.generation.sites.select_site(&host);
        chosen.is_ok_and(|entry| Arc::ptr_eq(entry.site(), &self.site))
    }

    fn allows_origin(&self, call: &CallId, name: &str) -> bool {
        if !self.generation.origins.contains_key(name) {
            return false;
        }
        if self.site.origins.contains(name) {
            return true;
        }
        let Some(entry) = self.generation.functions.get(&call.function) else {
            return false;
        };
        let grants = &entry.settings.grants;
        let is_granted = [&grants.origins, &grants.fetch]
            .into_iter()
            .any(|granted| granted.iter().any(|origin| **origin == *name));
        if !is_granted && entry.metrics.denials().allows(self.node.clock.now()) {
            let (function, request) = (&*call.function, &*call.request);
            tracing::warn!(
                target: "function",
                function,
                request,
                "it may not choose origin `{name}`, which no route of the site has: \
                 `function.{function}.grants.origins = [\"{name}\"]` would allow it"
            );
        }
        is_granted
    }

    fn fetch(&self, call: &CallId) -> Option<Arc<dyn Fetch>> {
        GuestFetch::new(self, call).map(|fetch| Arc::new(fetch) as Arc<dyn Fetch>)
    }

    fn defer(&self, function: &str, id: &Arc<str>, payload: Vec<u8>) -> Result<(), DeferError> {
        let entry = self.generation.functions.get(function);
        let entry = entry.ok_or(DeferError::Unavailable)?;
        let entry = self.generation.version(entry, self.asked.picks);
        self.left.add(&self.node, entry, id, payload)
    }

    fn cache(&self) -> Option<Arc<dyn FunctionCache>> {
        Some(Arc::new(SiteCache {
            node: Arc::clone(&self.node),
            generation: Arc::clone(&self.generation),
            site: Arc::clone(&self.site),
        }))
    }
}

/// A call within `scope`.
#[must_use]
pub(super) fn call_within(scope: &Arc<SiteScope>) -> Call {
    Call {
        scope: Arc::clone(scope) as Arc<dyn Scope>,
    }
}
