//! Who may use the admin API: whoever shows the bearer token (RFC 6750).

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderMap, header};

/// The token. It is never printed.
#[derive(Clone)]
pub struct AdminToken(Box<[u8]>);

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenInvalid {
    /// It is empty.
    #[error("the admin token is empty; expected at least one character")]
    Empty,
    /// It cannot be sent in a field.
    #[error("the admin token has a character that cannot be sent; expected visible ASCII only")]
    Unsendable,
}

impl AdminToken {
    /// The token `text`.
    ///
    /// # Errors
    /// It is empty, or has a character that is not visible ASCII.
    pub fn new(text: &str) -> Result<Self, TokenInvalid> {
        if text.is_empty() {
            return Err(TokenInvalid::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenInvalid::Unsendable);
        }
        Ok(Self(text.as_bytes().into()))
    }

    /// Whether `shown` is this token, in a time that tells nothing but the length.
    fn is(&self, shown: &[u8]) -> bool {
        let differing = self
            .0
            .iter()
            .zip(shown)
            .fold(0, |seen, (ours, theirs)| black_box(seen | (ours ^ theirs)));
        self.0.len() == shown.len() && differing == 0
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// The gate of the admin API; cheap to clone. A reload may change the token.
#[derive(Clone, Debug)]
pub struct AdminAuth(Arc<ArcSwapOption<AdminToken>>);

/// What the gate says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The request shows the token.
    Granted,
    /// No token is configured, so that none can be shown.
    NotConfigured,
    /// The request shows no token.
    Missing,
    /// The request shows something else than the token.
    Wrong,
}

impl AdminAuth {
    /// A gate that opens to `token`, or to nobody.
    #[must_use]
    pub fn new(token: Option<AdminToken>) -> Self {
        Self(Arc::new(ArcSwapOption::from_pointee(token)))
    }

    /// Changes the token, for requests from now on.
    pub fn set_token(&self, token: Option<AdminToken>) {
        self.0.store(token.map(Arc::new));
    }

    /// Decides about a request with these fields (RFC 6750 2.1).
    #[must_use]
    pub fn decide_admission(&self, fields: &HeaderMap) -> Admission {
        let token = self.0.load();
        let Some(token) = token.as_deref() else {
            return Admission::NotConfigured;
        };
        let mut values = fields.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Admission::Missing;
        };
        if values.next().is_some() {
            return Admission::Wrong;
        }
        match shown_token(value.as_bytes()) {
            Some(shown) if token.is(shown) => Admission::Granted,
            Some(_) | None => Admission::Wrong,
        }
    }
}

/// `Bearer` in any case (RFC 9110 11.1), spaces, the token.
fn shown_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(b"bearer".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer") && rest.starts_with(b" ");
    is_bearer.then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens() {
        let auth = AdminAuth::new(Some(AdminToken::new("s3cret").unwrap()));
        let table: [(&[&str], Admission); 12] = [
            (&[], Admission::Missing),
            (&["Bearer s3cret"], Admission::Granted),
            (&["bearer s3cret"], Admission::Granted),
            (&["Bearer  s3cret "], Admission::Granted),
            (&["Bearer s3cre"], Admission::Wrong),
            (&["Bearer s3cret1"], Admission::Wrong),
            (&["Bearer S3cret"], Admission::Wrong),
            (&["Bearer "], Admission::Wrong),
            (&["Bearers3cret"], Admission::Wrong),
            (&["Basic s3cret"], Admission::Wrong),
            (&["s3cret"], Admission::Wrong),
            (&["Bearer s3cret", "Bearer s3cret"], Admission::Wrong),
        ];
        for (values, expected) in table {
            let mut fields = HeaderMap::new();
            for value in values {
                fields.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(auth.decide_admission(&fields), expected, "{values:?}");
        }
    }

    #[test]
    fn token_can_change_and_go() {
        let mut fields = HeaderMap::new();
        fields.insert(header::AUTHORIZATION, "Bearer new".parse().unwrap());
        let auth = AdminAuth::new(Some(AdminToken::new("old").unwrap()));
        assert_eq!(auth.decide_admission(&fields), Admission::Wrong);
        auth.set_token(Some(AdminToken::new("new").unwrap()));
        assert_eq!(auth.decide_admission(&fields), Admission::Granted);
        auth.set_token(None);
        assert_eq!(auth.decide_admission(&fields), Admission::NotConfigured);
    }

    #[test]
    fn token_is_visible_text_and_never_printed() {
        assert_eq!(AdminToken::new("").unwrap_err(), TokenInvalid::Empty);
        assert_eq!(
            AdminToken::new("a b").unwrap_err(),
            TokenInvalid::Unsendable
        );
        assert_eq!(
            AdminToken::new("a\n").unwrap_err(),
            TokenInvalid::Unsendable
        );
        let auth = AdminAuth::new(Some(AdminToken::new("s3cret").unwrap()));
        assert!(!format!("{auth:?}").contains("s3cret"));
    }
}
