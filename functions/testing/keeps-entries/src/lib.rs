//! Keeps entries in the node's cache. `/made/NAME?VALUE` answers with the entry, which it makes of
//! VALUE if there is none: fresh for 60 s, then given out for 60 s, a fallback for 600 s, with the
//! surrogate key `k-NAME`. `?cancel` takes the duty and cancels, `?refresh` keeps the stale one.
//! `/look/NAME`, `/purge/NAME`, `/purge-key/KEY`, `/purge-url?URL` and `/soft-key/KEY` do what they
//! say. `/slow/NAME?MS` makes an entry after so many milliseconds. `/tag/KEY` gives the response a
//! surrogate key and goes on.

use std::time::{Duration, Instant};

use verge_sdk::cache::{self, CacheError, Entry, Found, Hardness, Key, Options};
use verge_sdk::http::StatusCode;
use verge_sdk::{Error, Request, Response, Verdict};

const WAIT: Duration = Duration::from_secs(10);

#[verge_sdk::viewer_request]
fn keep(request: &mut Request) -> Result<Verdict, Error> {
    let path = request.path().to_owned();
    let query = request.query().unwrap_or_default().to_owned();
    let mut parts = path.split('/').skip(1);
    let (what, name) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let done = match what {
        "made" => make(name, &query),
        "slow" => slow(name, query.parse()?),
        "look" => cache::lookup(&Key::new(name)).map(|entry| entry.map_or("none".into(), told)),
        "purge" => cache::purge(name, Hardness::Hard).map(|()| "purged".into()),
        "purge-key" => cache::purge_surrogate_key(name, Hardness::Hard).map(|()| "purged".into()),
        "soft-key" => cache::purge_surrogate_key(name, Hardness::Soft).map(|()| "purged".into()),
        "purge-url" => cache::purge_url(&query, Hardness::Hard).map(|()| "purged".into()),
        "tag" => {
            request.add_surrogate_key(name)?;
            return Ok(Verdict::Next);
        }
        _ => return Ok(Verdict::Next),
    };
    let answer = done.unwrap_or_else(|error| error.to_string());
    Ok(Verdict::Respond(
        Response::new(StatusCode::OK).with_body(answer),
    ))
}

fn options(name: &str) -> Options {
    Options::max_age(Duration::from_secs(60))
        .stale_while_revalidate(Duration::from_secs(60))
        .stale_if_error(Duration::from_secs(600))
        .surrogate_key(format!("k-{name}"))
}

fn make(name: &str, query: &str) -> Result<String, CacheError> {
    Ok(match cache::transact(&Key::new(name), WAIT)? {
        Found::Hit(entry) => format!("hit {}", told(entry)),
        Found::Stale(entry) => format!("stale {}", told(entry)),
        Found::Lead(lead) => {
            let stale = lead.stale().cloned().map_or("nothing".into(), told);
            let serves = if lead.may_serve_stale() {
                "may"
            } else {
                "must"
            };
            match query {
                "cancel" => lead.cancel(),
                "refresh" => lead.refresh(&options(name))?,
                value => lead.insert(value.as_bytes(), &options(name))?,
            }
            format!("{serves} {query} over {stale}")
        }
    })
}

/// Makes an entry after a while, which it spends computing.
#[expect(
    clippy::disallowed_methods,
    reason = "in a guest, the clock is what the host gives"
)]
fn slow(name: &str, millis: u64) -> Result<String, CacheError> {
    let found = cache::transact(&Key::new(name), WAIT)?;
    let Found::Lead(lead) = found else {
        return Ok("followed".into());
    };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(millis) {}
    lead.insert(b"slow", &options(name))?;
    Ok("led".into())
}

fn told(entry: Entry) -> String {
    let fresh = if entry.is_fresh { "fresh" } else { "stale" };
    format!("{} {fresh}", String::from_utf8_lossy(&entry.content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use verge_sdk::testing::Host;

    #[test]
    fn an_entry_is_made_once_and_anew_when_it_is_stale() {
        let host = Host::new();
        assert_eq!(make("a", "1"), Ok("must 1 over nothing".into()));
        assert_eq!(make("a", "2"), Ok("hit 1 fresh".into()));
        host.advance(Duration::from_secs(90));
        assert_eq!(make("a", "3"), Ok("may 3 over 1 stale".into()));
        host.advance(Duration::from_secs(300));
        assert_eq!(make("a", "refresh"), Ok("must refresh over 3 stale".into()));
        assert_eq!(make("a", "4"), Ok("hit 3 fresh".into()));
        cache::purge_surrogate_key("k-a", Hardness::Hard).expect("it is a key");
        assert_eq!(make("a", "5"), Ok("must 5 over nothing".into()));
    }
}
