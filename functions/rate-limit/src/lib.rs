//! Limits how often a client or an API key may ask: 429 over the limit, and on every answer the
//! `RateLimit` fields (draft-ietf-httpapi-ratelimit-headers-10) that tell a client how it stands.

use std::time::Duration;

use verge_sdk::http::StatusCode;
use verge_sdk::rate_limit::{self, Decision, Policy};
use verge_sdk::{Error, Request, Response, Verdict, config, context};

/// The name under which the state travels to `viewer-response`.
const STATE: &str = "rate-limit.state";

/// The longest API key that is counted as one; longer ones are counted by client.
const MAX_KEY: usize = 256;

/// Takes one unit of the client's rate; answers 429 when none is left.
#[verge_sdk::viewer_request]
fn limit(request: &mut Request) -> Result<Verdict, Error> {
    let settings = Settings::from_config()?;
    let decision = settings.decide(&settings.by.key(request));
    let state = settings.state(&decision);
    if decision.allowed {
        context::set(STATE, state)?;
        return Ok(Verdict::Next);
    }
    let wait = whole_seconds(decision.retry_after).max(1);
    let answer = Response::new(StatusCode::TOO_MANY_REQUESTS)
        .with_header("retry-after", wait)
        .with_header("ratelimit-policy", settings.description())
        .with_header("ratelimit", state)
        .with_header("cache-control", "no-store")
        .with_header("content-type", "text/plain; charset=utf-8")
        .with_body(format!("too many requests: try again in {wait} s\n"));
    Ok(Verdict::Respond(answer))
}

/// Tells the client how it stands.
#[verge_sdk::viewer_response]
fn inform(_request: &Request, response: &mut Response) -> Result<(), Error> {
    let Some(state) = context::text(STATE) else {
        return Ok(());
    };
    let description = Settings::from_config()?.description();
    let edits = response.edit().set("ratelimit-policy", description);
    edits.set("ratelimit", state).apply()?;
    Ok(())
}

struct Settings {
    name: String,
    policy: Policy,
    /// For how long who passes the limit is refused everything; zero for as long as it is passed.
    penalty: Duration,
    by: CountBy,
}

/// What is counted.
enum CountBy {
    /// The client's network: an IPv4 address or an IPv6 /64.
    Client,
    /// The value of this field; clients that send none are counted as clients.
    ApiKey(String),
}

impl Settings {
    fn from_config() -> Result<Self, Error> {
        let limit = config::parse("limit")?.unwrap_or(100);
        let window = config::parse("window")?.unwrap_or(60);
        let policy = Policy::new(limit, Duration::from_secs(window));
        let burst = config::parse("burst")?;
        let penalty = config::parse("penalty")?.unwrap_or(0);
        let by = match config::get("by").as_deref() {
            None | Some("client") => CountBy::Client,
            Some("api-key") => {
                CountBy::ApiKey(config::get("api-key-field").unwrap_or("x-api-key".into()))
            }
            Some(other) => {
                let text = format!("config `by` = {other:?}: `client` or `api-key`");
                return Err(Error::new(text));
            }
        };
        Ok(Self {
            name: policy_name(config::get("name").as_deref().unwrap_or("default")),
            policy: burst.map_or(policy, |burst| policy.with_burst(burst)),
            penalty: Duration::from_secs(penalty),
            by,
        })
    }

    /// Whether one more may pass. Who is in the penalty box takes nothing.
    fn decide(&self, key: &str) -> Decision {
        if self.penalty.is_zero() {
            return rate_limit::check(key, &self.policy);
        }
        if let Some(left) = rate_limit::penalty(key) {
            return Decision {
                allowed: false,
                remaining: 0,
                reset_after: left,
                retry_after: left,
            };
        }
        let mut decision = rate_limit::check(key, &self.policy);
        if !decision.allowed {
            rate_limit::penalize(key, self.penalty);
            decision.retry_after = decision.retry_after.max(self.penalty);
        }
        decision
    }

    /// The value of `RateLimit-Policy`: quota and window in seconds.
    fn description(&self) -> String {
        let (name, limit) = (&self.name, self.policy.limit());
        format!(
            "\"{name}\";q={limit};w={}",
            whole_seconds(self.policy.window())
        )
    }

    /// The value of `RateLimit`: what remains, and seconds until all of it is back.
    fn state(&self, decision: &Decision) -> String {
        let (name, remaining) = (&self.name, decision.remaining);
        format!(
            "\"{name}\";r={remaining};t={}",
            whole_seconds(decision.reset_after)
        )
    }
}

impl CountBy {
    fn key(&self, request: &Request) -> String {
        let sent = match self {
            Self::Client => None,
            Self::ApiKey(field) => request.header(field),
        };
        let sent = sent.as_ref().and_then(|key| key.to_str().ok());
        match sent.filter(|key| !key.is_empty() && key.len() <= MAX_KEY) {
            Some(key) => format!("key:{key}"),
            None => format!("client:{}", request.client().network()),
        }
    }
}

/// Only what a structured string holds without escapes (RFC 9651 3.3.3).
fn policy_name(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_graphic() && *c != '"' && *c != '\\';
    name.chars().filter(plain).collect()
}

/// Rounded up: a client that waits this long has waited long enough.
fn whole_seconds(duration: Duration) -> u64 {
    let more = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(more)
}

#[cfg(test)]
mod tests;
