//! What belongs to one request and its functions: what they may choose, and on
//! whose behalf they send requests.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::Authority as UriAuthority;
use verge_runtime::{Call, CallId, Fetch, Scope};

use super::guest_fetch::GuestFetch;
use crate::generation::Generation;
use crate::node::NodeState;
use crate::route::Site;
use crate::telemetry::{RequestId, TraceContext};

/// What a function may choose: origins of this generation, authorities of its site.
#[derive(Clone)]
pub struct SiteScope {
    /// The node.
    pub node: Arc<NodeState>,
    /// The snapshot that the request lives on.
    pub generation: Arc<Generation>,
    /// The names of the request's site.
    pub site: Arc<Site>,
    /// The request, for what functions send because of it.
    pub asked: Asked,
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
}

impl Scope for SiteScope {
    fn allows_authority(&self, authority: &UriAuthority) -> bool {
        // Not only a name that the site has: `*` has all, and another site may be nearer to it.
        let host = authority.host().to_ascii_lowercase();
        let chosen = self.generation.sites.select_site(&host);
        chosen.is_ok_and(|entry| Arc::ptr_eq(entry.site(), &self.site))
    }

    fn has_origin(&self, name: &str) -> bool {
        self.generation.origins.contains_key(name)
    }

    fn fetch(&self, call: &CallId) -> Option<Arc<dyn Fetch>> {
        GuestFetch::new(self, call).map(|fetch| Arc::new(fetch) as Arc<dyn Fetch>)
    }
}

/// A call within `scope`.
#[must_use]
pub(super) fn call_within(scope: &Arc<SiteScope>) -> Call {
    Call {
        scope: Arc::clone(scope) as Arc<dyn Scope>,
    }
}
