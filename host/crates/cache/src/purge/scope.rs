//! What a purge is about.
//!
//! A scope is made of texts in the form that keys have; bringing an operator's
//! URL into that form is for those who know the routes.

use std::fmt;
use std::sync::Arc;

use verge_http::Scheme;
use verge_http::surrogate::SurrogateKey;

use crate::key::Target;

/// Most slashes of a prefix: so many borders of a stored response's path are
/// looked at.
pub const PREFIX_SEGMENTS_MAX: usize = 64;

/// Most bytes of each text of a scope; a request's target is shorter.
pub const SCOPE_TEXT_MAX: usize = 64 * 1024;

/// What a purge is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeScope {
    /// All that is stored for one URI: every variant, every declared part.
    Uri(PurgeTarget),
    /// All paths of one origin that begin like this one, at borders of
    /// segments: `/a` is `/a`, `/a?x` and `/a/b`, not `/ab`; `/a/` is what
    /// stands below `/a`. It has no query.
    Prefix(PurgeTarget),
    /// All that has this surrogate key: Surrogate-Key, Cache-Tag or Cache-Groups.
    SurrogateKey(SurrogateKey),
    /// All of one origin that has this group (RFC 9875 2); the target's path
    /// and query do not matter.
    Group(PurgeTarget, SurrogateKey),
    /// All of one site, by its configured name.
    Site(Arc<str>),
    /// All that a function had a part in: by its digest, or by its name for all
    /// its versions.
    Function(Arc<str>),
    /// All.
    Everything,
    /// All of one site that has this surrogate key: Surrogate-Key or Cache-Tag.
    SiteKey(Arc<str>, SurrogateKey),
}

/// A target URI in the form of keys, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeTarget {
    scheme: Scheme,
    authority: Arc<str>,
    path: Arc<str>,
    query: Option<Arc<str>>,
}

/// The kinds of [`PurgeScope`], for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeKind {
    /// [`PurgeScope::Uri`].
    Uri,
    /// [`PurgeScope::Prefix`].
    Prefix,
    /// [`PurgeScope::SurrogateKey`].
    SurrogateKey,
    /// [`PurgeScope::Group`].
    Group,
    /// [`PurgeScope::Site`].
    Site,
    /// [`PurgeScope::Function`].
    Function,
    /// [`PurgeScope::Everything`].
    Everything,
    /// [`PurgeScope::SiteKey`].
    SiteKey,
}

/// Why there is no such scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeInvalid {
    /// A text is empty.
    Empty,
    /// A text is longer than [`SCOPE_TEXT_MAX`].
    TooLong,
    /// The path does not begin with a slash.
    NoPath,
    /// A prefix has a query.
    PrefixWithQuery,
    /// A prefix has more than [`PREFIX_SEGMENTS_MAX`] slashes.
    PrefixTooDeep,
}

impl PurgeTarget {
    /// An owned copy of `target`.
    ///
    /// # Errors
    /// It has no authority, no path, or is too long.
    pub fn new(target: Target<'_>) -> Result<Self, ScopeInvalid> {
        check_text(target.authority)?;
        if !target.path.starts_with('/') {
            return Err(ScopeInvalid::NoPath);
        }
        let query = target.query.unwrap_or_default();
        if target.path.len() > SCOPE_TEXT_MAX || query.len() > SCOPE_TEXT_MAX {
            return Err(ScopeInvalid::TooLong);
        }
        Ok(Self::of(target))
    }

    /// The same for the target of a key.
    pub(crate) fn of(target: Target<'_>) -> Self {
        Self {
            scheme: target.scheme,
            authority: target.authority.into(),
            path: target.path.into(),
            query: target.query.map(Into::into),
        }
    }

    /// As keys take it.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        Target {
            scheme: self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
        }
    }
}

impl PurgeScope {
    /// All below the path of `target`, see [`PurgeScope::Prefix`].
    ///
    /// # Errors
    /// `target` is no prefix.
    pub fn prefix(target: Target<'_>) -> Result<Self, ScopeInvalid> {
        if target.query.is_some() {
            return Err(ScopeInvalid::PrefixWithQuery);
        }
        let slashes = target.path.bytes().filter(|byte| *byte == b'/').count();
        if slashes > PREFIX_SEGMENTS_MAX {
            return Err(ScopeInvalid::PrefixTooDeep);
        }
        PurgeTarget::new(target).map(Self::Prefix)
    }

    /// All of the site with this configured name.
    ///
    /// # Errors
    /// The name is empty or too long.
    pub fn site(name: &str) -> Result<Self, ScopeInvalid> {
        check_text(name)?;
        Ok(Self::Site(name.into()))
    }

    /// All that a function had a part in, by name or digest.
    ///
    /// # Errors
    /// The text is empty or too long.
    pub fn function(name_or_digest: &str) -> Result<Self, ScopeInvalid> {
        check_text(name_or_digest)?;
        Ok(Self::Function(name_or_digest.into()))
    }

    /// All of the site with this configured name that has a surrogate key.
    ///
    /// # Errors
    /// The name is empty or too long.
    pub fn site_key(name: &str, key: SurrogateKey) -> Result<Self, ScopeInvalid> {
        check_text(name)?;
        Ok(Self::SiteKey(name.into(), key))
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ScopeKind {
        match self {
            Self::Uri(_) => ScopeKind::Uri,
            Self::Prefix(_) => ScopeKind::Prefix,
            Self::SurrogateKey(_) => ScopeKind::SurrogateKey,
            Self::Group(..) => ScopeKind::Group,
            Self::Site(_) => ScopeKind::Site,
            Self::Function(_) => ScopeKind::Function,
            Self::Everything => ScopeKind::Everything,
            Self::SiteKey(..) => ScopeKind::SiteKey,
        }
    }
}

impl ScopeKind {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 8] = [
        Self::Uri,
        Self::Prefix,
        Self::SurrogateKey,
        Self::Group,
        Self::Site,
        Self::Function,
        Self::Everything,
        Self::SiteKey,
    ];

    /// Whether only a response's head shows what it purges; the rest goes by its key.
    pub(crate) const fn is_shown_by_head(self) -> bool {
        match self {
            Self::SurrogateKey | Self::Group | Self::Site | Self::Function | Self::SiteKey => true,
            Self::Uri | Self::Prefix | Self::Everything => false,
        }
    }

    /// The word for metrics, logs and the admin API.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Uri => "url",
            Self::Prefix => "prefix",
            Self::SurrogateKey => "key",
            Self::Group => "group",
            Self::Site => "site",
            Self::Function => "function",
            Self::Everything => "all",
            Self::SiteKey => "site-key",
        }
    }

    /// Its place in [`ScopeKind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl ScopeInvalid {
    /// What is wrong.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Empty => "it is empty",
            Self::TooLong => "it is too long",
            Self::NoPath => "its path does not begin with a slash",
            Self::PrefixWithQuery => "a prefix has no query",
            Self::PrefixTooDeep => "it has too many segments",
        }
    }

    /// What would be right.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Empty => "at least one character",
            Self::TooLong => "at most 65536 bytes",
            Self::NoPath => "a URL like https://shop.example/path",
            Self::PrefixWithQuery => "a URL without a question mark",
            Self::PrefixTooDeep => "at most 64 slashes in the path",
        }
    }
}

fn check_text(text: &str) -> Result<(), ScopeInvalid> {
    if text.is_empty() {
        return Err(ScopeInvalid::Empty);
    }
    if text.len() > SCOPE_TEXT_MAX {
        return Err(ScopeInvalid::TooLong);
    }
    Ok(())
}

impl fmt::Display for PurgeTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority, path) = (self.scheme.as_str(), &self.authority, &self.path);
        write!(formatter, "{scheme}://{authority}{path}")?;
        match &self.query {
            Some(query) => write!(formatter, "?{query}"),
            None => Ok(()),
        }
    }
}

/// For logs: the kind's word, and what it is about.
impl fmt::Display for PurgeScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind().label();
        match self {
            Self::Uri(target) | Self::Prefix(target) => write!(formatter, "{kind} {target}"),
            Self::SurrogateKey(key) => write!(formatter, "{kind} {key}"),
            Self::Group(target, key) => {
                let (scheme, authority) = (target.scheme.as_str(), &target.authority);
                write!(formatter, "{kind} {scheme}://{authority} {key}")
            }
            Self::Site(text) | Self::Function(text) => write!(formatter, "{kind} {text}"),
            Self::Everything => formatter.write_str(kind),
            Self::SiteKey(site, key) => write!(formatter, "{kind} {site} {key}"),
        }
    }
}
