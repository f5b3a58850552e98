//! Lets only requests with a valid JWT pass, and hands its claims on as fields.
//! What makes a token valid stands in `token.rs`, what a key checks in `key.rs`, where keys come
//! from in `keys.rs`; this file only reads and answers requests.

mod key;
mod keys;
mod token;

use verge_sdk::http::{HeaderName, HeaderValue, StatusCode};
use verge_sdk::{Edit, Error, Request, Response, Verdict, clock, config};

use keys::Keys;
use token::{Claims, Invalid, Rules, Token};

/// Fields of these names come from this function alone.
const PREFIX: &str = "x-auth-";

/// Why a request does not pass.
enum Refusal {
    /// Its token is not valid: the client's matter.
    Invalid(Invalid),
    /// Nobody can tell: the function has failed.
    Failed(Error),
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Passes a request with a valid token on, with its claims as fields; answers 401 otherwise.
#[verge_sdk::viewer_request]
fn authenticate(request: &mut Request) -> Result<Verdict, Error> {
    // What a client claims about itself goes, also on public paths.
    let mut edits: Vec<Edit> = spoofed(request).map(Edit::Remove).collect();
    if !is_public(request.path()) {
        let keys = Keys::configured()?;
        match admit(request, &keys) {
            Ok(fields) => edits.extend(fields),
            Err(Refusal::Invalid(invalid)) => return Ok(Verdict::Respond(refuse(&invalid))),
            Err(Refusal::Failed(error)) => return Err(error),
        }
        if !config::parse("pass-token")?.unwrap_or(false) {
            edits.push(Edit::Remove(HeaderName::from_static("authorization")));
        }
    }
    request.edit().extend(edits).apply()?;
    Ok(Verdict::Next)
}

/// The fields of the token's claims, if it is valid.
fn admit(request: &Request, keys: &Keys) -> Result<Vec<Edit>, Refusal> {
    let rules = Rules {
        audience: audience(keys)?,
        issuer: config::get("issuer"),
        skew: config::parse("skew").map_err(Error::from)?.unwrap_or(60),
    };
    let now = clock::unix_seconds();
    let lines = request.header_lines("authorization");
    let token = Token::read(bearer(&lines)?)?;
    let claims = keys.check(&token, |key| token.verify(key, &rules, now))?;
    Ok(claim_fields(&claims)?)
}

/// Whom tokens must be for. An issuer signs for many: a token that somebody got for another service
/// would pass here, too (RFC 8725 3.9), unless the operator says that this is meant.
fn audience(keys: &Keys) -> Result<Option<String>, Error> {
    match config::get("audience") {
        Some(any) if any == "*" => Ok(None),
        None if keys.are_of_issuer() => Err(Error::new(
            "config `audience`: with `jwks` or `jwks-url`, expected whom tokens must be for, or \"*\" \
             for all that the issuer signs",
        )),
        audience => Ok(audience),
    }
}

/// The names of the fields in which a client speaks for this function. An origin that makes
/// variables of fields takes `_` for `-` (CGI, RFC 3875 4.1.18, and what followed it).
fn spoofed(request: &Request) -> impl Iterator<Item = HeaderName> {
    let fields = request.headers();
    let names: Vec<HeaderName> = fields.keys().cloned().collect();
    names
        .into_iter()
        .filter(|name| name.as_str().replace('_', "-").starts_with(PREFIX))
}

/// Whether no token is needed. A path that an origin could read as another one is never public.
fn is_public(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let tricks = ["/..", "%2e", "%2f", "%5c", "\\"];
    if tricks.iter().any(|trick| lower.contains(trick)) {
        return false;
    }
    config::list("public").iter().any(|public| {
        let public = public.strip_suffix('/').unwrap_or(public);
        let rest = path.strip_prefix(public);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The token of the one `Authorization: Bearer` line (RFC 6750 2.1).
fn bearer(lines: &[HeaderValue]) -> Result<&str, Invalid> {
    let [line] = lines else {
        return Err(if lines.is_empty() {
            Invalid::Missing
        } else {
            Invalid::Malformed
        });
    };
    let (scheme, token) = line
        .to_str()
        .ok()
        .and_then(|line| line.split_once(' '))
        .ok_or(Invalid::Malformed)?;
    // Another scheme is no token at all (RFC 9110 11.1: schemes have no case).
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Invalid::Missing);
    }
    Ok(token.trim_start_matches(' '))
}

/// `x-auth-subject`, `x-auth-scope`, and one field for each claim that the operator named.
fn claim_fields(claims: &Claims) -> Result<Vec<Edit>, Invalid> {
    let mut named = vec![("sub".to_owned(), "subject".to_owned())];
    named.push(("scope".to_owned(), "scope".to_owned()));
    named.extend(config::list("claims").into_iter().map(|claim| {
        let field = claim.replace('_', "-").to_ascii_lowercase();
        (claim, field)
    }));
    let mut edits = Vec::new();
    for (claim, field) in named {
        let Some(text) = claims.text(&claim) else {
            continue;
        };
        let name = HeaderName::try_from(format!("{PREFIX}{field}"));
        let value = HeaderValue::try_from(text);
        match (name, value) {
            (Ok(name), Ok(value)) => edits.push(Edit::Set(name, value)),
            // A signed claim that no field can carry: better no request than half of one.
            _ => return Err(Invalid::Claim),
        }
    }
    Ok(edits)
}

/// RFC 6750 3: no error code where no token was sent, else `invalid_token` and why.
fn refuse(invalid: &Invalid) -> Response {
    let realm = config::get("realm")
        .unwrap_or("verge".into())
        .replace(['"', '\\'], "");
    let challenge = match invalid {
        Invalid::Missing => format!("Bearer realm=\"{realm}\""),
        _ => format!(
            "Bearer realm=\"{realm}\", error=\"invalid_token\", error_description=\"{invalid}\""
        ),
    };
    Response::new(StatusCode::UNAUTHORIZED)
        .with_header("www-authenticate", challenge)
        .with_header("cache-control", "no-store")
        .with_header("content-type", "text/plain; charset=utf-8")
        .with_body(format!("unauthorized: {invalid}\n"))
}

#[cfg(test)]
mod tests;
