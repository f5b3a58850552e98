//! JSON Web Tokens signed with HS256 (RFC 7515, 7518 3.2, 7519). The signature is checked before
//! anything of the claims is read, and the algorithm is never the token's choice (RFC 8725 3.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

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

/// The claims of `token`, if it is valid at `now` (seconds since 1970).
pub(crate) fn verify(token: &str, key: &[u8], rules: &Rules, now: u64) -> Result<Claims, Invalid> {
    if token.len() > MAX_TOKEN {
        return Err(Invalid::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Invalid::Malformed)?;
    check_header(&object(header)?)?;
    check_signature(signed, signature, key)?;
    let claims = Claims(object(claims)?);
    check_times(&claims, rules.skew, now)?;
    check_parties(&claims, rules)?;
    Ok(claims)
}

fn object(part: &str) -> Result<Map<String, Value>, Invalid> {
    let json = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Invalid::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| Invalid::Malformed)
}

/// RFC 7515 4.1.11: a token with critical extensions is only for those who know them.
fn check_header(header: &Map<String, Value>) -> Result<(), Invalid> {
    match header.get("alg").and_then(Value::as_str) {
        Some("HS256") if !header.contains_key("crit") => Ok(()),
        _ => Err(Invalid::Algorithm),
    }
}

/// The comparison takes the same time wherever the signatures differ.
fn check_signature(signed: &str, signature: &str, key: &[u8]) -> Result<(), Invalid> {
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Invalid::Malformed)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Invalid::Signature)?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&signature).map_err(|_| Invalid::Signature)
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
