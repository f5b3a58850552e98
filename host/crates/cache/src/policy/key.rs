//! Key policy: which parts of a request's query, fields and cookies are what a
//! response is found by, and so what of them may reach the origin.
//!
//! A coarser key than the request is safe only if the origin does not see what
//! the key leaves out: otherwise one client's unkeyed input answers all others.
//! So what is reduced for the key is reduced for the origin too, unless
//! [`UnkeyedInput::AsAsked`] says otherwise, and then it is named in the log.
//! Nothing here knows routes or builds keys.

pub(super) mod cookies;
mod query;

use bytes::Bytes;
use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use smallvec::SmallVec;
use verge_http::cache_status::Forward;

pub use query::{NamePattern, ReducedQuery, TRACKING_PARAMETERS};

/// Bytes of the values of fields and cookies in a key, by default.
pub const KEY_PART_BYTES: usize = 4096;

/// What of a route's requests is a part of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// How the query counts.
    pub query: QueryRule,
    /// Which of its parameters count.
    pub parameters: ParameterRule,
    /// Fields whose values count, beside those that a response's Vary names.
    pub fields: Vec<HeaderName>,
    /// Cookies whose values count; `None` leaves all of them to the response's Vary.
    pub cookies: Option<Vec<String>>,
    /// Whether HEAD has a key of its own: it is then never answered with what is stored for
    /// GET, and since no response to HEAD is stored, it always reaches the origin.
    pub method: bool,
    /// What becomes of input that is no part of the key.
    pub unkeyed: UnkeyedInput,
    /// Most bytes of the values of fields and cookies together; a request with more is not
    /// looked up, and its response is not stored.
    pub max_bytes: usize,
}

/// How the query counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryRule {
    /// As it stands.
    #[default]
    AsIs,
    /// With its parameters sorted by name; those of one name keep their order.
    Sorted,
    /// Not at all.
    None,
}

/// Which parameters of the query count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ParameterRule {
    /// All.
    #[default]
    All,
    /// Only these.
    Allow(Vec<NamePattern>),
    /// All but these.
    Drop(Vec<NamePattern>),
}

/// What becomes of input that is no part of the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnkeyedInput {
    /// It is taken out of the request before the origin sees it.
    #[default]
    AsKeyed,
    /// The origin sees it; whoever sends it first may decide what all others get.
    AsAsked,
}

/// Why a request has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRefusal {
    /// Its fields and cookies are too large to be key parts.
    TooLarge,
    /// What is left of its target is none.
    TargetInvalid,
}

/// A part of the key that policy takes from a request: its name and its value.
pub type PolicyPart = (String, Vec<u8>);

impl Default for KeyPolicy {
    fn default() -> Self {
        Self {
            query: QueryRule::AsIs,
            parameters: ParameterRule::All,
            fields: Vec::new(),
            cookies: None,
            method: false,
            unkeyed: UnkeyedInput::AsKeyed,
            max_bytes: KEY_PART_BYTES,
        }
    }
}

impl KeyPolicy {
    /// The query as it stands in the key, and the parameters that do not.
    #[must_use]
    pub fn reduce_query<'q>(&self, query: Option<&'q str>) -> ReducedQuery<'q> {
        query::reduce(self.query, &self.parameters, query)
    }

    /// The Cookie field that is left of a request's for the origin; `None` if all of it is,
    /// or if policy leaves cookies alone.
    #[must_use]
    pub fn reduce_cookies(&self, request: &HeaderMap) -> Option<CookieChange> {
        let names = self.cookies.as_deref()?;
        let kept = cookies::kept(names, request)?;
        // What stood in a field value can stand in one again.
        Some(match HeaderValue::from_maybe_shared(Bytes::from(kept)) {
            Ok(value) if !value.is_empty() => CookieChange::Reduced(value),
            Ok(_) | Err(_) => CookieChange::Removed,
        })
    }

    /// The key parts of a request beside its target.
    ///
    /// # Errors
    /// They are larger than the policy allows.
    pub fn parts(
        &self,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<SmallVec<[PolicyPart; 4]>, KeyRefusal> {
        let mut parts: SmallVec<[PolicyPart; 4]> = SmallVec::new();
        let mut room = self.max_bytes;
        for name in &self.fields {
            let value = field_value(request, name);
            take(&mut room, value.len())?;
            parts.push((format!("field {name}"), value));
        }
        for name in self.cookies.iter().flatten() {
            // A cookie that is absent differs from one that is empty.
            if let Some(value) = cookies::value(name, request) {
                take(&mut room, value.len())?;
                parts.push((format!("cookie {name}"), value));
            }
        }
        if self.method && *method == Method::HEAD {
            parts.push(("method".to_owned(), b"HEAD".to_vec()));
        }
        Ok(parts)
    }

    /// Whether all that the origin sees of the field `name` is a part of the key.
    #[must_use]
    pub fn keys_field(&self, name: &HeaderName) -> bool {
        let keys_cookies = self.cookies.is_some() && self.unkeyed == UnkeyedInput::AsKeyed;
        self.fields.contains(name) || (keys_cookies && name == COOKIE)
    }

    /// Whether the origin may see input that is no part of the key.
    #[must_use]
    pub fn lets_unkeyed_pass(&self) -> bool {
        let reduces = self.query != QueryRule::AsIs
            || self.parameters != ParameterRule::All
            || self.cookies.is_some();
        self.unkeyed == UnkeyedInput::AsAsked && reduces
    }

    /// The names of a request's cookies that are no part of the key; none where policy leaves
    /// cookies alone.
    #[must_use]
    pub fn unkeyed_cookies<'r>(&self, request: &'r HeaderMap) -> Vec<&'r str> {
        self.cookies
            .as_deref()
            .map_or_else(Vec::new, |names| cookies::others(names, request))
    }
}

/// What is left of a request's cookies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieChange {
    /// None.
    Removed,
    /// These, as one field line.
    Reduced(HeaderValue),
}

impl KeyRefusal {
    /// Every reason, for tables and tests.
    pub const ALL: [Self; 2] = [Self::TooLarge, Self::TargetInvalid];

    /// The word for metrics and the access log.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "key-too-large",
            Self::TargetInvalid => "key-target-invalid",
        }
    }

    /// Where the rule stands.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::TooLarge | Self::TargetInvalid => "RFC 9111 2",
        }
    }

    /// The word for Cache-Status (RFC 9211 2.2).
    #[must_use]
    pub const fn forward(self) -> Forward {
        match self {
            Self::TooLarge | Self::TargetInvalid => Forward::Bypass,
        }
    }
}

fn take(room: &mut usize, bytes: usize) -> Result<(), KeyRefusal> {
    *room = room.checked_sub(bytes).ok_or(KeyRefusal::TooLarge)?;
    Ok(())
}

/// All lines of a field. A line feed cannot stand in a value: lines stay apart, and an absent
/// field differs from an empty one.
#[must_use]
pub fn field_value(request: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let mut value = Vec::new();
    for line in request.get_all(name) {
        value.extend_from_slice(line.as_bytes());
        value.push(b'\n');
    }
    value
}

#[cfg(test)]
mod tests;
