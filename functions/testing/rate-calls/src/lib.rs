//! Asks the node's counters what the path says, `/QUESTION/KEY`, and answers with their word. The
//! query has the arguments: `limit`, `window` and `for` in milliseconds, `burst`, `by`.

use std::time::Duration;

use verge_sdk::http::StatusCode;
use verge_sdk::rate_limit::{self, Policy};
use verge_sdk::{Request, Response, Verdict};

#[verge_sdk::viewer_request]
fn call(request: &mut Request) -> Verdict {
    let text = answer(request.path(), request.query().unwrap_or_default());
    let response = Response::new(StatusCode::OK).with_header("cache-control", "no-store");
    Verdict::Respond(response.with_body(text))
}

fn answer(path: &str, query: &str) -> String {
    let (question, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or_default();
    let number = |name: &str, default: u32| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value);
        value.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let time = |name, default| Duration::from_millis(number(name, default).into());
    match question {
        "check" => {
            let limit = number("limit", 10);
            let policy = Policy::new(limit, time("window", 60_000));
            let policy = policy.with_burst(number("burst", limit));
            let decision = rate_limit::check_cost(key, &policy, number("by", 1));
            format!(
                "{} remaining={} retry={}",
                if decision.allowed {
                    "allowed"
                } else {
                    "refused"
                },
                decision.remaining,
                decision.retry_after.as_millis()
            )
        }
        "count" => rate_limit::count(key, time("window", 60_000), number("by", 1)).to_string(),
        "penalize" => {
            rate_limit::penalize(key, time("for", 60_000));
            "in".to_owned()
        }
        "penalty" => match rate_limit::penalty(key) {
            Some(left) => format!("in for {}", left.as_millis()),
            None => "out".to_owned(),
        },
        other => format!("no question {other}"),
    }
}

#[cfg(test)]
mod tests {
    use verge_sdk::testing::Host;

    use super::answer;

    #[test]
    fn it_asks_what_it_is_told() {
        let _host = Host::new();
        for (path, query, expected) in [
            ("/check/k", "limit=1", "allowed remaining=0 retry=0"),
            ("/check/k", "limit=1", "refused remaining=0 retry=60000"),
            ("/count/k", "by=3", "3"),
            ("/count/k", "by=0", "3"),
            ("/penalty/k", "", "out"),
            ("/penalize/k", "for=1000", "in"),
            ("/penalty/k", "", "in for 1000"),
        ] {
            assert_eq!(answer(path, query), expected, "{path}");
        }
    }
}
