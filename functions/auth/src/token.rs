//! JSON Web Tokens (RFC 7515, 7519). The signature is checked before anything of the claims is
//! read, and the algorithm is the key's choice, never the token's alone (RFC 8725 3.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::key::{Algorithm, Key};

/// Longer tokens are refused unread.
const MAX_TOKEN: usize = 8 * 1024;

/// What a token must say.
pub(crate) struct Rules {
    pub(crate) audience: Option<String>,
    pub(crate) issuer: Option<String>,
    /// Seconds that clocks may differ.
    pub(crate) skew: u64,
}

/// Why a token is not accepted. The text goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    Missing,
    Malformed,
    Algorithm,
    Key,
    Signature,
    Expired,
    NotYet,
    NoExpiry,
    Audience,
    Issuer,
    Claim,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "a bearer token is needed",
            Self::Malformed => "the token is malformed",
            Self::Algorithm => "the algorithm of the token is not accepted",
            Self::Key => "the key of the token is not known",
            Self::Signature => "the signature is wrong",
            Self::Expired => "the token has expired",
            Self::NotYet => "the token is not valid yet",
            Self::NoExpiry => "the token does not expire",
            Self::Audience => "the token is for another audience",
            Self::Issuer => "the token is from another issuer",
            Self::Claim => "a claim cannot be passed on",
        })
    }
}

/// The claims of a valid token.
#[derive(Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    /// A claim as text: strings as they are, lists of strings joined with spaces, numbers and
    /// booleans in JSON's words; nothing for what is absent, null or nested.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts.map(|texts| texts.join(" "))
            }
            Value::Null | Value::Object(_) => None,
        }
    }
}

/// A token in three parts, of which only the header was read.
pub(crate) struct Token<'t> {
    pub(crate) algorithm: Algorithm,
    /// The name of its key (RFC 7515 4.1.4).
    pub(crate) key_id: Option<String>,
    signed: &'t str,
    claims: &'t str,
    signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Takes a token apart.
    pub(crate) fn read(text: &'t str) -> Result<Self, Invalid> {
        if text.len() > MAX_TOKEN {
            return Err(Invalid::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Invalid::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Invalid::Malformed)?;
        let header = object(header)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err(Invalid::Malformed),
        };
        Ok(Self {
            algorithm: algorithm(&header)?,
            key_id,
            signed,
            claims,
            signature: decode(signature)?,
        })
    }

    /// Its claims, if `key` has signed it and it is valid at `now` (seconds since 1970).
    pub(crate) fn verify(&self, key: &Key, rules: &Rules, now: u64) -> Result<Claims, Invalid> {
        key.check(self.algorithm, self.signed.as_bytes(), &self.signature)?;
        let claims = Claims(object(self.claims)?);
        check_times(&claims, rules.skew, now)?;
        check_parties(&claims, rules)?;
        Ok(claims)
    }
}

/// Base64url as RFC 7515 2 has it: without padding, and with no bits left over.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Invalid::Malformed)
}

fn object(part: &str) -> Result<Map<String, Value>, Invalid> {
    serde_json::from_slice(&decode(part)?).map_err(|_| Invalid::Malformed)
}

/// RFC 7515 4.1.11: a token with critical extensions is only for those who know them. `none` and
/// all that is not named here is refused.
fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, Invalid> {
    let named = header.get("alg").and_then(Value::as_str);
    let known = named.and_then(Algorithm::from_name);
    known
        .filter(|_| !header.contains_key("crit"))
        .ok_or(Invalid::Algorithm)
}

/// RFC 7519 4.1.4 and 4.1.5. A token without an end is a password: `exp` is required.
fn check_times(claims: &Claims, skew: u64, now: u64) -> Result<(), Invalid> {
    let expires = numeric_date(claims, "exp")?.ok_or(Invalid::NoExpiry)?;
    // As `f64`, which NumericDate is: exact to the second for millions of years.
    let (now, skew) = (now as f64, skew as f64);
    if now >= expires + skew {
        return Err(Invalid::Expired);
    }
    match numeric_date(claims, "nbf")? {
        Some(begins) if now + skew < begins => Err(Invalid::NotYet),
        _ => Ok(()),
    }
}

fn numeric_date(claims: &Claims, name: &str) -> Result<Option<f64>, Invalid> {
    match claims.0.get(name) {
        None => Ok(None),
        Some(date) => date.as_f64().map(Some).ok_or(Invalid::Malformed),
    }
}

/// RFC 7519 4.1.1 and 4.1.3: the audience is one string, or a list that has ours.
fn check_parties(claims: &Claims, rules: &Rules) -> Result<(), Invalid> {
    if let Some(audience) = rules.audience.as_deref() {
        let ours = match claims.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        };
        if !ours {
            return Err(Invalid::Audience);
        }
    }
    match rules.issuer.as_deref() {
        Some(issuer) if claims.0.get("iss").and_then(Value::as_str) != Some(issuer) => {
            Err(Invalid::Issuer)
        }
        _ => Ok(()),
    }
}
