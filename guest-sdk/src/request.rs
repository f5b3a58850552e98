//! The request as a trigger sees it: read by name, changed in batches, sent where the function says.

use std::cell::OnceCell;
use std::fmt;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};

use crate::backend::Target;
use crate::backend::imp::RawRequest;
use crate::client::Client;
use crate::fields::field_methods;

/// Why a target was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The method is not one that the node forwards.
    #[error("the method was refused")]
    MethodInvalid,
    /// The path or query is not one that the node forwards.
    #[error("the path or query was refused")]
    PathInvalid,
    /// The authority is malformed or not one of this site.
    #[error("the authority was refused")]
    AuthorityInvalid,
    /// This trigger cannot change it.
    #[error("this trigger cannot change that part of the target")]
    Forbidden,
}

/// What the node refused to do for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is no origin of that name, or this trigger cannot choose one.
    #[error("no origin `{0}` can be chosen here")]
    Origin(String),
    /// Too many key parts, or not in `viewer-request`.
    #[error("the key part `{0}` cannot be added here")]
    KeyPart(String),
    /// Not in `viewer-request`.
    #[error("the field `{0}` cannot be declared unkeyed here")]
    Unkeyed(String),
    /// Not visible ASCII without spaces, too many, or not in `viewer-request`.
    #[error("the surrogate key `{0}` cannot be added here")]
    SurrogateKey(String),
}

/// A request. It stays with the host: each method reads or changes only what it names.
///
/// In `viewer-request` a field that is changed becomes part of the cache key, so that what was
/// derived for one user never reaches another, unless it is
/// [declared unkeyed](Self::declare_unkeyed).
pub struct Request {
    pub(crate) raw: RawRequest,
    target: OnceCell<Target>,
}

impl Request {
    pub(crate) fn from_raw(raw: RawRequest) -> Self {
        let target = OnceCell::new();
        Self { raw, target }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> Method {
        Method::from_bytes(self.target().method.as_bytes()).unwrap_or_default()
    }

    /// The scheme: `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self.target().scheme.as_str() {
            "http" => Scheme::HTTP,
            _ => Scheme::HTTPS,
        }
    }

    /// Whom the request is for, as `host` or `host:port` (RFC 9110 7.1).
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.target().authority
    }

    /// The path, without the query; starts with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.path_and_query();
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// The query, without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.path_and_query()
            .split_once('?')
            .map(|(_, query)| query)
    }

    /// Path and query together.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.target().path_and_query
    }

    /// The whole target URI.
    #[must_use]
    pub fn uri(&self) -> Uri {
        let target = self.target();
        Uri::builder()
            .scheme(target.scheme.as_str())
            .authority(target.authority.as_str())
            .path_and_query(target.path_and_query.as_str())
            .build()
            .unwrap_or_default()
    }

    /// Who sent it, behind trusted proxies.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::from_raw(self.raw.client())
    }

    /// The id of this request, as in the node's access log.
    #[must_use]
    pub fn id(&self) -> String {
        self.raw.id()
    }

    /// The value of the first cookie of that name (RFC 6265 4.2), as it was sent, without
    /// surrounding quotes.
    ///
    /// ```
    /// # use verge_sdk::testing;
    /// let request = testing::Request::get("/").header("cookie", "lang=en; ab=B").build();
    /// assert_eq!(request.cookie("ab").as_deref(), Some("B"));
    /// ```
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.header_lines("cookie").iter().find_map(|line| {
            let pairs = line.to_str().ok()?.split(';');
            let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
            let (_, value) = pairs.find(|(key, _)| *key == name)?;
            let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
            Some(bare.unwrap_or(value).to_owned())
        })
    }

    field_methods!();

    /// Changes the method; `viewer-request` only.
    ///
    /// # Errors
    /// The node refused it.
    pub fn set_method(&mut self, method: &Method) -> Result<(), TargetError> {
        self.set_target(|target| target.method = method.as_str().to_owned())
    }

    /// Changes path and query: what the cache and the origin are asked for.
    ///
    /// # Errors
    /// The node refused them.
    pub fn set_path_and_query(&mut self, path: &PathAndQuery) -> Result<(), TargetError> {
        self.set_target(|target| target.path_and_query = path.as_str().to_owned())
    }

    /// Changes the authority, within the site; `viewer-request` only.
    ///
    /// # Errors
    /// The node refused it.
    pub fn set_authority(&mut self, authority: &Authority) -> Result<(), TargetError> {
        self.set_target(|target| target.authority = authority.as_str().to_owned())
    }

    /// Sends this request, should it miss the cache, to the origin of that name in the node's
    /// configuration. `viewer-request` and `origin-request` only.
    ///
    /// # Errors
    /// [`Refused::Origin`] when there is none, or it is none of the site's and not granted.
    pub fn set_origin(&mut self, name: &str) -> Result<(), Refused> {
        let known = self.raw.set_origin(name);
        known
            .then_some(())
            .ok_or_else(|| Refused::Origin(name.into()))
    }

    /// Adds a part to the cache key: requests that differ in it do not share a stored response.
    /// `viewer-request` only.
    ///
    /// # Errors
    /// [`Refused::KeyPart`] when there are too many.
    pub fn add_key_part(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        let added = self.raw.add_key_part(name, value);
        added
            .then_some(())
            .ok_or_else(|| Refused::KeyPart(name.into()))
    }

    /// Gives the response, should it be stored, one more name by which it is purged: visible ASCII
    /// without spaces. `viewer-request` only; origin-response functions add theirs to the response.
    ///
    /// # Errors
    /// [`Refused::SurrogateKey`] when it is not valid, or there are too many.
    pub fn add_surrogate_key(&mut self, key: &str) -> Result<(), Refused> {
        let added = self.raw.add_surrogate_key(key);
        added
            .then_some(())
            .ok_or_else(|| Refused::SurrogateKey(key.into()))
    }

    /// Declares that the response does not depend on a field that this function changes, so that
    /// it is no part of the cache key. `viewer-request` only.
    ///
    /// What depends on the field in truth is then served to everybody: use it for ids and
    /// traces, never for who the user is.
    ///
    /// # Errors
    /// [`Refused::Unkeyed`] in another trigger.
    pub fn declare_unkeyed(&mut self, name: impl AsRef<str>) -> Result<(), Refused> {
        let name = name.as_ref();
        let declared = self.raw.declare_unkeyed(name);
        declared
            .then_some(())
            .ok_or_else(|| Refused::Unkeyed(name.into()))
    }

    /// The target is asked for once, and again after a change.
    fn target(&self) -> &Target {
        self.target.get_or_init(|| self.raw.target())
    }

    fn set_target(&mut self, change: impl FnOnce(&mut Target)) -> Result<(), TargetError> {
        let mut target = self.target().clone();
        change(&mut target);
        self.raw.set_target(&target)?;
        self.target = OnceCell::new();
        Ok(())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target();
        f.debug_struct("Request")
            .field("method", &target.method)
            .field("authority", &target.authority)
            .field("path_and_query", &target.path_and_query)
            .finish_non_exhaustive()
    }
}
