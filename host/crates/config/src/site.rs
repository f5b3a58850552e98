//! `[[site]]` and `[[site.route]]`: which requests go where, and which
//! functions they meet on the way.

use std::sync::Arc;

use crate::function::OnFailure;
use crate::policy::Policy;
use crate::route_key::RouteKey;

/// A name that a site answers to, without a port, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SiteName {
    /// `shop.example`, or an IP address (IPv6 with its brackets): this host alone.
    Exact(Box<str>),
    /// `*.shop.example` as `shop.example`: every host that has one or more labels before it.
    Wildcard(Box<str>),
    /// `*`: every host that no other site has.
    Default,
}

/// What a route asks of a field of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldCondition {
    /// The field is there with exactly this value.
    Equals(String),
    /// `true`: the field is there.
    Present,
    /// `false`: the field is not there.
    Absent,
}

/// A field, in lower case, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldMatch {
    /// The field's name in lower case.
    pub name: String,
    /// What is asked of it.
    pub condition: FieldCondition,
}

/// One use of a function at a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionUse {
    /// The function's name; there is one of that name.
    pub function: Arc<str>,
    /// What becomes of a request when the function fails here; none: what the function says.
    pub on_failure: Option<OnFailure>,
}

/// Functions of a route, in order, for each trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Triggers {
    /// Before the cache is asked.
    pub viewer_request: Vec<FunctionUse>,
    /// Before a request goes to an origin.
    pub origin_request: Vec<FunctionUse>,
    /// Before a response of an origin is stored.
    pub origin_response: Vec<FunctionUse>,
    /// Before a response goes to the client, stored or not.
    pub viewer_response: Vec<FunctionUse>,
    /// `wasi:http` middleware around the cache, the outermost first.
    pub viewer_middleware: Vec<FunctionUse>,
    /// `wasi:http` middleware around the exchange with the origin, the outermost first.
    pub origin_middleware: Vec<FunctionUse>,
}

/// `redirect` of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// Where to: a URI with scheme, or a path.
    pub to: String,
    /// 301, 302, 303, 307 or 308; default 308.
    pub status: u16,
    /// Whether path and query of the request are appended to `to`; default false.
    pub keep_path: bool,
}

/// `static` of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaticAnswer {
    /// 200 to 599; default 200.
    pub status: u16,
    /// The content; default empty.
    pub body: String,
    /// Content-Type; default `text/plain; charset=utf-8`.
    pub content_type: String,
}

/// What answers the requests of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An origin; there is one of that name.
    Origin(Arc<str>),
    /// A function with a `wasi:http` handler; there is one of that name.
    Function(Arc<str>),
    /// A redirect.
    Redirect(Redirect),
    /// A fixed answer.
    Static(StaticAnswer),
}

/// `ranges` of a route: what is asked of the origin when a client asks for a part of what is
/// not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    /// The part. Parts are stored, combined and completed.
    #[default]
    Pieces,
    /// All of it; the client gets its part as it arrives.
    Whole,
    /// Aligned slices, each stored by itself; all of it is fetched in slices, too.
    Slices,
    /// The part, which is not stored.
    Pass,
}

/// `[[site.route]]`: a rule, and what answers the requests that match it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The pattern as it is written, such as `/api/{*rest}`. `{name}` is a part of one
    /// segment, `{*name}` at the end is all the rest, also an empty rest: `/api/{*rest}`
    /// matches `/api/` and what is below, not `/api`. See [`Route::patterns`].
    pub path: String,
    /// Methods that match; empty: all. GET stands for HEAD too.
    pub methods: Vec<String>,
    /// Conditions on fields; all must hold.
    pub fields: Vec<FieldMatch>,
    /// What answers.
    pub target: Target,
    /// Functions on the way.
    pub triggers: Triggers,
    /// Whether responses may be stored and reused; default `on`.
    pub cache: bool,
    /// How parts are asked for; default `whole` with functions behind the origin, or else
    /// `pieces`.
    pub ranges: Ranges,
    /// Bytes of a slice; default 1 MiB.
    pub slice: u64,
    /// What they are found by, where that is not the target as it stands.
    pub key: Option<RouteKey>,
    /// Whether responses are compressed; none: as `[compression]` says.
    pub compression: Option<bool>,
    /// What may be stored, and for how long it is fresh; its defaults are those of `[cache]`.
    pub policy: Policy,
}

impl Route {
    /// The patterns of `matchit` that together are this route's path. The second, for an
    /// empty rest, gives way to a route whose own path it is.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        [
            Some(self.path.as_str()),
            crate::route_paths::empty_rest(&self.path),
        ]
        .into_iter()
        .flatten()
    }
}

/// `[[site]]`: hosts that are served in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// What it is called in logs and metrics: its first name as written.
    pub name: Arc<str>,
    /// Hosts that it answers to. No other site has one of them.
    pub names: Vec<SiteName>,
    /// Whether clients get Server-Timing; default false.
    pub server_timing: bool,
    /// Its routes in the file's order. The most specific path wins; among routes of one
    /// path, the first whose method and fields match.
    pub routes: Vec<Route>,
}
